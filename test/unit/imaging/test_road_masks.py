"""Masks of the road by the names of labels, by hand."""

import numpy as np
import pytest

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.imaging.road_masks import road_masks, sky_mask

IDS = np.array([[0, 1, 2, 255]], np.uint8)


@pytest.mark.parametrize(("labels", "drivable", "marking"), [
    (("Road", "RoadLine", "Sky"), [1, 1, 0, 0], [0, 1, 0, 0]),
    (("sky", "lane marking", "road"), [0, 1, 1, 0], [0, 1, 0, 0]),
    (("Road+RoadLine", "Car", "Sky"), [1, 0, 0, 0], None),
    (("railroad", "car", "sky"), None, None), ((), None, None)])
def test_masks_are_those_that_the_labels_can_tell(labels, drivable, marking):
    found = road_masks(DenseOutput("classes", IDS, labels))
    wanted = {name: [one] for name, one in (("drivable", drivable), ("lane_marking", marking)) if one is not None}
    assert {name: one.array.astype(int).tolist() for name, one in found.items()} == wanted


def test_sky_is_where_a_label_of_its_own_says_so():
    classes = np.array([[0, 1], [2, 255]], np.uint8)
    assert sky_mask(DenseOutput("classes", classes, ("road", "Sky", "car"))).tolist() == [[False, True], [False, False]]
    assert sky_mask(DenseOutput("classes", classes, ("road", "Sky+Vegetation", "car"))) is None
