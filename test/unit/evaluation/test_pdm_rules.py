"""The sub-scores and sums of PDMS and EPDMS against answers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import pdm

from kd_planner_ros.evaluation.pdm.area import areas_of
from kd_planner_ros.evaluation.pdm.collisions import no_fault_collision, time_to_collision, without_touching
from kd_planner_ros.evaluation.pdm.comfort import comfort, extended_comfort, history_comfort
from kd_planner_ros.evaluation.pdm.motion import Motion
from kd_planner_ros.evaluation.pdm.rules import (
    drivable_area,
    driving_direction,
    ego_progress,
    ego_progress_v1,
    lane_keeping,
    progress_m,
    traffic_lights,
)
from kd_planner_ros.evaluation.pdm.scene import HISTORY_STEPS, History, Lights
from kd_planner_ros.evaluation.pdm.score import MULTIPLIERS, compare, epdms, filtered, pdms

CLEAN = {"NC": 1.0, "DAC": 1.0, "DDC": 1.0, "TLC": 1.0, "EP": 1.0, "EP_v1": 1.0, "TTC": 1.0, "LK": 1.0, "HC": 1.0, "EC": 1.0, "C": 1.0}
STRAIGHT = [(4, 0), (8, 0), (12, 0), (16, 0)]


def nc(motion, others, road=None):
    return no_fault_collision(motion, others, areas_of(motion, road or pdm.street()))


def ttc(motion, others, road=None):
    return time_to_collision(motion, others, areas_of(motion, road or pdm.street()))


@pytest.mark.parametrize(("others", "score"), [
    (pdm.car(15.0), 0.0), (pdm.car(15.0, static=True), 0.5), (pdm.car(30.0), 1.0), (pdm.car(15.0, y=3.5), 1.0),
    (pdm.car(8.0, speed=3.0), 0.0),                       # from behind into a slower one: the front bumper
    (pdm.car(-8.0, speed=14.0), 1.0),                     # hit from behind by a faster one
    (pdm.car(3.0), 0.0),                                  # touched at the first instant: counts, as in navsim
    (pdm.car(-3.0, speed=9.0), 1.0),                      # touched at the first instant from behind
    (pdm.car(14.0, y=8.0, speed=5.0, yaw=-np.pi / 2), 0.0),  # crosses into the front
])
def test_a_collision_is_judged_by_whose_fault_it_is(others, score):
    assert nc(pdm.along(), others) == score


def test_who_touches_the_car_at_the_first_instant_can_be_left_out():
    others = pdm.both(pdm.car(3.0), pdm.car(30.0))
    kept = without_touching(others, pdm.along().boxes[0])
    assert nc(pdm.along(), others) == ttc(pdm.along(), others) == 0.0
    assert nc(pdm.along(), kept) == ttc(pdm.along(), kept) == 1.0
    assert kept.boxes[0, :, 0].tolist() == [30.0] and kept.speeds.shape[1] == len(kept.static) == 1


def test_a_standing_car_is_hit_without_fault():
    assert nc(pdm.along(0.0), pdm.car(20.0, speed=10.0, yaw=np.pi)) == 1.0


def test_a_side_that_is_hit_is_a_fault_astride_two_lanes_only():
    """The other comes from the left at right angles, into the left side behind the bumper."""
    side = pdm.car(-0.5, y=5.2, speed=6.0, yaw=-np.pi / 2)
    slow = pdm.along(1.0)
    assert nc(slow, side) == 1.0
    assert nc(pdm.along(1.0, y=1.0), side) == 0.0


def test_the_worst_collision_counts():
    assert nc(pdm.along(), pdm.both(pdm.car(12.0, static=True), pdm.car(18.0))) == 0.0


@pytest.mark.parametrize(("gap", "speed", "score"), [(6.0, 8.0, 1.0), (6.0, 6.0, 0.0), (30.0, 6.0, 1.0), (40.0, 0.0, 1.0),
                                                     (25.0, 0.0, 1.0), (20.0, 0.0, 0.0)])
def test_what_would_be_hit_within_0_9_s(gap, speed, score):
    """``gap`` is from centre to centre; both are 4.7 m long in the mean, and 2 s at 8 m/s are 16 m. Instants until 1.1 s are looked at:
    the last sees 8.8 + 7.2 m ahead."""
    assert ttc(pdm.along(), pdm.car(gap, speed=speed)) == score


def test_who_is_beside_counts_in_a_junction_only():
    side = pdm.car(0.0, y=3.6, speed=8.0, yaw=-0.4)
    assert ttc(pdm.along(), side) == 1.0
    assert ttc(pdm.along(), side, pdm.street(junction=(-30.0, 60.0))) == 0.0


def test_nothing_is_about_to_happen_to_a_standing_car():
    assert ttc(pdm.along(0.0), pdm.car(8.0, speed=6.0, yaw=np.pi)) == 1.0


@pytest.mark.parametrize(("y", "junction", "score"), [(0.0, None, 1.0), (-0.6, None, 1.0), (-1.0, None, 0.0), (-1.0, (-50.0, 60.0), 1.0),
                                                      (4.0, None, 1.0), (4.6, None, 0.0)])
def test_the_corners_must_be_on_the_road(y, junction, score):
    """The lanes end at y = -1.75 and 5.25; the car is 2.12 m wide."""
    assert drivable_area(areas_of(pdm.along(y=y), pdm.street(junction))) == score


@pytest.mark.parametrize(("speed", "score"), [(1.5, 1.0), (4.0, 0.5), (8.0, 0.0)])
def test_the_wrong_side_counts_by_the_way_in_a_second(speed, score):
    motion = pdm.along(speed, y=3.5)
    assert driving_direction(motion, areas_of(motion, pdm.street())) == score
    assert driving_direction(motion, areas_of(motion, pdm.street(junction=(-10.0, 60.0)))) == 1.0
    assert driving_direction(pdm.along(speed), areas_of(pdm.along(speed), pdm.street())) == 1.0


def light(x: float, red_until: int = pdm.STEPS, yaw: float = 0.0) -> Lights:
    """A stop line across the lane at ``x``, red in the first steps."""
    red = (np.arange(pdm.STEPS + 1) < red_until)[:, None]
    return Lights(np.array([[[x, -1.75], [x, 1.75]]]), np.array([yaw]), red)


@pytest.mark.parametrize(("lights", "score"), [
    (light(10.0), 0.0), (light(30.0), 1.0),
    (light(1.0), 1.0),                 # the bumper, 2.45 m ahead of the centre, is over it already
    (light(10.0, red_until=9), 1.0),   # the bumper gets there after 0.94 s: green by then
    (light(10.0, red_until=10), 0.0),
    (light(10.0, yaw=np.pi), 1.0),     # another direction's
])
def test_a_red_light_is_run_by_the_front_bumper(lights, score):
    assert traffic_lights(pdm.along(), lights) == score


@pytest.mark.parametrize(("y", "junction", "score"), [(0.4, None, 1.0), (0.6, None, 0.0), (0.6, (-10.0, 8.0), 1.0)])
def test_the_lane_must_not_be_left_for_two_seconds(y, junction, score):
    motion, route = pdm.along(y=y), np.array([[-20.0, 0.0], [100.0, 0.0]])
    assert lane_keeping(motion, areas_of(motion, pdm.street(junction)), route) == score


def test_a_break_ends_the_time_beside_the_lane():
    motion, route = pdm.along(y=0.6), np.array([[-20.0, 0.0], [100.0, 0.0]])
    motion.poses[10, 1] = 0.0
    assert lane_keeping(motion, areas_of(motion, pdm.street()), route) == 1.0


def test_progress_is_along_the_route():
    assert progress_m(pdm.along(), np.array([[-20.0, 0.0], [100.0, 0.0]])) == pytest.approx(16.0)
    assert progress_m(pdm.along(yaw=np.pi), np.array([[-20.0, 0.0], [100.0, 0.0]])) == 0.0


def test_progress_is_compared_with_the_driver():
    assert ego_progress(8.0, 1.0, 16.0, 1.0) == ego_progress_v1(8.0, 1.0, 16.0, 1.0) == 0.5
    assert ego_progress(20.0, 1.0, 16.0, 1.0) == 1.0 == ego_progress_v1(20.0, 1.0, 16.0, 1.0)
    assert ego_progress(1.0, 1.0, 5.0, 1.0) == 1.0 == ego_progress_v1(1.0, 1.0, 5.0, 1.0)
    assert ego_progress(8.0, 0.0, 16.0, 1.0) == 0.5 and ego_progress_v1(8.0, 0.0, 16.0, 1.0) == 0.0
    assert ego_progress(8.0, 1.0, 16.0, 0.0) == 1.0 and ego_progress_v1(1.0, 0.0, 2.0, 1.0) == 0.0


def speeding_up(rate: float) -> Motion:
    """From 5 m/s at a constant acceleration."""
    times = 0.1 * np.arange(pdm.STEPS + 1)
    still = np.zeros(pdm.STEPS + 1)
    poses = np.stack([5.0 * times + rate * times**2 / 2.0, still, still], axis=1)
    return Motion(poses, 5.0 + rate * times, np.full(pdm.STEPS + 1, rate), still)


def circling(rate: float, speed: float = 5.0) -> Motion:
    """A circle at a constant yaw rate."""
    yaws = rate * 0.1 * np.arange(pdm.STEPS + 1)
    poses = np.stack([speed / rate * np.sin(yaws), speed / rate * (1.0 - np.cos(yaws)), yaws], axis=1)
    still = np.zeros(pdm.STEPS + 1)
    return Motion(poses, still + speed, still, still + rate)


@pytest.mark.parametrize(("motion", "score"), [(speeding_up(2.3), 1.0), (speeding_up(2.5), 0.0), (speeding_up(-4.0), 1.0),
                                               (speeding_up(-4.1), 0.0), (circling(0.9), 1.0), (circling(1.0, 4.0), 0.0),
                                               (circling(0.6, 8.0), 1.0), (circling(0.6, 8.5), 0.0)])
def test_comfort_has_bounds(motion, score):
    """The last two: a lateral acceleration of 4.8 and of 5.1 m/s2."""
    assert comfort(motion) == score


def test_a_jerk_against_the_history_is_uncomfortable():
    braked = History(np.zeros(HISTORY_STEPS), np.full(HISTORY_STEPS, 5.0), np.full(HISTORY_STEPS, -4.0), np.zeros(HISTORY_STEPS))
    assert comfort(speeding_up(2.3)) == 1.0
    assert history_comfort(speeding_up(2.3), replace(braked, accelerations=np.full(HISTORY_STEPS, 2.3))) == 1.0
    assert history_comfort(speeding_up(2.3), braked) == 0.0


def test_plans_after_each_other_must_agree():
    assert extended_comfort(speeding_up(1.0), speeding_up(1.0), 5) == 1.0
    assert extended_comfort(speeding_up(1.0), speeding_up(1.8), 5) == 0.0
    assert extended_comfort(circling(0.3), circling(0.35), 5) == 1.0
    assert extended_comfort(circling(0.3), circling(0.45), 5) == 0.0


def test_the_sums():
    """Spec 12.8: 0 for NC = 0, and (5 + 5 EP + 2) / 12 for a clean scene."""
    assert pdms(CLEAN) == epdms(CLEAN) == 1.0
    assert pdms({**CLEAN, "NC": 0.0}) == epdms({**CLEAN, "NC": 0.0}) == 0.0
    assert pdms({**CLEAN, "EP_v1": 0.3}) == pytest.approx((5 + 5 * 0.3 + 2) / 12)
    assert epdms({**CLEAN, "EP": 0.3}) == pytest.approx((5 + 5 * 0.3 + 6) / 16)
    assert epdms({**CLEAN, "DDC": 0.5, "LK": 0.0}) == pytest.approx(0.5 * 14 / 16)
    assert pdms({**CLEAN, "DDC": 0.0, "TLC": 0.0, "LK": 0.0, "HC": 0.0, "EC": 0.0, "EP": 0.0}) == 1.0


def test_the_filter_forgives_what_the_human_did_too():
    own = {**CLEAN, "TLC": 0.0, "DDC": 0.5, "LK": 0.0}
    assert epdms(filtered(own, CLEAN)) == 0.0
    assert epdms(filtered(own, {**CLEAN, "TLC": 0.0})) == pytest.approx(0.5 * 14 / 16)
    assert epdms(filtered(own, {**CLEAN, "TLC": 0.0, "DDC": 0.5, "LK": 0.0})) == 0.5, "0.5 of a human is no 0"


def test_a_clean_scene_scores_one_and_half_the_way_less():
    where = pdm.scene()
    driver = pdm.driver_drive(where)
    found = compare(pdm.driven(where, pdm.plan(STRAIGHT)), driver)
    assert {name: found[name] for name in CLEAN} == pytest.approx(CLEAN, abs=2e-3)
    assert found["PDMS"] == pytest.approx(1.0, abs=2e-3) and found["EPDMS"] == pytest.approx(1.0, abs=2e-3)


def test_a_collision_zeroes_all_scores_and_the_filter_takes_it_back_where_the_driver_collides_too():
    where = pdm.scene(pdm.car(15.0))
    found = compare(pdm.driven(where, pdm.plan(STRAIGHT)), pdm.driver_drive(where))
    assert found["PDMS"] == found["EPDMS_unfiltered"] == 0.0 and found["EPDMS"] > 0.5


# --- properties ------------------------------------------------------------------------------------------------------

WAYS = st.lists(st.tuples(st.floats(0.5, 5.0), st.floats(-1.0, 1.0)), min_size=4, max_size=4)
CARS = st.lists(st.tuples(st.floats(-15.0, 40.0), st.floats(-6.0, 8.0), st.floats(0.0, 12.0), st.floats(-3.1, 3.1), st.booleans()),
                min_size=1, max_size=4)


def drawn(way, cars):
    """(a scene with ``cars`` and a red light, a plan of the steps ``way``)."""
    others = pdm.both(*(pdm.car(x, y, speed, yaw, static) for x, y, speed, yaw, static in cars))
    return pdm.scene(others, lights=light(11.3), road=pdm.street(junction=(12.2, 25.1))), pdm.plan(np.cumsum(way, axis=0))


def scores(where, chosen):
    return compare(pdm.driven(where, chosen), pdm.driver_drive(where))


@settings(max_examples=20, deadline=None)
@given(way=WAYS, cars=CARS, shift=st.tuples(st.floats(-900, 900), st.floats(-900, 900)), turn=st.floats(-3.1, 3.1))
def test_a_rigid_motion_of_the_scene_changes_nothing(way, cars, shift, turn):
    where, chosen = drawn(way, cars)
    assert scores(pdm.moved(where, shift, turn), chosen) == pytest.approx(scores(where, chosen), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(way=WAYS, cars=CARS, step=st.integers(8, pdm.STEPS))
def test_a_standing_car_in_the_way_zeroes_the_scores(way, cars, step):
    where, chosen = drawn(way, cars)
    motion = pdm.driven(where, chosen).motion
    x, y = motion.poses[step, :2]
    there = replace(where, others=pdm.both(where.others, pdm.car(x, y)))
    free = np.hypot(x, y) > 8.0  # not touched at the first instant already
    if free and abs(motion.speeds[step]) > 0.1:
        found = scores(there, chosen)
        assert found["NC"] == found["PDMS"] == found["EPDMS_unfiltered"] == 0.0


@settings(max_examples=15, deadline=None)
@given(way=WAYS, cars=CARS)
def test_scores_lie_in_0_to_1_and_nobody_less_never_hurts(way, cars):
    where, chosen = drawn(way, cars)
    full, empty = scores(where, chosen), scores(replace(where, others=pdm.NOBODY), chosen)
    assert all(0.0 <= value <= 1.0 for value in full.values())
    assert empty["NC"] == empty["TTC"] == 1.0
    assert all(full[name] == empty[name] for name in MULTIPLIERS[1:])
