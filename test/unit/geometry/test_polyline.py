"""Polylines: projection signs, resampling, curvature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.geometry import polyline

CORNER = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])


def test_projection_left_is_positive():
    foot = polyline.project(np.array([[4.0, 1.0], [4.0, -2.0], [9.0, 6.0], [-1.0, 0.0]]), CORNER)
    assert foot.arc_m == pytest.approx([4.0, 4.0, 16.0, 0.0])
    assert foot.offset_m == pytest.approx([1.0, -2.0, 1.0, 1.0])
    assert list(foot.segment) == [0, 0, 1, 0]


@given(st.floats(0, 20), st.floats(0.3, 3))
def test_points_on_the_line_project_onto_themselves(arc, step):
    point = polyline.at_arc(CORNER, polyline.arc_lengths(CORNER), np.array([arc]))
    foot = polyline.project(point, CORNER)
    assert foot.arc_m[0] == pytest.approx(arc, abs=1e-6)
    dense = polyline.resample(CORNER, step)
    gaps = np.diff(polyline.arc_lengths(dense))
    assert gaps.max() <= step + 1e-9 and np.array_equal(dense[[0, -1]], CORNER[[0, -1]])


def test_the_heading_along_a_left_circle():
    angle = np.linspace(0, 2, 50)
    circle = 8.0 * np.stack([np.cos(angle), np.sin(angle)], 1)
    assert polyline.yaws_along(circle)[25] == pytest.approx(angle[25] + np.pi / 2)
