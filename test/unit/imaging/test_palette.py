"""Semantic palettes of both CARLA generations, and scaling."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.palette import OLD_COLOURS, TAGS, colour_ids, ids_of_colours
from kd_planner_ros.imaging.resize import resize_labels, resize_rgb


def test_colours_are_one_to_one():
    assert len({colour for _, colour in TAGS} | set(OLD_COLOURS.values())) == len(TAGS) + len(OLD_COLOURS)
    assert len({name for name, _ in TAGS}) == len(TAGS) and set(OLD_COLOURS) < {name for name, _ in TAGS}


def test_ids_survive_the_palette():
    ids = np.arange(len(TAGS), dtype=np.uint8).reshape(1, -1)
    assert np.array_equal(ids_of_colours(colour_ids(ids)), ids)
    assert colour_ids(np.uint8([[1]])).tolist() == [[[128, 64, 128]]]


def test_pictures_of_every_carla_come_out_in_todays_numbering():
    """Terrain and fence before 0.9.14, road and sky of both, terrain and fence since."""
    picture = np.uint8([[(145, 170, 100), (100, 40, 40), (128, 64, 128), (70, 130, 180), (152, 251, 152), (190, 153, 153)]])
    assert ids_of_colours(picture).tolist() == [[10, 5, 1, 11, 10, 5]]


def test_a_colour_of_no_carla_is_refused():
    with pytest.raises(SensorError, match="the colour .145, 170, 101.; record .* without lossy compression"):
        ids_of_colours(np.uint8([[(145, 170, 101)]]))


def test_area_averaging_when_shrinking():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :2] = 200
    picture[0, 0] = 100
    assert resize_rgb(picture, 2, 2)[0, 0].tolist() == [175, 175, 175]  # (100 + 3 * 200) / 4


def test_same_size_is_not_touched():
    picture = np.zeros((4, 6, 3), np.uint8)
    assert resize_rgb(picture, 4, 6) is picture


def test_enlarging_interpolates_between_neighbours():
    assert resize_rgb(np.uint8([[0, 100]]), 1, 4).tolist() == [[0, 25, 75, 100]]


def test_labels_are_never_blended():
    labels = np.array([[0, 1000], [70000, 3]], np.int32)
    assert resize_labels(labels, 4, 4).tolist() == [
        [0, 0, 1000, 1000], [0, 0, 1000, 1000], [70000, 70000, 3, 3], [70000, 70000, 3, 3]]
    assert set(resize_labels(np.arange(64).reshape(8, 8), 3, 3).ravel()) <= set(range(64))
