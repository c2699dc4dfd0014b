"""The gate of candidates: the next best that passes is followed, before the car brakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.plans import TIMES, ego, plan, straight, users

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.outputs import Detections
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.candidates import CandidateGate
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.supervisor import FALLBACKS, Limits, Reason


def choices(*speeds, scores=None, **more) -> Plan:
    """Candidates straight ahead at these speeds, best first; the first one is the plan's trajectory."""
    ways = np.stack([straight(speed).trajectory.points for speed in speeds])
    scores = np.linspace(0.9, 0.1, len(speeds)) if scores is None else np.array(scores)
    return plan(ways[0], candidates=ways, scores=scores, **more)


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


@given(st.lists(st.floats(width=32), min_size=3, max_size=3), st.sampled_from([-2.0, 0.0, 0.25, 1e9]), st.floats(width=32))
def test_the_pilot_answers_whatever_is_detected(place, first_s, size):
    """What no ``Detections`` can hold is refused before the pilot has it; all else it answers."""
    rows = users((place[0], place[1], place[2], 0.0)).rows
    rows["length"] = size
    ways = np.full((1, 1, 4, 2), place[1], np.float32)
    try:
        seen = Detections(rows, ways, None, first_s + TIMES - TIMES[0])
    except PlannerError:
        assert first_s <= 0.0
        return
    pilot = Pilot()
    pilot.take(straight(8.0, candidates=np.zeros((2, 4, 2)), scores=np.array([0.9, 0.1]), detections=seen))
    sent = pilot.step(ego(8.0))
    assert np.isfinite([sent.throttle, sent.brake, sent.steer]).all()
