"""InterFuser's targets: waypoints of the plan, the traffic map, lights ahead."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.ego import Command, Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.driving.safety.peaks import find_objects
from kd_planner_ros.networks.interfuser.targets import (
    SCALES, cell_centres, path_targets, red_ahead, rule_classes, sample_targets, traffic_map)


def straight(length=40, command=Command.LANE_FOLLOW):
    points = np.stack([np.arange(length, dtype=float), np.zeros(length)], axis=1)
    return Route("r", "t", points, np.zeros(length), np.full(length, int(command), np.int8), points[[0, -1]])


def actors(*rows):
    out = np.zeros(len(rows), ACTOR_DTYPE)
    for index, (kind, x, y, yaw, length, width, speed) in enumerate(rows):
        out[index]["kind"], out[index]["x"], out[index]["y"], out[index]["yaw"] = kind, x, y, yaw
        out[index]["length"], out[index]["width"] = length, width
        out[index]["vx"], out[index]["vy"] = speed * math.cos(yaw), speed * math.sin(yaw)
    return out


def grid(*rows, ego=Pose()):
    return traffic_map(actors(*rows), ego).reshape(20, 20, 7)


def test_waypoints_are_the_next_points_of_the_plan():
    """At x = 10.2 the farthest point within 4 m is 14: the ten points are 14 to 23, 3.8 to 12.8 m ahead."""
    poses = np.stack([np.arange(0, 10.3, 0.2), np.zeros(52), np.zeros(52)], axis=1)
    path = path_targets(straight(), poses)
    assert path.shape == (52, 10, 2)
    assert path[-1] == pytest.approx(np.stack([np.arange(3.8, 13.0), np.zeros(10)], axis=1))
    assert path[0, 0] == pytest.approx([4.0, 0.0])


def test_waypoints_turn_with_the_car():
    path = path_targets(straight(), np.array([[0.0, 1.0, math.pi / 2]]))  # looks to the left, 1 m left of the plan
    assert path[0, 0] == pytest.approx([-1.0, -3.0])  # point (3, 0): 3 m to its right, 1 m behind


def test_points_past_the_end_are_missing():
    poses = np.stack([np.arange(0, 36.0), np.zeros(36), np.zeros(36)], axis=1)
    path = path_targets(straight(), poses)
    assert np.isfinite(path[-1]).all(-1).tolist() == [True] * 2 + [False] * 8  # two are always kept
    assert path[-1, 1] == pytest.approx([4.0, 0.0])


def test_cells_lie_where_the_map_says():
    centres = cell_centres()
    assert centres[0, 0].tolist() == [17.5, 9.5] and centres[19, 19].tolist() == [-1.5, -9.5]


def test_a_car_ahead_by_hand():
    """4.8 x 1.8 m at 10.5 m ahead on the middle line covers rows 17.5 - i in 8.1 ... 12.9 and columns of y = +-0.5."""
    found = grid((ActorKind.CAR, 10.5, 0.0, 0.0, 4.8, 1.8, 6.0))
    filled = np.argwhere(found[..., 0] > 0)
    assert sorted(set(filled[:, 0])) == [5, 6, 7, 8, 9] and sorted(set(filled[:, 1])) == [9, 10]
    cell = found[7, 10]  # 10.5 m ahead, 0.5 m to the right of it: the car's centre is 0.5 m to the left
    assert cell == pytest.approx(np.array([1.0, -0.5 / 3.5, 0.0, 0.75, 2.4 / 3.5, 0.45, 0.75]), abs=1e-6)
    far = found[5, 9]  # 12.5 m ahead: 2 m before its centre, hence sqrt(0.5 / 2.0616)
    assert far[0] == pytest.approx(math.sqrt(0.5 / math.hypot(2.0, 0.5))) and far[2] == pytest.approx(-2.0 / 3.5)


def test_headings_are_angles_of_frame_p():
    for yaw, turn in ((0.0, 0.75), (math.pi / 2, 0.5), (math.pi, 0.25), (-math.pi / 2, 0.0)):
        heading = grid((ActorKind.CAR, 10.5, 0.5, yaw, 4.0, 1.8, 0.0))[7, 9, 3]
        assert min(abs(heading - turn), 1.0 - abs(heading - turn)) < 1e-6, yaw


def test_the_nearest_of_two_fills_a_cell():
    both = grid((ActorKind.CAR, 10.5, 0.0, 0.0, 4.8, 1.8, 1.0), (ActorKind.CAR, 12.3, 0.0, 0.0, 4.8, 1.8, 8.0))
    assert both[7, 9, 6] == pytest.approx(1 / 8) and both[5, 9, 6] == pytest.approx(1.0)


def test_a_cell_needs_five_per_cent():
    """A 0.5 m wide pedestrian box, 0.75 m after its enlargement, from 10.125 to 10.875 m: cell row 7 alone; and one whose
    edge reaches 0.02 m into the next cell does not fill it."""
    alone = grid((ActorKind.PEDESTRIAN, 10.5, 0.5, 0.0, 0.5, 0.5, 1.0))
    assert np.argwhere(alone[..., 0] > 0).tolist() == [[7, 9]]
    edge = grid((ActorKind.CAR, 10.5, 0.5, 0.0, 3.04, 0.9, 1.0))
    assert sorted(np.argwhere(edge[..., 0] > 0)[:, 0]) == [6, 7, 8]


def test_small_boxes_are_enlarged():
    """0.9 m becomes 1.35 m: it reaches 0.175 m into the four neighbours, and into the corners with 1 of 25 samples."""
    found = grid((ActorKind.PEDESTRIAN, 10.5, 0.5, 0.0, 0.9, 0.9, 1.0))
    assert np.argwhere(found[..., 0] > 0).tolist() == [[6, 9], [7, 8], [7, 9], [7, 10], [8, 9]]
    assert found[7, 9, 4] == pytest.approx(0.45 / 3.5)  # the box itself is told as it is


def test_who_is_not_in_the_map():
    assert not grid((ActorKind.STATIC, 10.0, 0.0, 0.0, 4.0, 2.0, 0.0)).any()
    assert not grid((ActorKind.CAR, 60.0, 0.0, 0.0, 4.0, 2.0, 0.0)).any()
    assert not grid().any()


def test_map_turns_with_the_car():
    there = grid((ActorKind.CAR, 100.0, 60.5, math.pi / 2, 4.8, 1.8, 6.0), ego=Pose(100.0, 50.0, yaw=math.pi / 2))
    here = grid((ActorKind.CAR, 10.5, 0.0, 0.0, 4.8, 1.8, 6.0))
    assert there == pytest.approx(here, abs=1e-5)


def test_what_is_taught_is_what_is_found():
    """A map of targets, read as a network's output, gives back a road user to the left and ahead of its cell's centre."""
    found = find_objects(grid((ActorKind.CAR, 10.7, -2.8, -0.3, 4.6, 1.9, 5.0)) * SCALES, cell_centres())
    best = found[found["probability"].argmax()]
    assert (best["x"], best["y"], best["yaw"]) == pytest.approx((10.7, -2.8, -0.3), abs=1e-5)
    assert (best["length"], best["width"], best["speed"], best["kind"]) == pytest.approx((4.6, 1.9, 5.0, ActorKind.CAR))


def light(x, state=LightState.RED, y0=-2.0, y1=2.0):
    out = np.zeros(1, SIGNAL_DTYPE)
    out[0]["state"], out[0]["stop_x0"], out[0]["stop_x1"], out[0]["stop_y0"], out[0]["stop_y1"] = state, x, x, y0, y1
    return out


@pytest.mark.parametrize("x, state, wanted", [
    (7.5, LightState.RED, True), (7.5, LightState.YELLOW, True), (7.5, LightState.GREEN, False),
    (7.5, LightState.OFF, False), (8.5, LightState.RED, False), (2.0, LightState.RED, True), (1.0, LightState.RED, False)])
def test_red_lights_ahead(x, state, wanted):
    path = np.stack([np.arange(3.0, 13.0), np.zeros(10)], axis=1)
    assert red_ahead(light(x, state), path, Pose()) is wanted


def test_lights_of_other_lanes_do_not_count():
    path = np.stack([np.arange(3.0, 13.0), np.zeros(10)], axis=1)
    assert not red_ahead(light(6.0, y0=2.0, y1=5.0), path, Pose())
    assert not red_ahead(light(6.0)[:0], path, Pose()) and not red_ahead(light(6.0), np.full((10, 2), np.nan), Pose())


def test_rule_classes():
    assert rule_classes(1.0, 1.0, 0.0).tolist() == [1, 0, 0]
    assert rule_classes(0.0, math.nan, 1.0).tolist() == [0, -1, 1]


def test_one_samples_targets():
    path = np.stack([np.arange(3.0, 13.0), np.zeros(10)], axis=1)
    found = sample_targets(path, Pose(), actors((ActorKind.CAR, 10.5, 0.0, 0.0, 4.8, 1.8, 6.0)), light(7.0),
                           {"junction": 1.0, "stop_sign": 0.0, "light": 2.0})
    assert found.rules.tolist() == [1, 0, 0] and found.traffic.shape == (400, 7) and found.traffic.any()
    assert sample_targets(path, Pose(), actors(), None, {}).rules.tolist() == [-1, -1, -1]
    with pytest.raises(BagError, match="/truth/objects"):
        sample_targets(path, Pose(), None, light(7.0), {})
