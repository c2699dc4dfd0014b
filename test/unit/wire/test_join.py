"""Plans are put together by stamp, in whatever order their messages come."""

import itertools

import numpy as np
import pytest
from support.wire import detections, plan

from kd_planner_ros.core.outputs import MapLines
from kd_planner_ros.wire.codec.plans import Candidates, PlanHead, parts_of
from kd_planner_ros.wire.join import KEPT, PlanJoin

LINES = MapLines(np.zeros((1, 2, 2), np.float32), np.zeros(1, np.uint8), np.ones(1, np.float32))


def made(stamp=1, **more):
    """(head, parts) of a plan at ``stamp``."""
    from dataclasses import replace

    whole = replace(plan(**more), stamp_ns=stamp)
    bare = replace(whole, candidates=None, scores=None, detections=None, lines=None)
    return PlanHead(bare, tuple(parts_of(whole))), parts_of(whole)


def test_every_order_gives_the_whole_plan_once():
    points = np.zeros((2, 6, 2))
    head, parts = made(candidates=points, scores=np.array([0.4, 0.6]), detections=detections(2), lines=LINES)
    assert set(parts) == {"candidates", "detections", "lines"}
    for order in itertools.permutations(["plan", *parts]):
        join, found = PlanJoin(), []
        for name in order:
            if name == "plan":
                join.add_head(head)
            else:
                join.add_part(name, 1, parts[name])
            found.append(join.complete(1))
        assert found[:-1] == [None] * 3 and join.complete(1) is None and join.incomplete == 0
        whole = found[-1]
        assert whole.lines is LINES and whole.detections is parts["detections"]
        assert whole.candidates is points and whole.scores.tolist() == [0.4, 0.6]


def test_a_plan_without_parts_waits_for_nothing():
    join = PlanJoin()
    join.add_head(made()[0])
    assert join.complete(1).detections is None


def test_parts_that_nobody_listens_to_are_not_waited_for():
    join = PlanJoin(("candidates",))
    join.add_head(made(detections=detections(2))[0])
    assert join.complete(1).detections is None and join.incomplete == 0


def test_parts_of_another_stamp_do_not_count():
    head, parts = made(detections=detections(2))
    join = PlanJoin()
    join.add_head(head)
    join.add_part("detections", 2, parts["detections"])
    assert join.complete(1) is None and join.complete(2) is None


def test_a_complete_plan_drops_what_is_older_and_counts_it():
    head, parts = made(1, detections=detections(2))
    newer, _ = made(2)
    join = PlanJoin()
    join.add_head(head)
    join.add_head(newer)
    assert join.complete(2).stamp_ns == 2 and join.incomplete == 1
    join.add_part("detections", 1, parts["detections"])
    assert join.complete(1) is None


def test_what_has_come_is_taken_in_order():
    join = PlanJoin()
    attention = np.ones((2, 3), np.float32)
    for stamp in (3, 1, 2):
        join.add_head(made(stamp, detections=detections(1))[0])
    join.add_part("attention", 1, attention)
    join.add_part("detections", 1, detections(1))
    first, second = join.take(2)
    assert (first.stamp_ns, second.stamp_ns) == (1, 2) and first.attention is attention and second.detections is None
    assert join.incomplete == 1 and [one.stamp_ns for one in join.take(9)] == [3]


def test_memory_is_bounded():
    join = PlanJoin()
    for stamp in range(100):
        join.add_head(made(stamp, detections=detections(1))[0])
    assert len(join.take(1000)) == KEPT and join.incomplete == 100


def test_reset_forgets_half_a_plan():
    head, parts = made(detections=detections(1))
    join = PlanJoin()
    join.add_head(head)
    join.reset()
    join.add_part("detections", 1, parts["detections"])
    assert join.complete(1) is None


@pytest.mark.parametrize("scores", [None, np.array([1.0, 2.0])])
def test_candidates_bring_their_scores(scores):
    head, _ = made(candidates=np.zeros((2, 6, 2)))
    join = PlanJoin()
    join.add_head(head)
    join.add_part("candidates", 1, Candidates(np.zeros((2, 6, 2)), scores))
    assert join.complete(1).scores is scores


def test_a_plan_waits_for_its_parts_and_those_behind_it_wait_too():
    join, seen = PlanJoin(), detections(1)
    for stamp in (1, 2, 3):
        join.add_head(made(stamp, detections=seen)[0])
    join.add_part("detections", 2, seen)
    join.add_part("detections", 3, seen)
    assert join.take(3, wait_ns=10) == [] and join.incomplete == 0
    join.add_part("detections", 1, seen)
    assert [one.stamp_ns for one in join.take(3, wait_ns=10)] == [1, 2, 3] and join.incomplete == 0
    join.add_head(made(4, detections=seen)[0])
    assert join.take(13, wait_ns=10) == [] and [one.stamp_ns for one in join.take(14, wait_ns=10)] == [4] and join.incomplete == 1
