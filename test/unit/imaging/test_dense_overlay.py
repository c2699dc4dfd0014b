"""Dense outputs in colours: what shows, what stays, which colours are equal."""

import numpy as np
import pytest

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.imaging.dense_overlay import SHARE, overlay, paint

GREY = np.full((4, 6, 3), 100, np.uint8)


def test_the_picture_shows_where_nothing_is_said():
    depth = np.full((4, 6), 5.0, np.float32)
    depth[0, 0] = np.nan
    ids = np.zeros((4, 6), np.int32)
    ids[1, 1] = 7
    mask = ids > 0
    for output, silent in ((DenseOutput("depth", depth), np.isnan(depth)), (DenseOutput("ids", ids), ids == 0),
                           (DenseOutput("mask", mask), ~mask)):
        drawn = overlay(GREY, output)
        assert (drawn[silent] == 100).all() and (drawn[~silent] != 100).any(1).all(), output.kind


def test_the_mixture_is_the_share_of_the_colour():
    colour, shown = paint(DenseOutput("mask", np.ones((4, 6), bool)))
    assert shown.all()
    drawn = overlay(GREY, DenseOutput("mask", np.ones((4, 6), bool)))
    assert drawn[0, 0].tolist() == np.rint(SHARE * colour[0, 0] + (1 - SHARE) * 100.0).tolist()  # 0.55 * 230 + 45 = 171.5 -> 172


def test_equal_ids_have_equal_colours_and_near_ones_differ():
    colours, _ = paint(DenseOutput("classes", np.arange(29, dtype=np.uint8).reshape(1, 29)))
    assert len({tuple(colour) for colour in colours[0].tolist()}) == 29
    again, _ = paint(DenseOutput("ids", np.array([[3, 3, -2]], np.int32)))
    assert (again[0, 0] == again[0, 1]).all() and (again[0, 0] == colours[0, 3]).all() and (again[0, 2] != again[0, 0]).any()


@pytest.mark.parametrize("kind, near, far", [("depth", 2.0, 80.0), ("probability", 0.0, 1.0)])
def test_levels_saturate_and_differ(kind, near, far):
    colours, known = paint(DenseOutput(kind, np.array([[near, far, 2.0 * far]], np.float32)))
    assert known.all() and (colours[0, 0] != colours[0, 1]).any() and (colours[0, 1] == colours[0, 2]).all()


def test_the_picture_is_scaled_to_the_output():
    flow = np.zeros((2, 3, 3), np.float32)
    flow[0, 0] = 3.0, 0.0, 4.0
    drawn = overlay(GREY, DenseOutput("flow", flow))
    assert drawn.shape == (2, 3, 3) and (drawn[0, 0] != drawn[1, 1]).any()
