"""Attitude to quaternion and back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.attitude import optical, pose_from, quaternion_of
from kd_planner_ros.geometry.frames import rotation_3d

ANGLES = st.floats(-3.1, 3.1)


def test_a_quarter_turn_to_the_left():
    half = math.sqrt(0.5)
    assert quaternion_of(Pose(yaw=math.pi / 2)) == pytest.approx((0.0, 0.0, half, half))


def test_all_zeros_mean_no_rotation():
    assert pose_from((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 0.0)) == Pose(1.0, 2.0, 3.0)


@given(ANGLES, st.floats(-1.5, 1.5), ANGLES, st.floats(0.1, 10.0))
def test_round_trip_of_any_length(yaw, pitch, roll, length):
    back = pose_from((0.0, 0.0, 0.0), tuple(length * part for part in quaternion_of(Pose(yaw=yaw, pitch=pitch, roll=roll))))
    assert (back.yaw, back.pitch, back.roll) == pytest.approx((yaw, pitch, roll), abs=1e-5)


@given(ANGLES, st.floats(-1.5, 1.5), ANGLES)
def test_the_optical_frame_looks_where_the_camera_does(yaw, pitch, roll):
    """Its z is the mount's x (ahead), its x the mount's -y (right), its y the mount's -z (down)."""
    mount = Pose(1.0, 2.0, 3.0, yaw, pitch, roll)
    frame = optical(mount)
    assert (frame.x, frame.y, frame.z) == (1.0, 2.0, 3.0)
    body = rotation_3d(mount)
    np.testing.assert_allclose(rotation_3d(frame), np.stack([-body[:, 1], -body[:, 2], body[:, 0]], 1), atol=2e-5)
