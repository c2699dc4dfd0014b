"""Boxes: overlap against a brute-force check, corners, polygons, segments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.geometry import boxes

box = st.tuples(st.floats(-6, 6), st.floats(-6, 6), st.floats(-4, 4), st.floats(0.5, 6), st.floats(0.5, 3))


def sampled_inside(box_a, box_b) -> bool:
    """True if any of a fine grid of points of a lies in b."""
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, 60), np.linspace(-0.5, 0.5, 60))
    c, s = math.cos(box_a[2]), math.sin(box_a[2])
    x = box_a[0] + c * u * box_a[3] - s * v * box_a[4] - box_b[0]
    y = box_a[1] + s * u * box_a[3] + c * v * box_a[4] - box_b[1]
    cb, sb = math.cos(box_b[2]), math.sin(box_b[2])
    return bool(np.any((np.abs(cb * x + sb * y) <= box_b[3] / 2) & (np.abs(cb * y - sb * x) <= box_b[4] / 2)))


@settings(max_examples=200, deadline=None)
@given(box, box)
def test_overlap_agrees_with_sampling(a, b):
    a, b = np.array(a), np.array(b)
    if sampled_inside(a, b):
        assert boxes.overlap_one(a, b[None])[0]
    shrunk = a.copy()
    shrunk[3:] += 0.25  # more than a cell of the sampling grid
    if not sampled_inside(shrunk, b) and not sampled_inside(b, shrunk):
        assert not boxes.overlap_one(a, b[None])[0]


def test_overlap_broadcasts_and_is_symmetric():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-3, 3, (40, 1, 5)), rng.uniform(-3, 3, (1, 30, 5))
    a[..., 3:], b[..., 3:] = 2.0, 1.0
    assert boxes.overlap(a, b).shape == (40, 30)
    assert np.array_equal(boxes.overlap(a, b), boxes.overlap(b, a))


def test_corners_start_front_left():
    assert boxes.corners(np.array([1.0, 2.0, 0.0, 4.0, 2.0])) == pytest.approx(
        np.array([[3, 3], [-1, 3], [-1, 1], [3, 1]]))


def test_polygon_and_segments():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    assert list(boxes.polygon_contains(square, np.array([[1, 1], [5, 1], [-1, 2], [3.9, 3.9]]))) == [1, 0, 0, 1]
    p = np.array
    assert boxes.segments_cross(p([0, 0]), p([2, 2]), p([0, 2]), p([2, 0]))
    assert not boxes.segments_cross(p([0, 0]), p([1, 0]), p([0, 1]), p([1, 1]))
