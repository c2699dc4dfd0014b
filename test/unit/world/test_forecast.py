"""What the expert expects of others and of its route: lanes, lights, indicators, stop lines, bends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kd_planner_ros.core.road import Lane, RoadMap, SignalSite
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, INDICATOR_LEFT, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.geometry.polyline import resample, yaws_along
from kd_planner_ros.world import hazards
from kd_planner_ros.world.actor_view import near, view
from kd_planner_ros.world.drive_path import DrivePath
from kd_planner_ros.world.forecast import Forecaster
from kd_planner_ros.world.lane_index import LaneIndex

TIMES = np.arange(1, 9) * 0.5
ARC = np.linspace(0.0, math.pi / 2, 12)


def line(*points):
    return np.array(points, float)


def make_road():
    left = np.stack([50 + 12 * np.sin(ARC), 12 - 12 * np.cos(ARC)], axis=1)
    lanes = [
        Lane("in", "in", 0, "driving", line([0, 0], [50, 0]), 3.5, 14.0, successors=("left", "mid")),
        Lane("left", ":j_0", 0, "driving", left, 3.5, 14.0, "j", ("up",), "l"),
        Lane("mid", ":j_1", 0, "driving", line([50, 0], [74, 0]), 3.5, 14.0, "j", ("out",), "s"),
        Lane("up", "up", 0, "driving", line([62, 12], [62, 90]), 3.5, 14.0),
        Lane("out", "out", 0, "driving", line([74, 0], [200, 0]), 3.5, 14.0),
    ]
    site = SignalSite(0, "in", np.array([65.0, 0, 5]), math.pi, line([50, -1.75], [50, 1.75]), (("j", 0),), "j")
    return RoadMap("hand", "", np.zeros(2), {lane.id: lane for lane in lanes}, {}, (site,), ())


def make_actor(x, y=0.0, v=8.0, yaw=0.0, kind=ActorKind.CAR, lights=0, identity=1):
    row = np.zeros(1, ACTOR_DTYPE)
    for name, value in (("id", identity), ("kind", kind), ("lights", lights), ("x", x), ("y", y), ("yaw", yaw), ("length", 4.5),
                        ("width", 1.9), ("vx", v * math.cos(yaw)), ("vy", v * math.sin(yaw))):
        row[name] = value
    return row


def signals(state=LightState.GREEN):
    table = np.zeros(1, SIGNAL_DTYPE)
    table["state"] = state
    return table


def expect(actor, state=LightState.GREEN, before=None):
    """Boxes [T, 5] of one actor; ``before`` are its rows in earlier ticks."""
    road = make_road()
    forecaster = Forecaster(road, LaneIndex(road), TIMES)
    for tick, row in enumerate([*(before or []), actor]):
        boxes = forecaster.boxes(view(row), signals(state), 0.05 * (tick + 1))
    return boxes[:, 0]


def test_a_vehicle_goes_straight_on_unless_it_indicates():
    straight = expect(make_actor(40.0))
    assert straight[:, 0] == pytest.approx(40 + 8 * TIMES, abs=0.05) and np.abs(straight[:, 1]).max() < 0.05
    turned = expect(make_actor(40.0, lights=INDICATOR_LEFT))
    assert turned[-1, 1] > 10.0 and turned[-1, 2] == pytest.approx(math.pi / 2, abs=0.1)
    assert turned[-1, 0] == pytest.approx(62.0, abs=0.3)


def test_a_vehicle_keeps_its_place_beside_the_centre_line():
    assert expect(make_actor(10.0, y=0.5))[:, 1] == pytest.approx(np.full(8, 0.5), abs=1e-6)


def test_a_vehicle_stops_at_red_if_it_can_and_else_runs_it():
    assert expect(make_actor(25.0), LightState.RED)[-1, 0] == pytest.approx(50.0 - 2.25)
    assert expect(make_actor(46.0, v=12.0), LightState.RED)[-1, 0] > 80.0
    assert expect(make_actor(25.0), LightState.GREEN)[-1, 0] > 55.0


def test_a_braking_vehicle_comes_to_a_stand_and_a_starting_one_gains_speed():
    braking = [make_actor(0.4 * i, v=8.0 - 0.15 * i) for i in range(30)]
    assert expect(braking[-1], before=braking[:-1])[-1, 0] < 0.4 * 29 + 3.65**2 / (2 * 2.5)
    starting = [make_actor(5.0, v=0.1 * i) for i in range(10)]
    assert expect(starting[-1], before=starting[:-1])[3, 0] > 5.0 + 0.9 * 2.0 + 1.5


def test_a_walker_keeps_its_velocity():
    walker = expect(make_actor(20.0, y=-4.0, v=1.5, yaw=math.pi / 2, kind=ActorKind.PEDESTRIAN))
    assert walker[:, 1] == pytest.approx(-4.0 + 1.5 * TIMES, abs=1e-3)


def make_route(*corners):
    points = resample(line(*corners), 1.0)
    return Route("r", "hand", points, yaws_along(points), np.full(len(points), 4, np.int8), points[[0, -1]])


def test_a_stop_line_passed_twice_is_two_gates_and_one_passed_backwards_none():
    there = make_route([0, 0], [80, 0], [80, 30], [-20, 30], [-20, 0], [90, 0])
    assert [round(gate.arc_m) for gate in DrivePath(make_road(), there).gates] == pytest.approx([50, 310], abs=2)
    assert DrivePath(make_road(), make_route([90, 0], [0, 0])).gates == []


def test_speed_limit_falls_before_a_bend():
    bend = [[50 + 8 * math.sin(a), 8 - 8 * math.cos(a)] for a in ARC]
    path = DrivePath(make_road(), make_route([0, 0], *bend, [58, 80]))
    slowest = int(path.limit_mps.argmin())
    assert 3.3 < path.limit_mps[slowest] < 4.3 and path.limit_mps[20] == 6.5
    decel = -np.diff(path.limit_mps**2) / 2.0 / np.diff(path.arc_m)
    assert decel.max() < 1.51


def test_locate_follows_a_route_that_crosses_itself_in_order():
    path = DrivePath(make_road(), make_route([0, 0], [80, 0], [80, 40], [40, 40], [40, -40]))
    assert path.locate(40.0, 0.5, 38.0) == pytest.approx((40.0, 0.5), abs=0.1)
    arc, offset = path.locate(40.0, 0.0, 198.0)
    assert arc == pytest.approx(200.0, abs=2.0) and abs(offset) < 0.1


def test_car_following_takes_the_nearest_in_the_corridor():
    path = DrivePath(make_road(), make_route([0, 0], [150, 0]))
    both = np.concatenate([make_actor(40.0, v=2.0, identity=1), make_actor(30.0, v=0.0, identity=2),
                           make_actor(15.0, y=3.5, v=0.0, identity=3)])
    limit, hazard, followed = hazards.lead_limit(path, 5.0, 6.0, 6.5, view(both))
    assert hazard.actor_id == 2 and hazard.distance_m == pytest.approx(30 - 5 - 2.45 - 2.25, abs=0.6)
    assert limit < -0.2 and followed.tolist() == [True, True, False]
    assert hazards.lead_limit(path, 5.0, 6.0, 6.5, view(both[2:]))[1] is None


def test_near_takes_a_square():
    table = np.concatenate([make_actor(0.0), make_actor(30.0, identity=2), make_actor(0.0, y=-100.0, identity=3)])
    assert near(table, 0.0, 0.0, 50.0).id.tolist() == [1, 2]
