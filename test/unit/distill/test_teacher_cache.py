"""The teacher: frozen, refused where it does not fit; its answers on disk, whole or not at all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kd_planner_ros.core.errors import CardError, ConfigError, PlannerError
from kd_planner_ros.distill import teacher_cache
from kd_planner_ros.distill.maps import channel_mean
from kd_planner_ros.distill.teacher import load_teacher, require_same_inputs
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.samples.rows import SAMPLE_DTYPE
from kd_planner_ros.samples.shards import Shard

STUDENT = TCPConfig(size="3.1m", input_height=32, input_width=64)
GIVEN = replace(STUDENT, size="7.6m")
NAMES = ("mean_stage2", "waypoints", "energy_stage1", "stage1")


@pytest.fixture
def models(tmp_path):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    state = find_network("tcp").build_model(GIVEN).state_dict()
    save_model(tmp_path / "wise", "tcp", GIVEN, state, {"data": {"maps": ["Town01"]}})
    save_model(tmp_path / "leaky", "tcp", GIVEN, state, {"data": {"maps": ["Town01", "Town05HD"]}})
    save_model(tmp_path / "heir", "tcp", GIVEN, state, {"data": {"maps": ["Town01"]}, "init": {"data": {"maps": ["Town05"]}}})
    return tmp_path


@pytest.fixture
def shards(tmp_path):
    rng = np.random.default_rng(0)
    made = []
    for number, count in enumerate((3, 0, 20)):
        folder = tmp_path / "cache" / f"s{number}"
        folder.mkdir(parents=True)
        np.save(folder / "rows.npy", np.zeros(count, SAMPLE_DTYPE))
        np.save(folder / "images.npy", rng.integers(0, 256, (count, 32, 64, 3), np.uint8))
        made.append(Shard(folder))
    return made


def encode(shard, rows):
    images = torch.from_numpy(np.array(shard.images[rows])).permute(0, 3, 1, 2).float() / 255.0
    return {"image": images, "state": torch.zeros(len(images), 9)}


def load(models, name="wise", config=STUDENT, **options):
    teacher = load_teacher(name, models_dir=models, evaluation_maps=("Town05",), **options)
    require_same_inputs(teacher, "tcp", config)
    return teacher


def test_a_teacher_is_frozen_and_unchanged_by_a_students_step(models):
    teacher = load(models)
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    inputs = {"image": torch.randn(2, 3, 32, 64), "state": torch.zeros(2, 9)}
    first = teacher.fields(inputs, NAMES)
    student = find_network("tcp").build_model(STUDENT).train()
    optimiser = torch.optim.SGD([*student.parameters(), *teacher.model.parameters()], 0.1)
    gap = (channel_mean(student(**inputs, features=True)["stage2"]) - first["mean_stage2"]).abs().mean()
    gap.backward()
    optimiser.step()
    again = teacher.fields(inputs, NAMES)
    assert all(torch.equal(first[name], again[name]) for name in NAMES)
    assert all(torch.equal(value, teacher.model.state_dict()[name]) for name, value in before.items())
    assert all(p.grad is None and not p.requires_grad for p in teacher.model.parameters())
    teacher.model.train()
    with pytest.raises(RuntimeError, match="eval mode"):
        teacher.fields(inputs, NAMES)


def test_fields_are_what_they_say(models):
    teacher = load(models)
    inputs = {"image": torch.randn(2, 3, 32, 64), "state": torch.zeros(2, 9)}
    fields = teacher.fields(inputs, NAMES)
    assert fields["mean_stage2"].shape == (2, 32) and fields["waypoints"].shape == (2, 4, 2)
    assert fields["energy_stage1"].shape == (2, 128) and fields["stage1"].shape == (2, 64, 8, 16)
    torch.testing.assert_close(fields["energy_stage1"].norm(dim=1), torch.ones(2))


def test_a_teacher_may_be_a_shipped_model_and_one_of_the_folder_comes_first(models):
    assert load_teacher("tcp64_3m1_imitation", models_dir=models).name == "tcp64_3m1_imitation"
    (models / "wise").rename(models / "tcp64_3m1_imitation")
    assert load_teacher("tcp64_3m1_imitation", models_dir=models).name == "wise"
    with pytest.raises(PlannerError, match="a model out of .*leaky.*unified_nano.*got 'nobody'"):
        load_teacher("nobody", models_dir=models)


@pytest.mark.parametrize("change, words", [({"input_width": 128}, "input_width 128"), ({"camera_fov_deg": 60.0}, "camera_fov_deg 60.0")])
def test_another_input_or_camera_is_refused(models, change, words):
    with pytest.raises(CardError, match=words) as caught:
        load(models, config=replace(STUDENT, **change))
    assert "\n" not in str(caught.value) and "wise" in str(caught.value)


def test_another_network_and_no_network_are_refused(models):
    with pytest.raises(CardError, match="interfuser student.*'wise', a tcp"):
        require_same_inputs(load_teacher("wise", models_dir=models), "interfuser", STUDENT)
    with pytest.raises(PlannerError):
        load(models, "nobody")
    assert load(models, str(models / "wise")).name == "wise"


def test_a_teacher_that_has_seen_the_evaluation_map_is_refused(models):
    for name in ("leaky", "heir"):
        with pytest.raises(ConfigError, match=f"'{name}', trained on Town05.*--allow-leak"):
            load(models, name)
        assert load(models, name, allow_leak=True).name == name


def test_the_cache_holds_what_the_teacher_says_of_the_clean_picture(models, shards):
    teacher = load(models)
    assert teacher_cache.build(shards, teacher, NAMES, encode, progress=False).kept == ()  # stage1 is 2.7 times the picture
    assert not teacher_cache.folder_of(shards[0], teacher).exists()
    cache = teacher_cache.build(shards, teacher, NAMES[:3], encode, progress=False)
    assert set(cache.kept) == {"mean_stage2", "waypoints", "energy_stage1"}
    got = cache.fetch([(shards[0], 2), (shards[2], 0), (shards[2], 19)])
    for row, (shard, number) in enumerate(((0, 2), (2, 0), (2, 19))):
        expected = teacher.fields(encode(shards[shard], slice(number, number + 1)), cache.kept)
        np.testing.assert_allclose(got["mean_stage2"][row], expected["mean_stage2"][0].numpy(), rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(got["waypoints"][row], expected["waypoints"][0].numpy(), atol=1e-5)
    assert got["mean_stage2"].dtype == np.float16 and got["waypoints"].dtype == np.float32


def test_a_second_build_asks_the_teacher_nothing_and_an_interrupted_one_goes_on(models, shards, monkeypatch):
    teacher, asked = load(models), []
    fields = type(teacher).fields

    def counted(self, inputs, names):
        asked.append(len(inputs["image"]))
        if len(asked) == 4 and len(shards[0].rows) == 3 and not resumed:
            raise KeyboardInterrupt
        return fields(self, inputs, names)

    resumed = False
    monkeypatch.setattr(type(teacher), "fields", counted)
    with pytest.raises(KeyboardInterrupt):  # one example, the first shard, then the third is cut off
        teacher_cache.build(shards, teacher, ("waypoints",), encode, progress=False)
    assert (teacher_cache.folder_of(shards[0], teacher) / "waypoints.npy").is_file()
    assert not list(shards[0].folder.parent.glob("*/*.tmp")) and not teacher_cache.folder_of(shards[2], teacher).exists()
    resumed, asked[:] = True, []
    teacher_cache.build(shards, teacher, ("waypoints",), encode, progress=False)
    assert asked == [1, 16, 4]
    asked.clear()
    teacher_cache.build(shards, teacher, ("waypoints",), encode, progress=False)
    assert asked == [1]


def test_another_teacher_has_its_own_folder(models, shards):
    teacher = load(models)
    torch.manual_seed(9)
    save_model(models / "other", "tcp", GIVEN, find_network("tcp").build_model(GIVEN).state_dict())
    other = load(models, "other")
    assert teacher_cache.folder_of(shards[0], teacher) != teacher_cache.folder_of(shards[0], other)
