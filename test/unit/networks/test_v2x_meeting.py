"""Where and when road users get in the car's way, by hand-computed cases and by symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.v2x_vlm.config import V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.meeting import REACH_M, STEP_M, meetings, most_urgent_first, way_to

AHEAD = np.array([30.0, 0.0])


def one(x: float, y: float, speed: float, heading: float) -> np.ndarray:
    return np.array([[1.0, x, y, speed, heading]])


def test_a_walker_who_crosses_meets_the_way_when_he_is_two_metres_from_its_middle():
    found = meetings(one(20.0, -8.0, 2.0, math.pi / 2), AHEAD)
    assert found[0].tolist() == [20.0, 3.0], "6 m at 2 m/s"
    assert np.isnan(meetings(one(20.0, -8.0, 2.0, -math.pi / 2), AHEAD)).all(), "he walks away"
    assert np.isnan(meetings(one(20.0, -20.0, 2.0, math.pi / 2), AHEAD)).all(), "9 s away: too late"
    assert np.isnan(meetings(one(60.0, -4.0, 2.0, math.pi / 2), AHEAD)).all(), "beyond the reach"


def test_who_stands_in_the_way_meets_it_now_and_the_car_ahead_is_met_where_it_is():
    assert meetings(one(15.0, 1.0, 0.0, 0.0), AHEAD)[0].tolist() == [15.0, 0.0]
    assert meetings(one(15.0, 0.5, 9.0, 0.0), AHEAD)[0].tolist() == [15.0, 0.0]
    assert meetings(np.zeros((0, 5)), AHEAD).shape == (0, 2)


def test_who_follows_the_car_does_not_get_in_its_way_and_who_turns_into_it_from_beside_does():
    assert np.isnan(meetings(one(-12.0, 0.0, 8.0, 0.0), AHEAD)).all()
    assert meetings(one(-5.0, -3.0, 8.0, math.atan2(1.0, 12.0)), AHEAD)[0, 0] > 5.0


def test_the_most_urgent_comes_first_and_those_who_do_not_meet_the_way_keep_their_order():
    met = np.array([[np.nan, np.nan], [20.0, 3.0], [10.0, 3.0], [30.0, 0.0], [np.nan, np.nan]])
    assert most_urgent_first(met).tolist() == [3, 2, 1, 0, 4]


@pytest.mark.parametrize("near", [(4.2, 0.3), (4.2, -0.6), (8.0, 0.7)])
def test_a_target_right_ahead_leads_straight_on_though_the_car_is_beside_the_middle_of_its_lane(near: tuple[float, float]):
    assert meetings(one(30.0, -8.0, 2.0, math.pi / 2), np.array(near))[0].tolist() == [30.0, 3.0]
    assert abs(way_to(np.array([8.0, 4.0]))[-1, 1]) > 10.0, "a turn is one"


@given(st.floats(-5.0, 60.0), st.floats(-40.0, 40.0))
def test_the_way_leaves_straight_ahead_goes_through_the_target_and_never_jumps(x: float, y: float):
    way = way_to(np.array([x, y]))
    steps = np.diff(way, axis=0)
    assert np.hypot(*steps.T).max() <= STEP_M + 1e-6 and np.hypot(*steps.T).min() > 0.0
    assert way[0].tolist() == [0.0, 0.0]
    turn = 2.0 * math.atan2(y, x)
    length = math.hypot(x, y) * (turn / 2.0) / math.sin(turn / 2.0) if abs(turn) > 1e-3 else abs(x)
    if x > max(1.0, abs(y)) and length < REACH_M:
        assert np.hypot(*(way - [x, y]).T).min() < 0.8


@given(st.floats(1.0, 40.0), st.floats(-30.0, 30.0), st.floats(0.0, 15.0), st.floats(-3.1, 3.1), st.floats(5.0, 40.0),
       st.floats(-20.0, 20.0))
def test_the_mirror_picture_meets_at_the_same_place_and_time(x: float, y: float, speed: float, heading: float, ahead: float, left: float):
    found = meetings(one(x, y, speed, heading), np.array([ahead, left]))
    other = meetings(one(x, -y, speed, -heading), np.array([ahead, -left]))
    np.testing.assert_array_equal(found, other)


def test_meeting_words_need_a_list():
    with pytest.raises(ConfigError, match="meets"):
        V2xVlmConfig(roadside="picture", meets=True)
