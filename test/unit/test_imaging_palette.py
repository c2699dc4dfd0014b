"""Semantic palettes of both CARLA generations, and scaling."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.palette import LEGACY_TAGS, TAGS, colour_ids, ids_of_colours, upgrade_ids
from kd_planner_ros.imaging.resize import resize_labels, resize_rgb


def test_colours_are_one_to_one():
    for tags in (TAGS, LEGACY_TAGS):
        assert len({colour for _, colour in tags}) == len({name for name, _ in tags}) == len(tags)


def test_ids_survive_the_palette():
    ids = np.arange(len(TAGS), dtype=np.uint8).reshape(1, -1)
    assert np.array_equal(ids_of_colours(colour_ids(ids)), ids)
    assert colour_ids(np.uint8([[1]])).tolist() == [[[128, 64, 128]]]


@pytest.mark.parametrize("old, new", [(7, 1), (6, 24), (10, 14), (4, 12), (12, 8), (18, 7), (22, 10), (200, 0)])
def test_old_ids_in_the_new_numbering(old, new):
    assert upgrade_ids(np.uint8([[old]])).item() == new


def test_old_pictures_come_out_in_the_new_numbering():
    terrain, fence = LEGACY_TAGS[22][1], LEGACY_TAGS[2][1]
    assert ids_of_colours(np.uint8([[terrain, fence]]), legacy=True).tolist() == [[10, 5]]
    with pytest.raises(SensorError, match="carla_version"):
        ids_of_colours(np.uint8([[terrain]]))


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
