"""The ego-status network: what it is told, what its samples are, and a training without a picture of a known name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.bags import RIG, SPEED, write_bag
from support.frames import frame
from support.training import but, training_in

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import BagError, ConfigError, SensorError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recipes import read_recipe, train_config
from kd_planner_ros.distill.recorded import _require_trainable, cameras, require_sensors
from kd_planner_ros.distill.train import train
from kd_planner_ros.evaluation.cooperative.config import CooperativeConfig
from kd_planner_ros.evaluation.cooperative.run import run
from kd_planner_ros.networks.ego_status.config import CONFIGURATIONS, EgoStatusConfig
from kd_planner_ros.networks.ego_status.model import build_model
from kd_planner_ros.networks.ego_status.processor import build_processor
from kd_planner_ros.networks.ego_status.training import TrainOptions, build_task, config_fields
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards


def drives(folder, seconds=8.0, **options):
    """One drive to the left and one to the right at 5 m/s, with commands that say so."""
    for number, rate in enumerate((0.2, -0.2)):
        write_bag(folder / "bags" / f"b{number}", rate=rate, seconds=seconds, seed=number, every=5, **options)


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    return training_in(tmp_path, name="blind", network="ego_status", size="nano", batch=8, epochs=40.0, lr=3e-3, precision="fp32")


def learner_of(config):
    learner = Learner(config, join("cpu"), *cameras(find_bags(config.bags)[0]))
    return learner, Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))


def told(speed=6.0, command=Command.LEFT, target=(15.0, 3.0)):
    return Frame(7, EgoState(7, Pose(), speed), NavigationGoal(np.array(target), command))


# --- the network ---------------------------------------------------------------------------------------------------------

def test_it_is_told_speed_and_command_and_the_target_where_asked():
    """6 m/s is a half of 12; LEFT is the first command; (15, 3) m is (0.5, 0.1) of 30 m."""
    alone, more = (build_processor(EgoStatusConfig(target=target)).encode([told()])["state"] for target in (False, True))
    assert alone.tolist() == [[0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    assert more[0].tolist() == pytest.approx([*alone[0].tolist(), 0.5, 0.1])
    processor = build_processor(EgoStatusConfig())
    near, far = (processor.encode([told(target=target)])["state"] for target in ((1.0, 0.0), (40.0, -9.0)))
    assert torch.equal(near, far)
    void, follow = (processor.encode([told(command=command)])["state"] for command in (Command.VOID, Command.LANE_FOLLOW))
    assert torch.equal(void, follow)
    with pytest.raises(SensorError, match="finite speed"):
        processor.encode([told(speed=float("nan"))])


def test_a_network_that_corrects_nothing_keeps_speed_and_heading():
    config = EgoStatusConfig(steps=6)
    model, processor = build_model(config), build_processor(config)
    for parameter in model.layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    plan = processor.decode(model(**processor.encode([told()])), told())
    np.testing.assert_allclose(plan.trajectory.points, [[3.0 * step, 0.0] for step in range(1, 7)], atol=1e-6)
    assert plan.trajectory.times_s.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0] and plan.stamp_ns == 7 and plan.control is None


@pytest.mark.parametrize("fields, words", [
    ({"size": "huge"}, "size of an ego-status network out of nano"), ({"steps": 0}, "steps: a whole number from 1"),
    ({"steps": True}, "steps: a whole number"), ({"steps": 2.0}, "steps: a whole number"), ({"steps": 30}, "at most 10 s"),
    ({"step_s": 0.0}, "at most 10 s"), ({"step_s": float("nan")}, "at most 10 s")])
def test_impossible_configs_are_named(fields, words):
    with pytest.raises(ConfigError, match=words):
        EgoStatusConfig(**fields)


def test_it_needs_no_sensor():
    assert all(one.rig == SensorRig() for one in CONFIGURATIONS)
    assert config_fields("nano", TrainOptions(steps=6), RIG.cameras[0], {}) == {"size": "nano", "steps": 6, "step_s": 0.5, "target": False}


# --- samples -------------------------------------------------------------------------------------------------------------

def test_samples_are_rows_alone_whatever_the_camera_is_called(config, tmp_path):
    drives(tmp_path, camera="roof")
    learner, samples = learner_of(but(config, steps=6))
    shard = samples.shards[0]
    assert shard.images.shape == (len(shard.rows), 0, 0, 3) and not shard.fields and shard.rows["future"].shape[1:] == (6, 2)
    batch = samples.fetch(np.arange(4))
    inputs, targets = learner.tensors(batch)
    assert set(inputs) == {"state"} and inputs["state"][:, 0].tolist() == pytest.approx([SPEED / 12.0] * 4)
    np.testing.assert_allclose(targets["held"][0], [[SPEED * 0.5 * step, 0.0] for step in range(1, 7)], rtol=1e-5)
    np.testing.assert_allclose(targets["waypoints"], batch.rows["future"])


def test_a_recording_without_a_camera_is_refused(config, tmp_path):
    write_bag(tmp_path / "bags" / "b0", seconds=6.0, leave_out="camera")
    with pytest.raises(BagError, match="the cameras none"):
        learner_of(config)


def test_hidden_speeds_are_zero_and_targets_move_where_they_are_read(config, tmp_path):
    drives(tmp_path)
    learner, samples = learner_of(but(config, target=True, speed_dropout=0.5))
    rows = samples.rows[:2]
    state = learner.task.inputs(rows, {MAIN: torch.zeros(2, 0, 0, 3)}, np.array([True, False]))["state"]
    assert state[0, 0] == 0.0 and state[1, 0] > 0.0 and state.shape == (2, 9)
    assert build_task(build_processor(EgoStatusConfig())).reads == ("speed",)
    with pytest.raises(ConfigError, match="target"):
        train(but(config, target_stretch=0.5))


def test_unknown_waypoints_count_for_nothing(config, tmp_path):
    drives(tmp_path)
    learner, samples = learner_of(config)
    batch = samples.fetch(np.arange(3))
    batch.rows["future"][0], batch.rows["future"][1, 4:] = np.nan, np.nan
    _, targets = learner.tensors(batch)
    outputs = {"waypoints": targets["waypoints"] + torch.tensor([3.0, 4.0])}
    loss = learner.task.loss(outputs, targets, {})
    assert float(loss.total) == pytest.approx(3.5)  # the mean of 3 m ahead and 4 m aside
    figures = learner.task.figures(outputs, targets)
    assert figures["l2_m"] == pytest.approx((5.0 * 13, 13)) and figures["l2_end_m"] == pytest.approx((5.0, 1))


# --- trainings -----------------------------------------------------------------------------------------------------------

def test_it_learns_the_turn_from_the_command_and_stands_in_the_benchmark(config, tmp_path):
    """Both drives go 5 m/s; the commands alone tell them apart, so kept velocity is metres off."""
    drives(tmp_path)
    report = train(config)
    card = read_card(tmp_path / "models" / "blind")
    assert report.finished and card.config["steps"] == 9 and card.network == "ego_status"
    planner = load_planner(tmp_path / "models" / "blind", engine="torch")
    plan = planner.plan(replace(frame(planner.rig, 0), ego=EgoState(0, Pose(), SPEED)))
    assert plan.trajectory.points.shape == (9, 2) and not planner.rig.cameras
    found = run(CooperativeConfig(bag=tmp_path / "bags", planner=str(tmp_path / "models" / "blind"), engine="torch"), progress=False)
    assert found["l2_mean_m"] < 0.6 * found["held_velocity"]["l2_mean_m"] and found["bytes_per_s"] == {"raw": 0.0, "sent": 0.0}


def test_a_recording_that_it_can_be_trained_on_is_told(config, tmp_path):
    write_bag(tmp_path / "bags" / "b0", seconds=6.0, camera="roof")
    require_sensors(config)
    with open_bag(tmp_path / "bags" / "b0") as recording:
        _require_trainable(recording, "ego_status")


def test_the_recipe_is_read(tmp_path):
    recipe = read_recipe(config_folder() / "recipes" / "ego_status.yaml")
    made = train_config({"bags": (tmp_path,), "ego_status.steps": 6}, recipe)
    assert made.network == "ego_status" and made.options("ego_status") == TrainOptions(steps=6)
