"""Whether the car keeps away from road users: safe distances ahead and to the side, by hand-computed cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import TIMES, plan, straight, users

from kd_planner_ros.driving.clearance import GateSettings, safe_distance, safe_distance_aside, unsafe


def test_the_safe_distance_is_that_of_its_definition():
    """8 m/s, 0.3 s of reaction gaining 1 m/s^2, then 6 m/s^2; the other brakes with 8 m/s^2."""
    own = 8.0 * 0.3 + 0.5 * 0.09 + 8.3 ** 2 / 12.0
    assert float(safe_distance(np.array(8.0), np.array(0.0))) == pytest.approx(own)
    assert float(safe_distance(np.array(8.0), np.array(8.0))) == pytest.approx(own - 64.0 / 16.0)
    assert float(safe_distance(np.array(8.0), np.array(-4.0))) == pytest.approx(own + 1.0), "it comes towards the car"
    assert float(safe_distance(np.array(1.0), np.array(20.0))) == 0.0


@given(st.floats(0.0, 20.0), st.floats(0.0, 20.0), st.floats(0.0, 5.0))
def test_a_faster_car_needs_more_and_a_faster_one_ahead_less(speed, other, more):
    near = float(safe_distance(np.array(speed), np.array(other)))
    assert float(safe_distance(np.array(speed + more), np.array(other))) >= near >= float(
        safe_distance(np.array(speed), np.array(other + more))) >= 0.0


@pytest.mark.parametrize(("detections", "speed", "wanted"), [
    (users(), 8.0, False),
    (users((12.0, 0.0, 0.0, 0.0)), 8.0, True),  # it is driven into
    (users((12.0, 4.0, 0.0, 0.0)), 8.0, False),  # beside the way
    (users((30.0, 0.0, 8.0, 0.0)), 8.0, False),  # 25.5 m to one as fast
    (users((7.0, 0.0, 8.0, 0.0)), 8.0, True),  # 2.55 m to one as fast: 4.2 m are safe
    (users((-8.0, 0.0, 12.0, 0.0)), 8.0, False),  # behind the car
    (users((1.0, 0.0, 0.0, 0.0)), 0.0, False),  # it stands in the car: nothing can be done
    (users((12.0, 0.0, 0.0, 0.0), probability=0.3), 8.0, False),
    (users((16.0, 8.0, 0.0, -8.0)), 8.0, True),  # both are at (8, 0) after 1 s, within their lengths
])
def test_road_users_in_the_way_are_unsafe(detections, speed, wanted):
    assert unsafe(straight(speed), detections, speed) is wanted


def test_forecasts_count_where_there_are_some():
    beside = [[[12.0, 4.0], [12.0, 4.0], [12.0, 4.0], [12.0, 4.0]]]
    across = [[[12.0, 3.0], [12.0, 1.5], [12.0, 0.0], [12.0, 0.0]]]
    assert not unsafe(straight(8.0), users((12.0, 4.0, 0.0, 0.0), forecasts=[beside]), 8.0)
    assert unsafe(straight(8.0), users((12.0, 4.0, 0.0, 0.0), forecasts=[across]), 8.0)
    likely = replace(users((12.0, 4.0, 0.0, 0.0), forecasts=[beside + across]), forecast_scores=np.array([[0.9, 0.1]], np.float32))
    assert not unsafe(straight(8.0), likely, 8.0), "the likeliest one alone"
    unknown = users((12.0, 0.0, 0.0, 0.0), forecasts=[[[[np.nan, np.nan]] * 4]])
    assert unsafe(straight(8.0), unknown, 8.0), "a forecast that is none leaves its speed"


def test_slowing_down_is_the_answer_to_a_short_distance():
    braking = plan([(3.75, 0), (6.5, 0), (8.25, 0), (9.0, 0)])  # 7.5, 5.5, 3.5, 1.5 m/s
    ahead = users((9.0, 0.0, 8.0, 0.0))
    assert unsafe(straight(8.0), users((8.0, 0.0, 8.0, 0.0)), 8.0) and not unsafe(braking, ahead, 8.0)


def aside(own, other, brake=None):
    return float(safe_distance_aside(np.array(own), np.array(other), brake))


def test_the_safe_distance_to_the_side_is_that_of_its_definition():
    """0.3 s of gaining 0.2 m/s^2 towards each other, then losing 0.8 m/s^2 each, and 0.3 m in the end."""
    rest = 0.3 * 0.06 / 2.0 + 0.06 ** 2 / 1.6
    assert aside(0.0, 0.0) == pytest.approx(0.3 + 2.0 * rest) == pytest.approx(0.3225)
    one = 0.3 * (1.0 + 1.06) / 2.0 + 1.06 ** 2 / 1.6
    assert aside(0.0, 1.0) == pytest.approx(0.3 + rest + one) == pytest.approx(1.3225)
    assert aside(1.0, 1.0) == pytest.approx(0.3 + 2.0 * one) == pytest.approx(2.3225)
    assert aside(0.0, 5.0, 4.0) == pytest.approx(0.3 + rest + 0.3 * (5.0 + 5.06) / 2.0 + 5.06 ** 2 / 8.0), "it brakes harder"


def test_one_that_goes_away_makes_room_for_the_other():
    away = 0.3 * (-2.0 - 1.94) / 2.0 - 1.94 ** 2 / 1.6
    towards = 0.3 * (2.5 + 2.56) / 2.0 + 2.56 ** 2 / 1.6
    assert aside(2.5, -2.0) == pytest.approx(0.3 + towards + away)
    assert aside(0.0, -2.0) == 0.3, "the margin alone"


@given(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0), st.floats(0.0, 5.0))
def test_faster_towards_each_other_needs_more_room(own, other, more):
    near = aside(own, other)
    assert near >= 0.3 and near == pytest.approx(aside(other, own)) and aside(own, other + more) >= near - 1e-9


@pytest.mark.parametrize("off_m", [-0.01, 0.01])
def test_a_car_beside_that_comes_over_is_unsafe_from_that_distance(off_m):
    """After 0.25 s it is beside the car, heads 1 : 8 to the right, and comes over at 1 m/s, which 0.8 cos + 4 sin m/s^2 end."""
    settings, turn = replace(GateSettings(), horizon_s=0.25), math.atan2(1.0, 8.0)
    between = (4.0 * math.sin(turn) + 2.0 * math.cos(turn) + 2.12) / 2.0
    brake = 0.8 * math.cos(turn) + 4.0 * math.sin(turn)
    safe = 0.3 + 0.01125 + 0.3 * 1.03 + 1.06 ** 2 / (2.0 * brake)
    row = (0.5, between + safe + 0.25 + off_m, 8.0, -1.0)
    assert unsafe(straight(8.0), users(row), 8.0, settings) is (off_m < 0.0)


@pytest.mark.parametrize(("row", "wanted"), [
    ((0.5, 3.6, 8.0, 0.0), False),  # beside, 1.5 m away
    ((0.5, 3.6, 8.0, -0.5), True),  # 0.4 m away after 2 s, and still coming over: 0.6 m are safe
    ((0.5, 3.6, 8.0, 0.5), False),  # it goes away
    ((0.5, -3.6, 8.0, 0.5), True),  # from the right
    ((30.0, 3.6, 8.0, -0.5), False),  # the distance ahead is safe
    ((7.0, 3.6, 8.0, 0.0), False),  # the distance to the side is safe
    ((7.0, 0.0, 8.0, 0.0), True),  # neither is
    ((-3.0, 3.6, 8.0, -0.5), False),  # behind the car
])
def test_only_who_is_nearer_than_both_distances_is_dangerous(row, wanted):
    assert unsafe(straight(8.0), users(row), 8.0) is wanted


def test_the_own_change_of_lane_counts_as_coming_over():
    """The car goes over by 2 m in 2 s; a car as fast drives beside it 3.6 m to the left, at rest to the side."""
    over = plan([(4.0, 0.25), (8.0, 0.75), (12.0, 1.25), (16.0, 1.75)])
    away = plan([(4.0, -0.25), (8.0, -0.75), (12.0, -1.25), (16.0, -1.75)])
    beside = users((1.0, 4.2, 8.0, 0.0))
    assert unsafe(over, beside, 8.0) and not unsafe(away, beside, 8.0)


def around(radius: float, start: float, speed: float) -> np.ndarray:
    """Places at 0 and TIMES of one on a circle round (0, 20), ``start`` radians round it at first; ``speed`` below 0: the other way."""
    turn = start + speed / radius * np.concatenate([[0.0], TIMES])
    return np.stack([radius * np.sin(turn), 20.0 - radius * np.cos(turn)], axis=1)


@pytest.mark.parametrize(("radius", "start", "speed"), [
    (23.5, 0.3, 6.0), (16.5, 0.3, 6.0), (16.5, 1.3, -6.0), (23.5, 1.3, -6.0)])
def test_who_drives_round_the_same_bend_does_not_come_across(radius, start, speed):
    """The car drives round a bend to the left; another keeps to the lane beside, with it or against it."""
    way = around(radius, start, speed)
    velocity = (way[1] - way[0]) / 0.5
    other = users((*way[0], *velocity), forecasts=[[way[1:]]])
    assert not unsafe(plan(around(20.0, 0.0, 6.0)[1:]), other, 6.0)


def test_one_who_stands_in_the_bend_is_in_the_way():
    """15 m along the way, where the car is after 2.5 s: its plan ends 0.5 s before, and 5.6 m are safe."""
    place = (20.0 * math.sin(0.75), 20.0 - 20.0 * math.cos(0.75))
    assert unsafe(plan(around(20.0, 0.0, 6.0)[1:]), users((*place, 0.0, 0.0)), 6.0)


def test_beyond_the_end_of_the_way_the_margin_alone_counts_to_the_side():
    """A car comes over at 2 m/s and is 1.1 m beside after 2 s: 1.4 m are safe. The first way ends 3 m before it."""
    coming = users((9.0, 8.2, 0.0, -2.0))
    assert not unsafe(plan([(1.5, 0.0), (3.0, 0.0), (4.5, 0.0), (6.0, 0.0)]), coming, 3.0)
    assert unsafe(plan([(1.5, 0.0), (3.0, 0.0), (4.5, 0.0), (12.0, 0.0)]), coming, 3.0), "there its lane is known"


def test_a_crossing_car_that_stops_in_time_is_no_danger():
    crossing = (12.0, 9.0, 0.0, -3.0)
    assert unsafe(straight(8.0), users(crossing), 8.0), "1.4 m beside when the car passes, and as fast as before: 2.4 m are safe"
    stops = [[[(12.0, 7.9), (12.0, 7.5), (12.0, 7.5), (12.0, 7.5)]]]
    assert not unsafe(straight(8.0), users(crossing, forecasts=stops), 8.0)


@given(st.floats(-math.pi, math.pi), st.floats(4.0, 30.0), st.floats(-6.0, 6.0), st.floats(-4.0, 4.0), st.floats(-4.0, 4.0))
def test_left_and_right_are_alike(bend, x, y, vx, vy):
    points = np.array(around(20.0, 0.0, 6.0)[1:]) * [1.0, np.sign(bend) or 1.0]
    mirror = [1.0, -1.0]
    found = unsafe(plan(points), users((x, y, vx, vy)), 6.0)
    assert unsafe(plan(points * mirror), users((x, -y, vx, -vy)), 6.0) is found
