"""The supervisor's rule for signal phases: it stops before a red line on the car's way, and is never less cautious."""

import math
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import TICK_NS, TICK_S, ego, straight

from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.core.v2x import PHASE_DTYPE, SignalPhases
from kd_planner_ros.driving.caution import NO_BOUND, Bound
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.signals import Signals, SignalSettings
from kd_planner_ros.driving.supervisor import Reason

AHEAD = np.zeros((0, 2))
FRONT_M = SignalSettings().car.front_m


def phases(state=LightState.RED, x=40.0, y=0.0, yaw=0.0, stamp_ns=0, number=3):
    rows = np.zeros(1, PHASE_DTYPE)
    rows["signal"], rows["state"], rows["min_end_s"], rows["stop_x"], rows["stop_y"], rows["yaw"] = number, state, np.nan, x, y, yaw
    return SignalPhases(stamp_ns, rows)


def both(*lists):
    """The rows of several lists in one."""
    return SignalPhases(lists[0].stamp_ns, np.concatenate([one.rows for one in lists]))


def drive(speed, state_at, seconds=20.0, x=0.0, rule=None, brakes=1.0, lag_ticks=0):
    """A car along x that wants to keep ``speed``; the signal 40 m ahead has the colour ``state_at(second)``, or that gives the phases. Its
    brakes have the share ``brakes`` of what the rule expects, and it obeys ``lag_ticks`` late. (x, speed) of each tick."""
    rule, v, way, late = rule or Signals(), speed, [], deque([Control()] * lag_ticks)
    for tick in range(round(seconds / TICK_S)):
        now_ns = tick * TICK_NS
        state = state_at(tick * TICK_S)
        heard = phases(state, stamp_ns=now_ns) if isinstance(state, int) else state
        bound = rule.bound(heard, AHEAD, ego(v, now_ns, x=x), now_ns)
        late.append(bound.apply(Control(throttle=0.5 if v < speed else 0.0), Reason.RED_SIGNAL))
        wish = late.popleft()
        v = max(0.0, v + (2.0 * wish.throttle - 8.0 * brakes * wish.brake) * TICK_S)
        x += v * TICK_S
        way.append((x, v))
    return way


@pytest.mark.parametrize("speed", [3.0, 7.0, 12.0, 15.0])
def test_a_car_stops_before_a_red_line_and_stays(speed):
    way = drive(speed, lambda second: LightState.RED)
    x, v = way[-1]
    assert v == 0.0 and 40.0 - FRONT_M - 4.0 < x < 40.0 - FRONT_M, "near the line, and not over it"
    hardest = max(before[1] - after[1] for before, after in zip(way, way[1:], strict=False)) / TICK_S
    assert hardest < 6.0, "not a full brake: it saw the signal in time"


def test_it_drives_on_at_green_and_when_phases_stop():
    for then in (LightState.GREEN, None, LightState.OFF):
        way = drive(7.0, lambda second, then=then: LightState.RED if second < 12.0 else then)
        assert way[round(11.9 / TICK_S)][1] == 0.0 and way[-1][0] > 45.0


def test_a_yellow_that_comes_too_late_to_stop_is_driven_through():
    late, early = (drive(10.0, lambda second, at=at: LightState.YELLOW if second > at else LightState.GREEN) for at in (3.2, 1.0))
    assert late[-1][0] > 100.0 and min(v for _, v in late) == pytest.approx(10.0, abs=0.2)
    assert early[-1][1] == 0.0 and early[-1][0] < 40.0 - FRONT_M


def test_a_car_over_the_line_drives_on():
    assert drive(5.0, lambda second: LightState.RED, x=40.0 - FRONT_M + 1.5)[-1][0] > 60.0


@pytest.mark.parametrize("other", [{"y": 3.5}, {"yaw": math.pi}, {"yaw": math.pi / 2.0}, {"x": -10.0}, {"x": 80.0}, {"y": math.nan},
                                   {"yaw": math.inf}, {"state": LightState.GREEN}, {"state": 77}], ids=str)
def test_another_lanes_signal_or_a_broken_one_is_none_of_the_cars(other):
    assert Signals().bound(phases(**{"x": 15.0, **other}), AHEAD, ego(8.0, 0), 0) == NO_BOUND
    assert Signals().bound(phases(x=15.0), AHEAD, ego(8.0, 0), 0).brake > 0.1


def test_it_follows_the_path_round_the_corner():
    bend = np.array([[5.0, 0.0], [10.0, 1.0], [13.0, 4.0], [14.0, 9.0], [14.0, 15.0]])
    there = phases(x=14.0, y=12.0, yaw=math.pi / 2.0)
    assert Signals().bound(there, bend, ego(7.0, 0), 0).throttle == 0.0
    assert Signals().bound(there, AHEAD, ego(7.0, 0), 0) == NO_BOUND


def test_old_phases_do_not_count():
    assert Signals().bound(phases(x=15.0), AHEAD, ego(8.0, 400_000_000), 400_000_000) != NO_BOUND
    rule = Signals()
    assert rule.bound(phases(x=15.0), AHEAD, ego(8.0, 600_000_000), 600_000_000) == NO_BOUND and not rule.holds


@pytest.mark.parametrize("lost", [phases(x=15.0), None, phases(x=15.0, number=4, y=9.0, stamp_ns=1_300_000_000)],
                         ids=["old", "none", "others alone"])
def test_a_lost_red_holds_for_a_second(lost):
    rule = Signals()
    rule.bound(phases(x=15.0), AHEAD, ego(8.0, 400_000_000), 400_000_000)
    assert rule.bound(lost, AHEAD, ego(8.0, 1_350_000_000), 1_350_000_000).brake > 0.1 and rule.holds
    assert rule.bound(lost, AHEAD, ego(8.0, 1_450_000_000), 1_450_000_000) == NO_BOUND and not rule.holds


