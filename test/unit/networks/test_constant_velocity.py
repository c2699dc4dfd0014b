"""The baseline planner: what it plans, and that it drives a route on its own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.route import Route
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.networks.constant_velocity.config import ConstantVelocityConfig
from kd_planner_ros.networks.constant_velocity.planner import ConstantVelocityPlanner, build_planner
from kd_planner_ros.networks.planner import require_planner


def frame(target, speed=0.0):
    return Frame(3, EgoState(3, Pose(), speed), NavigationGoal(np.array(target, float), Command.LANE_FOLLOW))


def test_points_by_hand():
    """4 m/s towards (30, 40), a 3-4-5 triangle: 2 m every 0.5 s, hence (1.2, 1.6) a step."""
    plan = build_planner().plan(frame((30, 40)))
    assert plan.trajectory.points == pytest.approx(np.array([[1.2, 1.6], [2.4, 3.2], [3.6, 4.8], [4.8, 6.4]]))
    assert plan.trajectory.times_s.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert plan.stamp_ns == 3 and plan.control is None


def test_own_speed_does_not_matter():
    a, b = build_planner().plan(frame((30, 0), 0.0)), build_planner().plan(frame((30, 0), 9.0))
    assert np.array_equal(a.trajectory.points, b.trajectory.points)


def test_on_top_of_the_target_it_goes_straight_on():
    points = build_planner().plan(frame((0, 0))).trajectory.points
    assert np.isfinite(points).all() and (points[:, 1] == 0).all() and points[-1, 0] == 8.0


@pytest.mark.parametrize("fields", [{"cruise_mps": 0.0}, {"cruise_mps": float("nan")}, {"points": 1}, {"step_s": 0.0}])
def test_impossible_choices(fields):
    with pytest.raises(ConfigError):
        ConstantVelocityConfig(**fields)


def test_it_keeps_the_contract():
    planner = require_planner(ConstantVelocityPlanner())
    assert planner.rig.cameras == () and planner.rig.lidars == ()


def test_it_drives_round_a_corner():
    """A kinematic bicycle behind the whole driver: it reaches the end of an L and stays within 4 m of it."""
    bend = [[40 + 8 * math.sin(a), 8 - 8 * math.cos(a)] for a in np.linspace(0, math.pi / 2, 12)]
    points = np.array([[i, 0.0] for i in range(40)] + bend + [[48.0, 8.0 + i] for i in range(1, 40)])
    commands = np.array([4] * 40 + [1] * 12 + [4] * (len(points) - 52), np.int8)
    driver = Driver(build_planner(), Route("r", "t", points, np.zeros(len(points)), commands, points[[0, -1]]))
    x = y = yaw = speed = 0.0
    worst = 0.0
    for tick in range(700):
        ego = EgoState(tick * 50_000_000, Pose(x, y, yaw=yaw), speed)
        control, _ = driver.step(Frame(ego.stamp_ns, ego, driver.goal(ego)) if tick % 2 == 0 else None, ego)
        assert control.reason == ""
        speed = max(0.0, speed + (3.0 * control.throttle - 8.0 * control.brake - 0.1 * speed) * 0.05)
        yaw += speed * math.tan(control.steer * 0.6) / 2.9 * 0.05
        x, y = x + speed * math.cos(yaw) * 0.05, y + speed * math.sin(yaw) * 0.05
        worst = max(worst, float(np.hypot(*(points - (x, y)).T).min()))
        if math.hypot(x - points[-1, 0], y - points[-1, 1]) < 5.0:
            break
    assert tick < 699 and worst < 4.0
