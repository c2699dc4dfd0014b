"""TCP's processor: frames, signs, normalisation and every refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.processor import TCPProcessor, beta_mode

torch.set_num_threads(1)
CONFIG = TCPConfig(size="3.1m", input_height=128, input_width=448)
PROCESSOR = TCPProcessor(CONFIG)


def frame(image=None, target=(20.0, 3.0), command=Command.LEFT, speed=6.0):
    image = np.full((256, 900, 3), 127, np.uint8) if image is None else image
    return Frame(5, EgoState(5, Pose(), speed), NavigationGoal(np.array(target), command), {"front": image})


def outputs(points=((0, -5), (1, -10), (2, -15), (3, -20)), alpha=(3.0, 3.0), beta=(2.0, 1.5)):
    return {"waypoints": torch.tensor([points], dtype=torch.float32), "speed": torch.tensor([[0.5]]),
            "alpha": torch.tensor([alpha]), "beta": torch.tensor([beta]),
            "attention": torch.full((1, 4, 4, 14), 1 / 56)}


def test_state_by_hand():
    """6 m/s is 0.5; 20 m ahead and 3 m left is (-3, -20) in frame P; LEFT is the first command."""
    state = PROCESSOR.encode([frame()])["state"]
    assert state.tolist() == [[0.5, -3.0, -20.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("command, index", [
    (Command.LEFT, 0), (Command.RIGHT, 1), (Command.STRAIGHT, 2), (Command.LANE_FOLLOW, 3),
    (Command.CHANGE_LANE_LEFT, 4), (Command.CHANGE_LANE_RIGHT, 5), (Command.VOID, 3)])
def test_command_one_hot(command, index):
    assert PROCESSOR.encode([frame(command=command)])["state"][0, 3:].argmax() == index


def test_image_is_normalised_rgb():
    image = np.zeros((256, 900, 3), np.uint8)
    image[..., 0] = 255
    tensor = PROCESSOR.encode([frame(image)])["image"]
    assert tuple(tensor.shape) == (1, 3, 128, 448)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert tensor[0, :, 5, 5].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rel=1e-5)


def test_left_half_stays_left():
    image = np.zeros((256, 900, 3), np.uint8)
    image[:, :450] = 255
    tensor = PROCESSOR.encode([frame(image)])["image"]
    assert tensor[0, 0, :, :200].min() > tensor[0, 0, :, 250:].max()


def test_prepared_pictures_pass_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (256, 900, 3), dtype=np.uint8)
    small = PROCESSOR.prepare(image)
    assert small.shape == (128, 448, 3)
    assert PROCESSOR.prepare(small) is small
    assert torch.equal(PROCESSOR.encode([frame(image)])["image"], PROCESSOR.encode([frame(small)])["image"])


@pytest.mark.parametrize("image", [
    np.zeros((600, 800, 3), np.uint8), np.zeros((256, 900), np.uint8), np.zeros((256, 900, 4), np.uint8),
    np.zeros((256, 900, 3), np.float32)], ids=["size", "grey", "alpha", "float"])
def test_wrong_pictures_are_refused(image):
    with pytest.raises(SensorError, match="front"):
        PROCESSOR.encode([frame(image)])


def test_missing_camera_is_named():
    with pytest.raises(SensorError, match="'front'.*'rear'"):
        PROCESSOR.encode([replace(frame(), images={"rear": np.zeros((256, 900, 3), np.uint8)})])


@pytest.mark.parametrize("bad", [{"speed": float("nan")}, {"target": (float("inf"), 0.0)}])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(SensorError, match="finite"):
        PROCESSOR.encode([frame(**bad)])


def test_decoded_waypoints_are_in_base_link():
    """(1, -10) in frame P is 10 m ahead and 1 m to the right: (10, -1)."""
    plan = PROCESSOR.decode(outputs(), frame())
    assert plan.trajectory.points.tolist() == [[5.0, 0.0], [10.0, -1.0], [15.0, -2.0], [20.0, -3.0]]
    assert plan.trajectory.times_s.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert plan.stamp_ns == plan.trajectory.stamp_ns == 5
    assert plan.attention.shape == (4, 14) and plan.attention.sum() == pytest.approx(1.0)
    assert plan.notes["speed_predicted_mps"] == pytest.approx(6.0)


def test_decoded_control_steers_left_positive():
    """Beta(3, 2): mode 2/3 -> acceleration 1/3. Beta(3, 1.5): mode 0.8 -> 0.6 to the RIGHT, -0.6 in core."""
    control = PROCESSOR.decode(outputs(), frame()).control
    assert (control.throttle, control.steer, control.brake) == pytest.approx((1 / 3, -0.6, 0.0))


def test_negative_acceleration_is_brake():
    control = PROCESSOR.decode(outputs(alpha=(2.0, 2.0), beta=(4.0, 2.0)), frame()).control
    assert (control.throttle, control.steer, control.brake) == pytest.approx((0.0, 0.0, 0.5))


def test_targets_and_decode_are_inverse():
    future = np.array([[[5.0, 0.5], [10, 1], [15, 2], [20, 4]]])
    actions = np.tile([0.6, -0.3], (1, 5, 1))
    targets = PROCESSOR.targets(future, actions, np.array([3.0]))
    plan = PROCESSOR.decode(outputs(points=targets["waypoints"][0].tolist()), frame())
    assert plan.trajectory.points == pytest.approx(future[0])
    assert targets["actions"][0, 0].tolist() == pytest.approx([0.8, 0.65])  # throttle 0.6; 0.3 right


@pytest.mark.parametrize("alpha, beta, mode", [
    (3.0, 2.0, 1 / 3), (2.0, 2.0, 0.0), (0.5, 2.0, -1.0), (1.0, 2.0, -1.0), (2.0, 0.5, 1.0), (2.0, 1.0, 1.0),
    (0.5, 0.5, 0.0), (0.9, 0.3, 0.5), (1.0, 1.0, 0.0)])
def test_beta_mode_cases(alpha, beta, mode):
    assert float(beta_mode(np.array(alpha), np.array(beta))) == pytest.approx(mode)


def test_nan_outputs_reach_the_plan():
    bad = outputs()
    bad["waypoints"][0, 1, 0] = float("nan")
    assert np.isnan(PROCESSOR.decode(bad, frame()).trajectory.points).any()
