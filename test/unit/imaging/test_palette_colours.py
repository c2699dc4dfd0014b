"""CARLA's semantic colours there and back."""

import numpy as np
import pytest

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.palette import TAGS, bgra_of_ids, colour_ids, ids_of_colours


def test_every_tag_survives_its_colour():
    ids = np.arange(len(TAGS), dtype=np.uint8).reshape(1, -1)
    rgb = colour_ids(ids)
    assert rgb[0, 1].tolist() == [128, 64, 128] and rgb[0, 14].tolist() == [0, 0, 142]  # road, car: contract A4
    np.testing.assert_array_equal(ids_of_colours(rgb), ids)
    bgra = bgra_of_ids(ids)
    np.testing.assert_array_equal(bgra[..., 2::-1], rgb)
    assert (bgra[..., 3] == 255).all()


def test_a_colour_outside_the_palette_is_refused():
    with pytest.raises(SensorError, match=r"\[1, 2, 3\]"):
        ids_of_colours(np.array([[[128, 64, 128], [1, 2, 3]]], np.uint8))
