"""Frames: hand-computed points, and round trips over random poses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry import frames

metres = st.floats(-500, 500)
angles = st.floats(-math.pi, math.pi)


def test_point_north_of_a_car_looking_north_is_ahead():
    ego = Pose(x=10, y=20, yaw=math.pi / 2)
    assert frames.to_base(np.array([[10, 25], [8, 20]]), ego) == pytest.approx(np.array([[5, 0], [0, 2]]))


def test_planner_frame_is_right_and_backward():
    assert frames.base_to_planner(np.array([5.0, 0.0])) == pytest.approx([0.0, -5.0])
    assert frames.base_to_planner(np.array([0.0, -2.0])) == pytest.approx([2.0, 0.0])


@given(metres, metres, angles, metres, metres)
def test_base_round_trip(x, y, yaw, px, py):
    ego, point = Pose(x=x, y=y, yaw=yaw), np.array([px, py])
    assert frames.from_base(frames.to_base(point, ego), ego) == pytest.approx(point, abs=1e-8)
    assert frames.planner_to_base(frames.base_to_planner(point)) == pytest.approx(point)
    assert frames.gnss_to_map(frames.map_to_gnss(point)) == pytest.approx(point, abs=1e-6)


def test_planner_frame_equals_the_leaderboard_formula():
    """Spec section 0: p = Rot(theta + pi/2)^T (G_target - G_ego), G = (north, east), theta the compass."""
    ego, target = Pose(x=3, y=-7, yaw=0.6), np.array([20.0, 4.0])
    angle = frames.yaw_to_compass(ego.yaw) + math.pi / 2
    north_east = np.array([target[1] - ego.y, target[0] - ego.x])
    expected = frames.rotation_2d(angle).T @ north_east
    assert frames.base_to_planner(frames.to_base(target, ego)) == pytest.approx(expected)


def test_rotation_3d_turns_a_left_yawed_camera_axis_to_the_left_and_pitch_down():
    assert frames.rotation_3d(Pose(yaw=math.pi / 2)) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert frames.rotation_3d(Pose(pitch=math.pi / 6)) @ [1, 0, 0] == pytest.approx([math.cos(math.pi / 6), 0, -0.5])
