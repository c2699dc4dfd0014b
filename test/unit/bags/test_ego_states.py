"""Speeds of data sets that publish places alone."""

import math

import numpy as np
import pytest

from kd_planner_ros.bags.ego_states import ego_states, way_driven
from kd_planner_ros.core.ego import Command, Pose

STEP_NS = 500_000_000


def test_nothing_of_the_future_is_told():
    poses = [Pose(0.5 * number) for number in range(6)]
    braked = [*poses[:4], poses[3], poses[3]]
    stamps = [STEP_NS * number for number in range(6)]
    assert ego_states(stamps, poses)[:4] == ego_states(stamps, braked)[:4]
    assert [one.speed_mps for one in ego_states(stamps, braked)] == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    assert ego_states(stamps, braked)[4].acceleration_mps2 == pytest.approx(-2.0)


def test_an_arc_has_its_speed_and_its_yaw_rate():
    radius, rate = 20.0, 0.25
    angles = rate * 0.5 * np.arange(8) + 3.0  # past pi
    poses = [Pose(radius * math.sin(one), -radius * math.cos(one), yaw=math.remainder(one, math.tau)) for one in angles]
    for state in ego_states([STEP_NS * number for number in range(8)], poses):
        assert state.speed_mps == pytest.approx(radius * rate, rel=1e-3) and state.yaw_rate_rps == pytest.approx(rate)


def test_backwards_is_negative():
    states = ego_states([0, STEP_NS], [Pose(1.0), Pose(0.0)])
    assert [one.speed_mps for one in states] == [-2.0, -2.0]


@pytest.mark.parametrize("stamps", [[0], [0, 0]])
def test_one_pose_has_no_speed(stamps):
    with pytest.raises(ValueError, match="two poses"):
        ego_states(stamps, [Pose()] * len(stamps))


def test_the_way_driven_is_thinned_and_goes_on_with_its_commands():
    states = ego_states([STEP_NS * number for number in range(5)], [Pose(0.5 * number) for number in range(5)])
    route = way_driven("r", "t", states, np.array([Command.LEFT] * 3 + [Command.RIGHT] * 2, np.int8))
    assert route.points[:4].tolist() == [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]] and len(route.points) == 3 + 50
    assert route.commands[:4].tolist() == [Command.LEFT, Command.LEFT, Command.RIGHT, Command.LANE_FOLLOW]
    assert set(way_driven("r", "t", states).commands.tolist()) == {Command.LANE_FOLLOW}