def test_a_signal_that_never_changes_holds_the_car_for_its_patience_and_no_longer():
    rule = Signals(SignalSettings(patience_s=5.0))
    way = drive(7.0, lambda second: LightState.RED, 25.0, rule=rule)
    assert way[round(9.0 / TICK_S)][1] == 0.0 and way[-1][0] > 45.0
    x = way[-1][0]
    next_one = phases(x=x + 4.0, stamp_ns=10**11, number=4)
    assert rule.bound(next_one, AHEAD, ego(0.0, 10**11, x=x), 10**11) != NO_BOUND, "it has driven on: the wait begins anew"


def _rows_at(state, second, **more):
    return phases(state, stamp_ns=round(second / TICK_S) * TICK_NS, **more)


@pytest.mark.parametrize("shown", [
    lambda second: LightState.YELLOW,
    lambda second: both(_rows_at(LightState.RED, second), _rows_at(LightState.GREEN, second)),
    lambda second: both(_rows_at(LightState.OFF, second, x=9_000.0), _rows_at(LightState.RED, second)),
    lambda second: _rows_at(LightState.RED, second, number=int(second / 2.5)),
    lambda second: LightState.GREEN if second > 5.0 and second % 2.0 < 0.1 else LightState.RED,
    lambda second: None if second > 5.0 and second % 2.0 < 0.7 else LightState.RED],
    ids=["yellow for ever", "a green row beside it", "an off row elsewhere", "a new number each 2.5 s", "green now and then", "gaps"])
def test_no_phases_hold_the_car_for_ever(shown):
    way = drive(7.0, shown, 30.0, rule=Signals(SignalSettings(patience_s=5.0)))
    assert min(v for _, v in way) == 0.0, "they did hold it"
    assert way[-1][0] > 45.0


@pytest.mark.parametrize("speed", [8.0, 12.0, 14.0])
def test_weak_and_late_brakes_are_not_let_go_before_the_line(speed):
    way = drive(speed, lambda second: LightState.RED, x=-20.0, brakes=0.6, lag_ticks=4)
    assert way[-1][1] == 0.0 and way[-1][0] + FRONT_M < 40.0


@pytest.mark.parametrize("metres", [16.1, 15.0])
def test_a_red_seen_late_is_stopped_for_where_the_whole_brake_is_enough(metres):
    way = drive(14.0, lambda second: LightState.RED, x=40.0 - FRONT_M - metres, lag_ticks=4)
    assert way[-1][1] == 0.0 and way[-1][0] + FRONT_M < 40.0


@pytest.mark.parametrize("speed", [8.0, 11.0, 14.0])
def test_a_stop_begun_at_yellow_ends_before_the_line(speed):
    way = drive(speed, lambda second: LightState.YELLOW if second < 3.0 else LightState.RED, x=0.0 - FRONT_M, brakes=0.7, lag_ticks=4)
    assert way[-1][1] == 0.0 and way[-1][0] + FRONT_M < 40.0


def test_a_stop_goes_on_across_a_gap_in_the_phases():
    way = drive(12.0, lambda second: None if 2.0 < second < 2.9 else LightState.RED)
    assert all(after[1] <= before[1] for before, after in zip(way[30:], way[31:], strict=False))
    assert way[-1][1] == 0.0 and way[-1][0] + FRONT_M < 40.0


def test_the_stricter_limit_gives_the_reason():
    red = Bound(0.0, 0.3, reason=Reason.RED_SIGNAL)
    for other, reason in ((NO_BOUND, Reason.RED_SIGNAL), (Bound(0.0, 0.6), Reason.HIDDEN_OBJECT), (Bound(0.0, 0.1), Reason.RED_SIGNAL)):
        for both in (red.with_other(other), other.with_other(red)):
            sent = both.apply(Control(throttle=0.5), Reason.HIDDEN_OBJECT)
            assert sent.reason == reason and sent.brake == max(0.3, other.brake) and sent.throttle == 0.0


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), numbers, numbers, numbers, numbers), max_size=5), st.floats(0.0, 20.0),
       st.integers(-10**9, 10**9))
def test_phases_never_make_the_control_less_cautious(rows, speed, stamp_ns):
    table = np.zeros(len(rows), PHASE_DTYPE)
    for row, (state, end_s, x, y, yaw) in zip(table, rows, strict=True):
        row["state"], row["min_end_s"], row["stop_x"], row["stop_y"], row["yaw"] = state, end_s, x, y, yaw
    free, heard = Pilot(), Pilot()
    for pilot in (free, heard):
        pilot.take(straight(speed))
    heard.hear_phases(SignalPhases(stamp_ns, table))
    without, sent = free.step(ego(speed, 0)), heard.step(ego(speed, 0))
    assert sent.brake >= without.brake and sent.throttle <= without.throttle and sent.steer == without.steer
    assert replace(sent, throttle=0.0, brake=0.0, reason="") == replace(without, throttle=0.0, brake=0.0, reason="")


def test_the_pilot_says_why_it_stops():
    pilot = Pilot()
    pilot.take(straight(8.0))
    pilot.hear_phases(phases(x=14.0))
    sent = pilot.step(ego(8.0, 0))
    assert sent.reason == Reason.RED_SIGNAL and sent.throttle == 0.0 and sent.brake > 0.2 and pilot.supervisor.cautious_ticks == 1
    pilot.reset()
    pilot.take(straight(8.0))
    assert pilot.step(ego(8.0, 0)).reason != Reason.RED_SIGNAL
