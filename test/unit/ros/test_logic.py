"""The graph's logic without ROS: which plan answers which tick, the world's handshake, the worker's slot."""

import threading
import time

import numpy as np
import pytest
from support.plans import TICK_NS, TIMES, ego, plan, straight, users

from kd_planner_ros.core.records import Control
from kd_planner_ros.driving.driver import Pilot
from kd_planner_ros.ros.handshake import Handshake
from kd_planner_ros.ros.plan_gate import PLAN_LATE, PlanGate
from kd_planner_ros.ros.worker import LatestSlot, Worker


def ego_at(n):
    return ego(stamp_ns=n * TICK_NS, x=0.2 * n)


def plan_of(n):
    return plan(stamp_ns=n * TICK_NS)


class Bench:
    def __init__(self, lockstep=True, slower_period_s=0.0):
        self.sent, self.now_s = [], 0.0
        self.gate = PlanGate(Pilot(), 0.1, lockstep, 0.8, lambda control, ego: self.sent.append(control),
                             now_s=lambda: self.now_s, slower_period_s=slower_period_s)

    @property
    def stamps(self):
        return [control.stamp_ns // TICK_NS for control in self.sent]


def test_the_diagnostics_count_ticks_by_reason_and_call_no_limit_a_stop():
    b = Bench(lockstep=False)
    b.gate.take(straight(8.0, stamp_ns=10 * TICK_NS, candidates=np.stack([straight(v).trajectory.points for v in (8.0, 1.0)]),
                         scores=np.array([0.9, 0.1]), detections=users((14.0, 0.0, 0.0, 0.0))))
    b.gate.tick(ego_at(10))
    assert b.sent[0].reason == "next_candidate"
    told = b.gate.values()
    assert (told["ticks with next_candidate"], told["ticks with plan_unsafe"]) == (1, 1) and not any("stop" in name for name in told)


def test_a_due_tick_waits_for_its_plan_and_the_next_does_not():
    b = Bench()
    b.gate.tick(ego_at(10))
    assert b.sent == []
    b.gate.take(plan_of(10))
    b.gate.tick(ego_at(11))
    assert b.stamps == [10, 11]
    b.gate.tick(ego_at(12))
    assert b.stamps == [10, 11]
    b.gate.take(plan_of(12))
    assert b.stamps == [10, 11, 12] and all(not control.reason for control in b.sent)


def lost(bench, until):
    """A planner that gave the plan of tick 0 and none later, beside a fallback planner with a plan of 0; ``until`` ticks are answered."""
    bench.gate.take(straight(4.0))
    bench.gate.take_slower(straight(4.0, 2.0 * TIMES))
    for n in range(until):
        bench.gate.tick(ego_at(n))
        if n == 2:
            bench.now_s += 1.0
            assert bench.gate.expire()
    assert bench.stamps == list(range(until))


def test_a_lost_planner_makes_the_fallback_planner_waited_for_at_its_own_period():
    """Two plans a second: waited for at ticks 10 and 20 and at none between; an older plan than the due one does not answer."""
    b = Bench(slower_period_s=0.5)
    lost(b, 10)
    b.gate.tick(ego_at(10))
    assert b.stamps[-1] == 9
    b.gate.take_slower(straight(4.0, 2.0 * TIMES, stamp_ns=0))
    assert b.stamps[-1] == 9, "that planner was still busy with an older picture"
    b.gate.take_slower(straight(4.0, 2.0 * TIMES, stamp_ns=10 * TICK_NS))
    for n in range(11, 20):
        b.gate.tick(ego_at(n))
    assert b.stamps == list(range(20)) and {control.reason for control in b.sent[11:]} == {"slower_plan"}
    assert [control.reason for control in b.sent[:11]] == ["", ""] + ["last_plan"] * 9


def test_a_fallback_planner_that_hangs_too_costs_one_wait():
    b = Bench(slower_period_s=0.5)
    lost(b, 10)
    b.gate.tick(ego_at(10))
    b.now_s += 1.0
    assert b.gate.expire() and b.stamps[-1] == 10
    for n in range(11, 40):
        b.gate.tick(ego_at(n))
    assert b.stamps == list(range(40)) and b.gate.values()["fallback plans late"] == 1 and b.gate.waits_missed == 1
    order = [reason for reason, before in zip((c.reason for c in b.sent), [None, *(c.reason for c in b.sent)]) if reason != before]
    assert order == ["", "last_plan", "slower_plan", "comfortable_stop"]


def test_a_planner_that_fails_in_each_tick_has_its_fallback_waited_for_and_its_return_answers():
    b = Bench(slower_period_s=0.1)
    b.gate.take(straight(4.0))
    b.gate.tick(ego_at(0))
    b.gate.tick(ego_at(2))
    b.gate.fail(2 * TICK_NS, "RuntimeError")
    assert b.stamps == [0], "the fallback planner has not said anything about tick 2 yet"
    b.gate.fail_slower(2 * TICK_NS, "RuntimeError")
    assert b.stamps == [0, 2] and b.sent[-1].reason == "last_plan"
    b.gate.tick(ego_at(4))
    b.gate.fail(4 * TICK_NS, "RuntimeError")
    b.gate.take(straight(4.0, stamp_ns=4 * TICK_NS))
    assert b.stamps == [0, 2, 4] and b.sent[-1].reason == ""
    assert not b.gate.expire()


def test_while_the_planner_plans_nobody_waits_for_the_fallback_planner():
    b = Bench(slower_period_s=0.5)
    for n in range(0, 40, 2):
        b.gate.take(straight(4.0, stamp_ns=n * TICK_NS))
        b.gate.tick(ego_at(n))
    assert b.stamps == list(range(0, 40, 2)) and {control.reason for control in b.sent} == {""}


def test_a_fallback_plan_from_before_time_was_set_back_is_forgotten():
    b = Bench(slower_period_s=0.5)
    b.gate.take_slower(straight(4.0, stamp_ns=400 * TICK_NS))
    b.gate.tick(ego_at(10))
    assert b.gate.pilot._slower is None
    b.gate.take_slower(straight(4.0, stamp_ns=400 * TICK_NS))
    assert b.gate.pilot._slower is None, "from the future of this time"


def test_a_plan_that_is_there_first_is_not_waited_for():
    b = Bench()
    b.gate.take(plan_of(10))
    b.gate.tick(ego_at(10))
    assert b.stamps == [10]


def test_the_plan_of_an_earlier_tick_does_not_answer_this_one():
    b = Bench()
    b.gate.tick(ego_at(10))
    b.gate.take(plan_of(8))
    assert b.sent == []
    b.gate.take(plan_of(10))
    assert b.stamps == [10]


def test_a_late_plan_costs_one_wait_until_one_comes_again():
    b = Bench()
    b.gate.take(plan_of(8))
    b.gate.tick(ego_at(10))
    b.now_s = 0.79
    assert not b.gate.expire() and b.sent == []
    b.now_s = 0.81
    assert b.gate.expire() and b.sent[-1].reason == PLAN_LATE and b.sent[-1].brake > 0.0
    for n in (11, 12, 13, 14):
        b.gate.tick(ego_at(n))
    assert b.stamps == [10, 11, 12, 13, 14] and {c.reason for c in b.sent} == {PLAN_LATE}
    assert b.sent[-1].brake > b.sent[0].brake
    b.gate.take(plan_of(14))
    b.gate.tick(ego_at(15))
    assert b.sent[-1].reason == "" and b.gate.waits_missed == 1
    b.gate.tick(ego_at(16))
    assert len(b.sent) == 6, "waits again"


def test_a_fault_is_answered_at_once():
    b = Bench()
    b.gate.take(plan_of(8))
    b.gate.tick(ego_at(10))
    b.gate.fail(10 * TICK_NS, "SensorError")
    assert b.sent[-1].reason == "input_failed" and b.stamps == [10]
    b.gate.fail(12 * TICK_NS, "RuntimeError")  # comes before its tick
    b.gate.tick(ego_at(11))
    b.gate.tick(ego_at(12))
    assert b.stamps == [10, 11, 12] and b.sent[-1].reason == "planner_failed"


def test_each_stamp_is_answered_once():
    b = Bench(lockstep=False)
    b.gate.take(plan_of(10))
    for n in (10, 10, 9, 11, 11):
        b.gate.tick(ego_at(n))
    b.gate.stop(ego_at(11), 11 * TICK_NS, "odometry_stale")
    assert b.stamps == [10, 11]
    b.gate.stop(ego_at(11), 12 * TICK_NS, "odometry_stale")
    assert b.stamps == [10, 11, 12] and b.sent[-1].reason == "odometry_stale"


def test_leaving_brakes_fully_once_even_in_an_answered_tick_or_after_time_was_set_back():
    b = Bench(lockstep=False)
    assert not b.gate.leave(5 * TICK_NS, "deactivated") and b.sent == [], "nothing was driven"
    b.gate.take(plan_of(10))
    b.gate.tick(ego_at(10))
    assert b.sent[-1].brake == 0.0
    assert b.gate.leave(10 * TICK_NS, "deactivated") and not b.gate.leave(11 * TICK_NS, "deactivated")
    assert b.stamps == [10, 10] and (b.sent[-1].brake, b.sent[-1].throttle, b.sent[-1].reason) == (0.8, 0.0, "deactivated")
    b.gate.tick(ego_at(11))
    b.gate.reset()
    assert b.gate.leave(None, "deactivated") and b.stamps == [10, 10, 11, 11] and b.sent[-1].brake == 0.8


def test_a_tick_that_the_world_gave_up_is_not_answered_any_more():
    b = Bench()
    b.gate.tick(ego_at(10))
    b.gate.tick(ego_at(11))
    b.gate.take(plan_of(11))
    assert b.stamps == [11]


def test_a_world_that_does_not_wait_is_answered_and_stopped_once_the_planner_hangs():
    b = Bench()
    for n in range(60):  # a plan for every second tick comes four ticks later
        if n >= 4 and n % 2 == 0:
            b.gate.take(plan_of(n - 4))
        b.gate.tick(ego_at(n))
    assert len(b.sent) >= 28 and {control.reason for control in b.sent if control.stamp_ns > 10 * TICK_NS} == {""}
    before = len(b.sent)
    for n in range(60, 100):  # it hangs
        b.gate.tick(ego_at(n))
        assert not b.gate.expire(), "no tick waits for long"
    hung = b.sent[before:]
    assert len(hung) >= 20 and hung[-1].reason and hung[-1].throttle == 0.0 and hung[-1].brake > 0.0
    first = next(control for control in hung if control.reason)
    assert first.stamp_ns <= (55 + 20) * TICK_NS, "a second after the last plan"


def test_reset_forgets_stamps_and_plan():
    b = Bench()
    b.gate.take(plan_of(100))
    b.gate.tick(ego_at(100))
    b.gate.reset()
    b.gate.tick(ego_at(1))
    b.gate.take(plan_of(1))
    assert b.stamps == [100, 1] and b.sent[-1].reason == ""


def test_a_plan_from_before_time_was_set_back_is_left_out():
    b = Bench(lockstep=False)
    b.gate.take(plan_of(100))
    b.gate.tick(ego_at(100))
    b.gate.reset()
    b.gate.take(plan_of(102))  # was on its way
    b.gate.tick(ego_at(1))
    b.gate.take(plan_of(104))
    b.gate.take(plan_of(2))
    b.gate.tick(ego_at(2))
    assert b.stamps == [100, 1, 2] and [c.reason for c in b.sent] == ["", "no_plan", ""]


def test_a_fault_from_before_time_was_set_back_is_left_out():
    b = Bench()
    b.gate.take(plan_of(100))
    b.gate.tick(ego_at(100))
    b.gate.reset()
    b.gate.tick(ego_at(1))
    b.gate.fail(104 * TICK_NS, "RuntimeError")
    assert b.stamps == [100], "still waits for its plan"
    b.gate.take(plan_of(1))
    assert b.stamps == [100, 1] and b.sent[-1].reason == ""
    b.gate.tick(ego_at(3))
    assert b.stamps == [100, 1], "the next one is waited for too"


def test_handshake_counts_second_late_and_missing_controls():
    told = []
    shakes = Handshake(told.append)
    shakes.open(10)
    shakes.take(Control(10, throttle=0.5))
    assert shakes.answered and shakes.control.throttle == 0.5 and told == []
    shakes.take(Control(10, throttle=0.6))
    assert shakes.second == 1 and "another controller" in told[-1]
    shakes.open(20)
    shakes.take(Control(10, throttle=0.9))
    assert not shakes.answered and shakes.late == 1 and shakes.control.throttle == 0.6
    shakes.take(Control(10, brake=0.8))  # the last control of a controller that leaves may come a tick late
    assert not shakes.answered and shakes.late == 2 and (shakes.control.throttle, shakes.control.brake) == (0.0, 0.8)
    shakes.give_up(1.0)
    assert shakes.unanswered == 1 and "no control" in told[-1]
    shakes.take(Control(0, brake=1.0))  # unstamped, as a plain client sends it
    assert shakes.answered and shakes.control.brake == 1.0


def test_the_slot_keeps_the_newest_and_counts_the_rest():
    slot = LatestSlot()
    for n in range(3):
        slot.put(n)
    assert slot.take() == 2 and slot.dropped == 2
    slot.put(3)
    slot.clear()
    slot.close()
    assert slot.take() is None


def test_the_worker_works_on_its_own_thread_and_ends():
    done, threads = threading.Event(), []
    worker = Worker(lambda item: (threads.append(threading.current_thread().name), done.set()), "inference")
    worker.slot.put(1)
    assert done.wait(2.0) and threads == ["inference"]
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("period, wanted", [(0.1, [0, 2, 4, 6]), (0.05, [0, 1, 2, 3, 4, 5, 6, 7]), (0.2, [0, 4])])
def test_waits_follow_the_period(period, wanted):
    sent, waited = [], []
    gate = PlanGate(Pilot(), period, True, 0.8, lambda control, ego: sent.append(control), now_s=lambda: 0.0)
    for n in range(8):
        before = len(sent)
        gate.tick(ego_at(n))
        if len(sent) == before:
            waited.append(n)
            gate.take(plan_of(n))
    assert waited == wanted and len(sent) == 8
