"""A plan with road users, and the controller that it asks for, as it travels from the planner to the controller."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections
from kd_planner_ros.core.records import Command, NavigationGoal, Plan, Trajectory
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.ros.adapters import standard


def plan(seen, follow="safety"):
    points = np.stack([np.arange(3.0, 13.0), np.linspace(0.0, 1.0, 10)], axis=1)
    return Plan(7, Trajectory(7, points, 0.2 * np.arange(1, 11)), NavigationGoal(np.array([20.0, -3.0]), Command.LEFT),
                notes={"p_red": 0.25}, follow=follow,
                detections=None if seen is None else Detections(seen))


def there_and_back(sent):
    joints, state = standard.trajectory_to_joints(sent.trajectory, "ego_vehicle"), standard.plan_to_state(sent, "ego_vehicle")
    return state, standard.plan_from_msgs(joints, state)


def test_road_users_are_exact_to_the_bit():
    seen = np.zeros(3, DETECTION_DTYPE)
    rng = np.random.default_rng(0)
    for name in DETECTION_DTYPE.names[2:]:
        seen[name] = rng.normal(size=3)
    seen["id"] = 2**40, -1, 7
    seen["kind"] = ActorKind.CAR, ActorKind.BICYCLE, ActorKind.PEDESTRIAN
    _, back = there_and_back(plan(seen))
    assert np.array_equal(back.detections.rows, seen) and back.follow == "safety" and back.notes == {"p_red": 0.25}


def test_nobody_is_not_the_same_as_not_looking():
    assert len(there_and_back(plan(np.zeros(0, DETECTION_DTYPE)))[1].detections) == 0
    assert there_and_back(plan(None))[1].detections is None


def test_other_planners_send_what_they_always_sent():
    state, back = there_and_back(plan(None, "pid"))
    assert list(state.name) == ["target_x", "target_y", "command", "inference_ms", "note/p_red"] and back.follow == "pid"
