"""PID and RoutePlanner: hand-computed answers, and a route that crosses itself."""

from __future__ import annotations

import numpy as np
import pytest
from support.plans import make_route

from kd_planner_ros.core.ego import Command, EgoState, Pose
from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.route import Route
from kd_planner_ros.driving.pid import Pid
from kd_planner_ros.driving.route_planner import RoutePlanner, sparse_indices


def at(x, y, yaw=0.0):
    return EgoState(0, Pose(x=x, y=y, yaw=yaw), 5.0)


def test_pid_matches_the_formula():
    pid = Pid(0.75, 0.75, 0.3, n=40)
    assert pid.step(0.4) == pytest.approx(0.75 * 0.4 + 0.75 * 0.4 / 40 + 0.3 * 0.4)
    assert pid.step(-0.2) == pytest.approx(-0.75 * 0.2 + 0.75 * 0.2 / 40 - 0.3 * 0.6)
    pid.reset()
    assert pid.step(0.0) == 0.0


def test_sparse_plan_keeps_changes_of_command_every_50_m_and_the_end():
    def commands(points):
        out = np.full(len(points), Command.LANE_FOLLOW, np.int8)
        out[70:80] = Command.LEFT
        out[100:103] = Command.CHANGE_LANE_RIGHT
        return out

    route = make_route([0, 0], [200, 0], commands=commands)
    # 52: the first point with MORE than 50 m counted before it, and the step onto a kept point is not counted
    assert list(sparse_indices(route)) == [0, 52, 70, 80, 100, 101, 102, 154, 200]


def test_target_is_the_next_sparse_point_and_is_passed_within_four_metres():
    planner = RoutePlanner(make_route([0, 0], [200, 0]))
    assert planner.step(at(0, 0)).target_point == pytest.approx([52, 0])
    assert planner.step(at(47, 1)).target_point == pytest.approx([5, -1])
    assert planner.step(at(49, 0)).target_point == pytest.approx([104 - 49, 0])
    assert planner.step(at(10, 0)).target_point == pytest.approx([94, 0]), "a point once passed stays passed"
    planner.reset()
    assert planner.step(at(0, 0)).target_point == pytest.approx([52, 0])


def test_last_point_stays_the_target():
    planner = RoutePlanner(make_route([0, 0], [30, 0]))
    assert planner.step(at(30, 0)).target_point == pytest.approx([0, 0])
    assert planner.step(at(33, 0)).target_point == pytest.approx([-3, 0])


def test_a_route_that_crosses_itself_is_followed_in_order():
    route = make_route([0, 0], [120, 0], [120, 60], [60, 60], [60, -80])
    planner, reached = RoutePlanner(route), []
    for point, yaw in zip(route.points, route.yaws):
        goal = planner.step(at(point[0], point[1], yaw))
        reached.append(planner._first)
        assert np.hypot(*goal.target_point) < 75
    assert reached == sorted(reached) and reached[-1] == len(planner._points) - 2
    assert len(set(reached)) == len(planner._points) - 1, "no sparse point was skipped"


def test_a_route_of_one_point_is_refused():
    point = np.zeros((1, 2))
    with pytest.raises(RouteError, match="two points"):
        RoutePlanner(Route("r", "t", point, np.zeros(1), np.full(1, 4, np.int8), point))


@pytest.mark.parametrize("x", [5.0, 51.0, 60.0, 150.0, 199.0])
def test_a_follower_that_begins_in_mid_route_aims_ahead(x):
    planner = RoutePlanner(make_route((0, 0), (200, 0)))
    target = planner.step(at(x, 0.5)).target_point
    assert target == pytest.approx([min(mark for mark in (52.0, 104.0, 156.0, 200.0) if mark > x + 4.0 or mark == 200.0) - x, -0.5])
    planner.reset()
    assert planner.step(at(0, 0)).target_point == pytest.approx([52, 0]), "a reset looks anew"


CROSSING = [[0, 0], [120, 0], [120, 60], [60, 60], [60, -80]]


@pytest.mark.parametrize("x, y, yaw, ahead", [
    (60.0, 0.0, 0.0, 60.0), (60.0, 0.0, -np.pi / 2, 300.0), (60.3, 1.0, 0.1, 60.0), (59.7, 1.0, -1.4, 300.0), (120.0, 40.0, 1.5, 160.0),
    (90.0, 62.0, -3.1, 210.0)])
def test_where_a_route_crosses_itself_the_heading_decides(x, y, yaw, ahead):
    """``ahead``: the car's place along the route, m."""
    route = make_route(*CROSSING)
    planner = RoutePlanner(route)
    planner.step(at(x, y, yaw))
    places = sparse_indices(route)  # points lie 1 m apart
    assert places[planner._first] <= ahead + 4.0 and places[planner._first + 1] > ahead - 4.0


def test_every_start_along_a_crooked_route_gives_the_targets_of_the_whole_drive():
    """A planner that is restarted anywhere aims where the one aims that drove all the way."""
    route = make_route(*CROSSING)
    whole = RoutePlanner(route)
    for point, yaw in zip(route.points, route.yaws):
        goal, fresh = whole.step(at(*point, yaw)), RoutePlanner(route).step(at(*point, yaw))
        near = np.hypot(*goal.target_point) <= 5.0 or np.hypot(*fresh.target_point) <= 5.0  # a point that is just passed
        assert near or fresh.target_point == pytest.approx(goal.target_point), point


def test_a_car_that_was_set_elsewhere_is_found_again():
    planner = RoutePlanner(make_route((0, 0), (400, 0)))
    planner.step(at(0, 0))
    assert planner.step(at(300, 0)).target_point[0] > 0.0


def test_a_state_that_is_not_finite_is_no_place():
    planner = RoutePlanner(make_route((0, 0), (200, 0)))
    planner.step(at(float("nan"), 0))
    assert planner.step(at(110, 0)).target_point == pytest.approx([46, 0])
