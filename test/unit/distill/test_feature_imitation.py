"""Features of a unified encoder as a planner's teacher: the cosine by hand, the places that are compared, refusals, smoke trainings."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.bags import write_bag
from support.training import training

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.distill.methods.base import MethodContext
from kd_planner_ros.distill.methods.feature_imitation.method import FeatureImitation, seen_by
from kd_planner_ros.distill.methods.registry import find_method
from kd_planner_ros.distill.recipes import read_recipe, train_config
from kd_planner_ros.distill.teacher import Teacher
from kd_planner_ros.distill.train import train
from kd_planner_ros.evaluation.benchmark.recipe import read_recipe as read_benchmark
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.runtime.store import load_model, save_model

METHOD = find_method("feature_imitation")
CAMERA = {"camera_width": 448, "camera_height": 336, "camera_x_m": 1.3, "camera_z_m": 2.3}
STUDENT = TCPConfig(size="7.6m", input_height=128, input_width=352, **CAMERA)
TEACHER = UnifiedEncoderConfig(size="nano")


def context(student=STUDENT, teacher=TEACHER, network="tcp"):
    known = Teacher(torch.nn.Identity(), teacher, SimpleNamespace(name="seer", network="unified_encoder"))
    return MethodContext(network, student, (known,), None, METHOD.options(), {})


def grid(rows, columns):
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows * 2.0 - 1.0, (torch.arange(columns) + 0.5) / columns * 2.0 - 1.0, indexing="ij")
    return torch.stack([x, y], -1)


def told(method, student, teacher):
    return float(method.losses({"stage4": student}, [{"stage4": teacher}], {}, 0.0)["features"].detach())


def test_the_loss_is_one_minus_the_cosine_of_each_place():
    method = FeatureImitation(METHOD.options(weight=2.0), 3, 4, grid(4, 6), 3)
    method.adapter.weight.data, method.adapter.bias.data = torch.eye(3)[:, :, None, None], torch.zeros(3)
    maps = torch.randn(2, 3, 4, 6)
    assert told(method, maps, maps) == pytest.approx(0.0, abs=1e-5) == told(method, 5.0 * maps, maps)
    assert told(method, -maps, maps) == pytest.approx(4.0, abs=1e-5)
    assert told(method, maps, maps.roll(1, 3)) > 0.5
    assert [len(one) for one in (method.trained(), method.state_dict())] == [2, 2]


def test_cells_are_compared_where_the_encoder_sees():
    """The encoder sees rows 81 to 209 of 264: its first cell's middle is at row 97, its last one's at row 193; columns are all."""
    seen = seen_by(TEACHER)
    assert seen.shape == (4, 11, 2)
    assert seen[0, 0].tolist() == pytest.approx([2.0 * 16 / 352 - 1.0, 2.0 * 97 / 264 - 1.0])
    assert seen[3, 10].tolist() == pytest.approx([2.0 * 336 / 352 - 1.0, 2.0 * 193 / 264 - 1.0])
    method = METHOD.build(context())
    rows = torch.linspace(-1.0 + 1 / 8, 1.0 - 1 / 8, 8).view(1, 1, 8, 1).expand(1, 512, 8, 22)  # each cell says its own height
    method.adapter.weight.data.fill_(1.0 / 512)
    method.adapter.bias.data.zero_()
    wanted = seen[..., 1].expand(1, 256, 4, 11)
    assert told(method, rows, wanted) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("changes", [{"camera_z_m": 1.6}, {"camera_fov_deg": 70.0}, {"camera_height": 256}])
def test_a_student_with_another_camera_is_refused(changes):
    with pytest.raises(CardError, match="the rig 'shared'"):
        METHOD.build(context(replace(STUDENT, **changes)))


def test_a_student_of_several_pictures_is_refused():
    interfuser = find_network("interfuser").configurations[-1]
    with pytest.raises(CardError, match="one picture"):
        METHOD.build(context(interfuser, network="interfuser"))


def test_another_teacher_is_refused():
    assert METHOD.accepts("tcp", ["unified_encoder"]) == ""
    assert METHOD.accepts("tcp", ["tcp"]) and METHOD.accepts("unified_encoder", ["unified_encoder"]) and METHOD.accepts("tcp", [])
    with pytest.raises(ConfigError, match="--teacher"):
        training(bags=(), method="feature_imitation")


def test_the_recipes_are_read():
    folder = config_folder() / "recipes"
    imitates = train_config({"bags": (), "teacher": "seer"}, read_recipe(folder / "tcp_feature_imitation.yaml"))
    assert (imitates.network, imitates.size, imitates.method) == ("tcp", "7.6m", "feature_imitation")
    head = train_config({"bags": (), "warm_start": "seer"}, read_recipe(folder / "unified_tcp.yaml"))
    assert (head.network, head.size, head.method) == ("unified_tcp", "nano", "imitation")
    assert (imitates.batch, imitates.epochs, imitates.lr) == (head.batch, head.epochs, head.lr)


def test_the_benchmark_trains_three_kinds_at_equal_samples_over_two_seeds():
    spec = find_spec("planner_on_encoder")
    models = read_benchmark(spec)
    assert set(models) == {f"{kind}_{seed}" for kind in ("fresh", "head", "imitates") for seed in (1, 2)}
    assert {one.label for one in models.values()} == set(spec.labels)


@pytest.fixture
def config(tmp_path):
    """A run of the smallest TCP on two recordings, and a tiny unified encoder of their camera with random weights."""
    torch.set_num_threads(1)
    for number, rate in enumerate((0.2, -0.2)):
        write_bag(tmp_path / "bags" / f"b{number}", rate=rate, seconds=3.4, seed=number, every=2)
    network = find_network("unified_encoder")
    seer = network.config({"size": "tiny", "camera_width": 64, "camera_height": 32, "camera_x_m": -1.5, "camera_z_m": 2.0})
    torch.manual_seed(0)
    save_model(tmp_path / "models" / "seer", "unified_encoder", seer, network.build_model(seer).state_dict())
    return training(bags=(tmp_path / "bags",), name="student", network="tcp", size="3.1m", input_height=32, input_width=64, batch=4,
                    epochs=1.0, lr=1e-3, validation_share=0.0, models_dir=tmp_path / "models", runs_dir=tmp_path / "runs", seed=1,
                    cache=tmp_path / "cache", progress=False, threads=1, device="cpu", precision="fp32", validate_minutes=0)


@pytest.mark.slow
def test_a_planner_learns_from_the_encoder(config):
    """The encoder answers once for each sample; its answers lie on the disk."""
    taught = replace(config, method="feature_imitation", teacher="seer")
    found = train(taught)
    card = read_card(config.models_dir / "student")
    assert found.finished and card.network == "tcp" and card.training["teacher"]["name"] == "seer"
    assert card.training["switches"]["weight"] == 1.0
    kept = {path.stem for path in config.cache.glob("*.teacher*/*.npy")}
    assert kept == {"stage4"}


@pytest.mark.slow
def test_a_planner_begins_with_the_encoder(config):
    """All of the encoder is taken, the head is fresh; the encoder moves more slowly than the head."""
    own = {"camera_x_m": -1.5, "camera_z_m": 2.0}
    begun = replace(config, network="unified_tcp", size="tiny", warm_start=config.models_dir / "seer", sections={"unified_tcp": own})
    assert train(begun).finished
    start = read_card(config.models_dir / "student").training["start"]
    before, after = (load_model(config.models_dir / name)[0].state_dict() for name in ("seer", "student"))
    encoder = [name for name in before if name.startswith("encoder.")]
    assert start["name"] == "seer" and start["taken"].startswith(f"{len(encoder)} of ")
    moved = [float((after[f"backbone.{name}"] - before[name]).abs().max()) for name in encoder if before[name].is_floating_point()]
    assert 0.0 < max(moved) < 0.01
