"""InterFuser in the trainer: shards by hand, over-fitting, resuming, PlanKD and its rivals, refusals."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.interrupting import interrupt_in_step
from support.processes import told_by_two
from support.training import but, distiller, training, training_in
from support.views import write_views

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.maps import stage_shapes
from kd_planner_ros.distill.methods.plankd import scene_cache
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.teacher_cache import TeacherCache
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.interfuser.config import SMALL_INPUTS, InterFuserConfig
from kd_planner_ros.networks.interfuser.training import TrainOptions, config_fields
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.runtime.store import load_model, save_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards
from kd_planner_ros.wire.topics import TRUTH_OBJECTS

GIVEN = InterFuserConfig(size="11.7m", front_px=32, side_px=32, focus_px=32, lidar_px=32, camera_width=64, camera_height=48,
                         side_width=64, side_height=48)


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    return training_in(tmp_path, network="interfuser", size="3.8m", front_px=32)


def drives(config, rates=(0.25, -0.25)):
    for number, rate in enumerate(rates):
        write_views(config.bags[0] / f"b{number}", rate, seed=number)


def learner_of(config):
    others = cameras(find_bags(config.bags)[0])[1]
    return Learner(config, join("cpu"), others["front"], others)


def shards_of(config, learner):
    return build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)


def test_a_shard_holds_views_histogram_and_targets(config):
    drives(config, (0.0,))
    learner = learner_of(config)
    assert learner.model_config == replace(GIVEN, size="3.8m")
    (shard,) = shards_of(config, learner)
    assert sorted(shard.fields) == ["focus", "left", "lidar", "path", "right", "rules", "traffic"]
    count = len(shard.rows)
    assert count == 4 and shard.images.shape == (count, 32, 32, 3) == shard.fields["focus"].shape
    post = shard.fields["lidar"]
    assert post.shape == (count, 2, 32, 32) and post.sum() == count and (post[:, 1, 15, 15] == 1).all()
    path = shard.fields["path"]
    assert np.abs(path[..., 1]).max() < 1e-5 and np.allclose(np.diff(path[..., 0]), 1.0, atol=1e-4)
    assert ((path[:, 0, 0] >= 3.0) & (path[:, 0, 0] <= 4.0)).all()
    cell = shard.fields["traffic"][0].reshape(20, 20, 7)[7, 7]  # 10.5 m ahead, 2.5 m to the left; the car is at 10 and 2
    wanted = [math.sqrt(0.5 / math.hypot(0.5, 0.5)), 0.5 / 3.5, -0.5 / 3.5, 0.75, 2.25 / 3.5, 0.95 / 2.0, math.sqrt(10.0) / 8.0]
    np.testing.assert_allclose(cell, wanted, atol=1e-5)
    assert shard.fields["rules"].tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]]
    batch = learner.prepare(Samples([shard]), np.arange(4), 0)
    inputs, targets = learner.tensors(batch)
    assert targets["light"].tolist() == [1, 1, 0, 0] and targets["waypoints_mask"].all()
    assert (targets["waypoints"][:, 0, 1] < -2.9).all()  # frame P: y points backward
    assert inputs["measurements"][0].tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 5.0]
    batch.hidden_speed[:2] = True
    assert learner.tensors(batch)[0]["measurements"][:, 6].tolist() == [0.0, 0.0, 5.0, 5.0]


def test_all_pictures_are_augmented_and_the_histogram_is_not(config):
    drives(config, (0.25,))
    learner = learner_of(but(config, seed=3))
    samples = Samples(shards_of(config, learner))
    clean = samples.fetch(np.arange(4))
    late = learner.prepare(samples, np.arange(4), 10**6)
    for name, array in late.student_arrays.items():
        kind = array.dtype.kind == "f"
        assert np.array_equal(array, clean.arrays[name], equal_nan=kind) == (name not in learner.task.pictures)
        assert np.array_equal(late.arrays[name], clean.arrays[name], equal_nan=kind)  # the clean ones stay
    again = learner.prepare(samples, np.arange(4), 10**6)
    assert all(np.array_equal(again.student_arrays[name], late.student_arrays[name]) for name in (MAIN, "left", "right", "focus"))


@pytest.mark.long
def test_overfits_a_left_and_a_right_turn(config):
    drives(config)
    learner = learner_of(but(config, augment=False, weight_decay=0.0))
    first, second = shards_of(config, learner)
    samples, frames = Samples([first, second]), np.array([2, len(first.rows) + 2])
    before = learner.step(samples.fetch(frames), 0, 1e-3)
    for step in range(1, 25):
        after = learner.step(samples.fetch(frames), step, 1e-3)
    assert after["loss"] < 0.4 * before["loss"] and after["light"] < 0.1 and after["traffic"] < before["traffic"], (before, after)
    learner.model.eval()
    with torch.no_grad():
        found = learner.model(**learner.tensors(samples.fetch(frames))[0])["waypoints"]
    assert abs(found[0, -1, 0] - found[1, -1, 0]) > 1.0, found  # the paths end 4 m to the left and 4 m to the right


@pytest.mark.slow
def test_resume_is_bit_identical(config, monkeypatch):
    drives(config, (0.25, -0.25, 0.1))
    config = but(config, validation_share=0.3)
    whole = train(but(config, name="whole"))
    assert {"path_m", "traffic", "light", "junction_right"} <= set(whole.validation)
    steps = interrupt_in_step(monkeypatch, whole.steps // 2)
    assert not train(but(config, name="halves")).finished
    assert train(but(config, name="halves")).finished and steps == list(range(whole.steps))
    one, two = (checkpoint.load(config.runs_dir / name)["learner"] for name in ("whole", "halves"))
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())
    files = [(config.models_dir / name / "weights.safetensors").read_bytes() for name in ("whole", "halves")]
    assert files[0] == files[1]


def test_the_camera_backbone_learns_slower(config):
    drives(config, (0.25,))
    learner = learner_of(config)
    assert isinstance(learner.optimiser, torch.optim.AdamW)
    learner.step(learner.prepare(Samples(shards_of(config, learner)), np.arange(4), 0), 0, 1e-3)
    fast, slow = learner.optimiser.param_groups
    assert (fast["lr"], slow["lr"]) == (1e-3, pytest.approx(4e-4)) and fast["weight_decay"] == slow["weight_decay"] == 0.05
    backbone = {id(one) for one in learner.model.rgb_backbone.parameters() if one.requires_grad}
    assert {id(one) for one in slow["params"]} == backbone
    trained = [one for one in learner.model.parameters() if one.requires_grad]
    assert len(fast["params"]) + len(slow["params"]) == len(trained)
    plain = learner_of(but(config, optimiser="adam", backbone_rate=1.0, weight_decay=0.0))
    assert type(plain.optimiser) is torch.optim.Adam and len(plain.optimiser.param_groups) == 1
    assert config.recipe["weight_decay"] == 0.05 and config.recipe["optimiser"] == "network"
    tcp = training(bags=()).recipe
    assert tcp["weight_decay"] == 1e-7 and "interfuser" not in tcp and config.recipe["interfuser"] == {"front_px": 32}


def test_views_follow_the_front_view():
    assert config_fields("3.8m", TrainOptions(), None, {}) == {
        "size": "3.8m", "front_px": 224, "side_px": 128, "focus_px": 128, "lidar_px": 224}
    small = config_fields("3.8m", TrainOptions(front_px=128), None, {})
    assert all(small[name] == SMALL_INPUTS[name] for name in ("front_px", "side_px", "focus_px", "lidar_px"))


# --- with a teacher --------------------------------------------------------------------------------------------------------


def made_up_scenes(recording, stamps, **_):
    """An empty scene with one obstacle that comes nearer."""
    obstacles = np.zeros((len(stamps), 15, 2), np.float32)
    obstacles[:, 0, 0], obstacles[:, 0, 1] = 12.0 - np.arange(len(stamps)), 0.5
    return np.zeros((len(stamps), 180, 180, 3), np.uint8), obstacles


@pytest.fixture
def taught(config, monkeypatch):
    monkeypatch.setattr(scene_cache, "bev_frames", made_up_scenes)
    drives(config)
    torch.manual_seed(0)
    save_model(config.models_dir / "wise", "interfuser", GIVEN, find_network("interfuser").build_model(GIVEN).state_dict(),
               {"data": {"maps": ["Town03"]}})
    return but(config, teacher="wise", epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("method, terms", [("plankd", {"feature", "attended", "ranking", "entropy", "bottleneck"}),
                                           ("at", {"activation"}), ("reviewkd", {"review"}), ("dpk", {"prior", "own_share"})])
def test_every_method_trains(taught, method, terms):
    report = train(but(taught, method=method, **({"bev_detail": "quarter"} if method == "plankd" else {})))
    with (taught.runs_dir / "student" / "log.csv").open(newline="") as file:
        logged = {row[2]: float(row[3]) for row in csv.reader(file) if row[1] == "train"}
    assert report.finished and terms <= set(logged) and np.isfinite(list(logged.values())).all()
    assert load_model(taught.models_dir / "student")[2].training["teacher"]["name"] == "wise"


@pytest.mark.long
def test_two_processes_agree(taught, tmp_path):
    told = told_by_two(but(taught, name="pair", method="plankd", safe_attention=False, pretrain_bottleneck=1), tmp_path)
    assert len(told) == 2 * len(set(told)) > 2, told
    assert load_model(taught.models_dir / "pair")[2].training["steps"] >= 1


@pytest.mark.slow
def test_plankd_reads_stage_two_of_three_views_and_weights_ten_points(taught, monkeypatch):
    fetched, fetch = [], TeacherCache.fetch
    monkeypatch.setattr(TeacherCache, "fetch", lambda self, places: fetched.append(fetch(self, places)) or fetched[-1])
    learner = learner_of(but(taught, method="plankd", bev_detail="quarter"))
    bags = find_bags(taught.bags)
    shards = shards_of(taught, learner)
    learner.distillation.attach(dict(zip(shards, bags)))
    batch = learner.prepare(Samples(shards), np.arange(4), 0)
    inputs, _ = learner.tensors(batch)
    weights = []
    attention = learner.distillation.method.attention
    attention.register_forward_hook(lambda module, given, found: weights.append(found))
    figures = learner.step(batch, 0, 1e-3)
    assert fetched[0]["mean_stage2"].shape == (4, 3 * 16) and weights[0].shape == (4, 10)
    assert {"feature", "attended", "bottleneck"} <= set(figures)
    with torch.no_grad():
        clean = learner.tensors(Samples(shards).fetch(np.arange(4)))[0]
        found = learner.distillation.sources[0].teacher.model(**clean, features=True)
    ours = torch.cat([found[f"{view}_stage2"].mean(1).flatten(1) for view in ("left", "front", "right")], 1)
    np.testing.assert_allclose(fetched[0]["mean_stage2"], ours.numpy(), atol=2e-3)


def test_at_full_size_the_bottleneck_takes_1296_values():
    student, teacher = InterFuserConfig(size="3.8m"), InterFuserConfig(size="52.9m")
    assert [rows * columns for _, rows, columns in stage_shapes("interfuser", student)[1]] == [256, 784, 256]
    method = distiller("plankd", "interfuser", student, teacher)
    assert next(p for p in method.bottleneck.parameters() if p.ndim == 2).shape[1] == 1296
    assert (method.choice.feature, method.choice.entropy, method.choice.waypoints) == (0.1, 0.005, 0.2)


# --- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part, topic", [("lidar", "/carla/ego_vehicle/lidar"), ("objects", TRUTH_OBJECTS),
                                         ("left", "/carla/ego_vehicle/left/image")])
def test_what_a_recording_lacks_is_named(config, part, topic):
    write_views(config.bags[0] / "b0", leave_out=part)
    with pytest.raises(BagError) as caught:
        train(config)
    assert topic in str(caught.value) and "\n" not in str(caught.value)


def test_heads_for_one_picture_are_no_options_of_interfuser(config):
    with pytest.raises(ConfigError, match="options of 'interfuser' out of front_px; got states_weight"):
        replace(config, sections={"interfuser": {"states_weight": 0.1}})
    with pytest.raises(ConfigError, match="got --tcp.states-weight"):
        replace(config, sections={"tcp": {"states_weight": 0.1}})
