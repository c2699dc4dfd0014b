"""Pictures of one camera as another one takes them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.fit import fit


def camera(width, height, fov):
    return CameraSpec("front", Pose(), width, height, fov)


def pinhole(focal, across, down):
    return np.array([[focal, 0.0, across], [0.0, focal, down], [0.0, 0.0, 1.0]])


def test_a_camera_of_the_same_view_gets_the_scaled_picture():
    fov = math.degrees(2.0 * math.atan(0.5))
    found = fit((40, 80), pinhole(80.0, 45.0, 19.5), camera(40, 20, fov))
    assert found.note == "" and found.place == (0, 0) and found.share == 1.0
    assert found.picture(np.full((40, 80, 3), 7, np.uint8)).shape == (20, 40, 3)


def test_optical_axes_meet_and_labels_follow_the_picture():
    labels = np.zeros((40, 80), np.uint8)
    labels[30, 20] = 9  # the pixel on the optical axis
    found = fit((40, 80), pinhole(50.0, 20.0, 30.0), camera(21, 21, math.degrees(2.0 * math.atan(21.0 / 100.0))))
    assert found.size == (40, 80) and found.labels(labels, 255)[10, 10] == 9
    picture = np.repeat(labels[..., None], 3, 2)
    assert found.picture(picture)[10, 10].tolist() == [9, 9, 9]
    assert found.labels(labels, 255)[20, 10] == 255, "beside the picture nothing is known"
    assert "they cover 95 % of its picture" in found.note


@given(st.integers(4, 40), st.integers(4, 40), st.floats(5.0, 80.0), st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), st.integers(4, 30),
       st.integers(4, 30), st.floats(20.0, 120.0))
def test_every_fit_has_the_cameras_size(rows, columns, focal, across, down, width, height, fov):
    found = fit((rows, columns), pinhole(focal, across, down), camera(width, height, fov))
    assert found.picture(np.full((rows, columns, 3), 3, np.uint8)).shape == (height, width, 3)
    laid = found.labels(np.ones((rows, columns), np.int32), 0)
    assert laid.shape == (height, width) and laid.mean() == pytest.approx(found.share)
