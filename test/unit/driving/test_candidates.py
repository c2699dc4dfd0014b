"""The gate of candidates: the next best that passes is followed, before the car brakes; distances by hand-computed cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import TIMES, ego, plan, straight

from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.candidates import CandidateGate, safe_distance, unsafe
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.supervisor import FALLBACKS, Limits, Reason


def users(*rows, forecasts=None, probability=0.9):
    """Cars 4 m long and 2 m wide at (x, y) with velocity (vx, vy)."""
    found = np.zeros(len(rows), DETECTION_DTYPE)
    for row, (x, y, vx, vy) in zip(found, rows, strict=True):
        row["x"], row["y"], row["vx"], row["vy"], row["length"], row["width"], row["probability"] = x, y, vx, vy, 4.0, 2.0, probability
    if forecasts is None:
        return Detections(found)
    ways = np.asarray(forecasts, np.float32)
    return Detections(found, ways, np.full(ways.shape[:2], 1.0 / ways.shape[1], np.float32), TIMES)


def choices(*speeds, scores=None, **more) -> Plan:
    """Candidates straight ahead at these speeds, best first; the first one is the plan's trajectory."""
    ways = np.stack([straight(speed).trajectory.points for speed in speeds])
    scores = np.linspace(0.9, 0.1, len(speeds)) if scores is None else np.array(scores)
    return plan(ways[0], candidates=ways, scores=scores, **more)


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


def test_the_next_best_candidate_that_passes_is_chosen():
    gate, ahead = CandidateGate(), users((12.0, 0.0, 0.0, 0.0))
    found, why = gate.choose(choices(8.0, 7.0, 1.0, 0.5, detections=ahead), ego(4.0), Limits())
    assert why == Reason.PLAN_UNSAFE and found.trajectory.points[0].tolist() == [0.5, 0.0], "the third"
    fine = choices(1.0, 8.0, detections=ahead, control=Control(0, 0.5, 0.0, 0.0))
    assert gate.choose(fine, ego(4.0), Limits()) == (fine, "")
    changed, _ = gate.choose(choices(8.0, 1.0, detections=ahead, control=Control(0, 0.5, 0.0, 0.0)), ego(4.0), Limits())
    assert changed.control is None, "the control branch's wish belongs to the best trajectory"
    stuck = choices(8.0, 7.0, detections=ahead)
    assert gate.choose(stuck, ego(4.0), Limits()) == (stuck, Reason.PLAN_UNSAFE)


def test_candidates_of_another_intent_are_never_followed():
    ahead = users((12.0, 0.0, 0.0, 0.0))
    for scores in ([0.9, -0.1], [0.9, np.nan]):
        given_ = choices(8.0, 1.0, scores=scores, detections=ahead)
        assert CandidateGate().choose(given_, ego(4.0), Limits()) == (given_, Reason.PLAN_UNSAFE)


def test_a_plan_without_candidates_is_left_as_it_is():
    alone = straight(8.0, detections=users((12.0, 0.0, 0.0, 0.0)))
    assert CandidateGate().choose(alone, ego(8.0), Limits()) == (alone, "")


def test_the_pilot_follows_the_next_best_and_says_so():
    pilot = Pilot()
    pilot.take(choices(8.0, 4.0, 1.0, detections=users((14.0, 0.0, 0.0, 0.0))))
    sent = pilot.step(ego(1.0))
    assert sent.reason == Reason.NEXT_CANDIDATE and Reason.NEXT_CANDIDATE in FALLBACKS and np.isfinite(sent.throttle)
    assert pilot.supervisor.counts == {Reason.NEXT_CANDIDATE: 1, Reason.PLAN_UNSAFE: 1}
    wild = choices(4.0, 3.0)
    wild.candidates[0] = [(2, 0), (4, 0), (400, 0), (8, 0)]
    pilot.reset()
    pilot.take(replace(wild, trajectory=replace(wild.trajectory, points=wild.candidates[0])))
    assert pilot.step(ego(3.0)).reason == Reason.NEXT_CANDIDATE and pilot.supervisor.counts[Reason.PLAN_INTERVAL] == 1


def test_the_car_brakes_where_no_candidate_passes():
    pilot = Pilot()
    pilot.take(choices(8.0, 7.0, detections=users((10.0, 0.0, 0.0, 0.0))))
    sent = [pilot.step(ego(8.0, stamp_ns=tick * 50_000_000)) for tick in range(3)]
    assert [one.reason for one in sent] == [Reason.PLAN_UNSAFE] * 3 and sent[2].brake > sent[0].brake > 0.0
    late = pilot.step(ego(8.0, stamp_ns=2_000_000_000))
    assert late.reason != Reason.PLAN_UNSAFE, "an old plan is an old plan first"
    pilot.reset()
    pilot.take(choices(8.0, 1.0, detections=users((10.0, 0.0, 0.0, 0.0))))
    assert pilot.step(ego(float("nan"))).reason == Reason.EGO_NOT_FINITE
