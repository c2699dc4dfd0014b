"""A roadside camera that was bumped or turned, by its pictures alone."""


import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.v2x import START_NS, Radio, S, actor, picture

from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.mounting import Mounting
from kd_planner_ros.v2x.settings import GatewaySettings

HALF_S = S // 2


def scene(x=0.0, bus=0.0):
    """Grey picture of 40 boxes, seen by a camera turned by the share ``x`` of its width; a bus hides the share ``bus`` of the width."""
    drawn = np.random.default_rng(5)
    grey = np.full((216, 384), 90, np.uint8)
    for left, top, wide, high, level in zip(drawn.uniform(-0.5, 1.5, 80), drawn.uniform(0, 1, 80), drawn.uniform(0.02, 0.2, 80),
                                            drawn.uniform(0.02, 0.3, 80), drawn.integers(0, 255, 80), strict=True):
        corners = np.rint(np.array([left - x, top, left - x + wide, top + high]) * (384, 216, 384, 216)).astype(int).tolist()
        cv2.rectangle(grey, corners[:2], corners[2:], int(level), -1)
    grey[40:180, 100:100 + round(bus * 384)] = 200
    return np.clip(grey + drawn.normal(0.0, 2.0, grey.shape), 0, 255).astype(np.uint8)


def verdicts(*pictures, every_ns=HALF_S):
    mounting = Mounting(GatewaySettings())
    return [mounting.moved(grey, START_NS + number * every_ns) for number, grey in enumerate(pictures)]


@pytest.mark.parametrize("turned", [0.05, -0.05, 0.3])
def test_a_camera_that_was_turned_by_five_degrees_is_found_and_one_that_is_back_is_heard(turned):
    found = verdicts(scene(), scene(), *[scene(turned)] * 8, scene(), scene())
    assert found == [False] * 6 + [True] * 4 + [False] * 2, "the fifth picture of another place, until the first of the old one"


def test_a_bus_that_stands_before_a_quarter_of_the_picture_is_no_movement():
    assert not any(verdicts(scene(), *[scene(bus=0.25)] * 20)) and not any(verdicts(scene(bus=0.25), *[scene()] * 20))


def test_pictures_between_two_comparisons_count_once():
    found = verdicts(scene(), *[scene(0.1)] * 30, every_ns=S // 10)
    assert found.index(True) == 25, "five comparisons, half a second each"


@given(st.lists(st.booleans(), max_size=30))
def test_only_five_pictures_in_a_row_condemn_a_camera(turned):
    here, there = scene(), scene(0.2)
    row = 0
    for moved, is_turned in zip(verdicts(here, *[there if one else here for one in turned]), [False, *turned], strict=True):
        row = row + 1 if is_turned else 0
        assert moved == (row >= 5)


def test_the_gateway_refuses_the_pictures_of_a_camera_that_was_turned_and_keeps_the_lists():
    radio = Radio()
    for number in range(20):
        radio.send(number / 2, jpeg=picture(number, turned=0.22 if number >= 8 else 0.0))
        radio.send(number / 2, rows=actor())
    assert radio.gateway.refusals == {reasons.MOVED_CAMERA: 8} and radio.gateway.counts["accepted"] == 32
