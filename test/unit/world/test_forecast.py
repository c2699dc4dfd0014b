"""What the expert expects of others and of its route: lanes, lights, indicators, stop lines, bends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.plans import make_route
from support.roads import actor, lane, line, road_of

from kd_planner_ros.core.scene import INDICATOR_LEFT, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.world import hazards
from kd_planner_ros.world.actor_view import near, view
from kd_planner_ros.world.drive_path import DrivePath
from kd_planner_ros.world.forecast import Forecaster
from kd_planner_ros.world.lane_index import LaneIndex

TIMES = np.arange(1, 9) * 0.5
ARC = np.linspace(0.0, math.pi / 2, 12)


def make_road():
    """A street with a signal at x = 50 and a left turn in the junction behind it."""
    left = np.stack([50 + 12 * np.sin(ARC), 12 - 12 * np.cos(ARC)], axis=1)
    return road_of(lane("in", line([0, 0], [50, 0]), ("left", "mid")), lane("left", left, ("up",), "j", "l"),
                   lane("mid", line([50, 0], [74, 0]), ("out",), "j"), lane("up", line([62, 12], [62, 90])),
                   lane("out", line([74, 0], [200, 0])), gate="signal")


def signals(state=LightState.GREEN):
    table = np.zeros(1, SIGNAL_DTYPE)
    table["state"] = state
    return table


def moving(x, y=0.0, v=8.0, **more):
    return actor(x, y, speed=v, **more)


def expect(one, state=LightState.GREEN, before=None):
    """Boxes [T, 5] of one actor; ``before`` are its rows in earlier ticks."""
    road = make_road()
    forecaster = Forecaster(road, LaneIndex(road), TIMES)
    for tick, row in enumerate([*(before or []), one]):
        boxes = forecaster.boxes(view(row), signals(state), 0.05 * (tick + 1))
    return boxes[:, 0]


def test_a_vehicle_goes_straight_on_unless_it_indicates():
    straight = expect(moving(40.0))
    assert straight[:, 0] == pytest.approx(40 + 8 * TIMES, abs=0.05) and np.abs(straight[:, 1]).max() < 0.05
    turned = expect(moving(40.0, lights=INDICATOR_LEFT))
    assert turned[-1, 1] > 10.0 and turned[-1, 2] == pytest.approx(math.pi / 2, abs=0.1)
    assert turned[-1, 0] == pytest.approx(62.0, abs=0.3)


def test_a_vehicle_keeps_its_place_beside_the_centre_line():
    assert expect(moving(10.0, y=0.5))[:, 1] == pytest.approx(np.full(8, 0.5), abs=1e-6)


def test_a_vehicle_stops_at_red_if_it_can_and_else_runs_it():
    assert expect(moving(25.0), LightState.RED)[-1, 0] == pytest.approx(50.0 - 2.25)
    assert expect(moving(46.0, v=12.0), LightState.RED)[-1, 0] > 80.0
    assert expect(moving(25.0), LightState.GREEN)[-1, 0] > 55.0


def test_a_braking_vehicle_comes_to_a_stand_and_a_starting_one_gains_speed():
    braking = [moving(0.4 * i, v=8.0 - 0.15 * i) for i in range(30)]
    assert expect(braking[-1], before=braking[:-1])[-1, 0] < 0.4 * 29 + 3.65**2 / (2 * 2.5)
    starting = [moving(5.0, v=0.1 * i) for i in range(10)]
    assert expect(starting[-1], before=starting[:-1])[3, 0] > 5.0 + 0.9 * 2.0 + 1.5


def test_a_walker_keeps_its_velocity():
    walker = expect(moving(20.0, y=-4.0, v=1.5, yaw=math.pi / 2, kind=ActorKind.PEDESTRIAN))
    assert walker[:, 1] == pytest.approx(-4.0 + 1.5 * TIMES, abs=1e-3)


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
    both = np.concatenate([moving(40.0, v=2.0, identity=1), moving(30.0, v=0.0, identity=2),
                           moving(15.0, y=3.5, v=0.0, identity=3)])
    limit, hazard, followed = hazards.lead_limit(path, 5.0, 6.0, 6.5, view(both))
    assert hazard.actor_id == 2 and hazard.distance_m == pytest.approx(30 - 5 - 2.45 - 2.25, abs=0.6)
    assert limit < -0.2 and followed.tolist() == [True, True, False]
    assert hazards.lead_limit(path, 5.0, 6.0, 6.5, view(both[2:]))[1] is None


def test_near_takes_a_square():
    table = np.concatenate([moving(0.0), moving(30.0, identity=2), moving(0.0, y=-100.0, identity=3)])
    assert near(table, 0.0, 0.0, 50.0).id.tolist() == [1, 2]
