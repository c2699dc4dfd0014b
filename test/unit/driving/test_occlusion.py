"""The cap beside vehicles that hide somebody: only while nothing is heard, and so that the car can stop within what it sees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import ego

from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.v2x import ReportedObjects
from kd_planner_ros.driving.caution import NO_BOUND
from kd_planner_ros.driving.occlusion import Occlusion

NOBODY, S = np.zeros((0, 2)), 1_000_000_000


def van(x=25.0, y=-3.0, height=2.4, vx=0.0):
    row = np.zeros(1, ACTOR_DTYPE)
    row["id"], row["kind"], row["x"], row["y"], row["vx"] = 4, ActorKind.CAR, x, y, vx
    row["length"], row["width"], row["height"] = 5.4, 2.0, height
    return row


def reported(rows, stamp_ns=0, state="COOP_OBJECTS"):
    return ReportedObjects(stamp_ns, rows, np.zeros(len(rows)), state)


def lost(rows, speed, x=0.0, after_s=1.0):
    """The bound of a car that heard ``rows`` at time 0, and nothing since."""
    rule = Occlusion()
    rule.bound(reported(rows), NOBODY, ego(speed, x=x), 0)
    now_ns = round(after_s * S)
    return rule.bound(reported(rows[:0], now_ns, "EGO_ONLY"), NOBODY, ego(speed, now_ns, x=x), now_ns)


@given(st.floats(4.0, 15.0), st.floats(-10.0, 40.0))
def test_a_car_that_is_not_capped_can_stop_before_the_far_end(speed, x):
    seen_m = 25.0 + 2.7 - 2.45 - x
    needed_m = 0.3 * speed + speed**2 / 8.0
    capped = lost(van(), speed, x).throttle == 0.0
    assert capped == (0.0 < seen_m < needed_m and 0.0 < 25.0 - x < 40.0)


@pytest.mark.parametrize("rows", [van(y=-6.5), van(height=1.45), van(vx=2.0), van(x=-20.0), van(x=60.0), van()[:0]],
                         ids=["far aside", "low", "moving", "behind", "far ahead", "nothing"])
def test_what_hides_nobody_changes_nothing(rows):
    assert lost(rows, 12.0) == NO_BOUND


def test_the_cap_holds_while_nothing_is_heard_and_is_forgotten():
    assert lost(van(), 12.0, x=15.0, after_s=0.5) == NO_BOUND, "the stations look behind it"
    assert 0.0 < lost(van(), 12.0, x=15.0).brake <= 0.5 and lost(van(), 3.0, x=20.0) == NO_BOUND
    assert lost(van(), 12.0, x=15.0, after_s=31.0) == NO_BOUND
    rule = Occlusion()
    rule.bound(reported(van()), NOBODY, ego(12.0), 0)
    assert rule.bound(reported(van(), S), NOBODY, ego(12.0, S, x=15.0), S) == NO_BOUND, "heard again"
    assert rule.bound(None, NOBODY, ego(12.0, 2 * S, x=15.0), 2 * S) != NO_BOUND
    rule.reset()
    assert rule.bound(None, NOBODY, ego(12.0, 2 * S, x=15.0), 2 * S) == NO_BOUND
