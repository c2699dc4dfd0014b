"""The supervisor's rule for reported road users: it stops before those that cross, leaves the others alone, and is never less cautious."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import TICK_NS, TICK_S, ego, plan, straight

from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.v2x import SILENT_DTYPE, ReportedObjects, SilentStations
from kd_planner_ros.driving.caution import NO_BOUND, Bound, Caution, extended
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.supervisor import Reason, Supervisor

WALKER, CAR = (0.5, 0.6, 1.75), (4.5, 1.85, 1.45)
NOBODY = np.zeros((0, 2))


def user(x, y, vx, vy, size=WALKER, number=7):
    row = np.zeros(1, ACTOR_DTYPE)
    row["id"], row["x"], row["y"], row["vx"], row["vy"] = number, x, y, vx, vy
    row["yaw"] = math.atan2(vy, vx)
    row["length"], row["width"], row["height"] = size
    row["kind"] = ActorKind.PEDESTRIAN if size is WALKER else ActorKind.CAR
    return row


def reported(rows, stamp_ns=0, age_s=0.0, station=0):
    return ReportedObjects(stamp_ns, rows, np.full(len(rows), age_s), np.full(len(rows), station, np.int16), True)


def drive(speed, user_at, size, latency_s, listens=True):
    """A car along x that keeps its speed but for the rule; lists come at 10 Hz, ``latency_s`` old. (touched, x at the end)"""
    rule, x, v, touched = Caution(), 0.0, speed, False
    heard = None
    for tick in range(round(14.0 / TICK_S)):
        now, now_ns = tick * TICK_S, tick * TICK_NS
        if tick % 2 == 0 and now >= latency_s:
            heard = reported(user_at(now - latency_s), now_ns, latency_s)
        bound = rule.bound(heard if listens else None, NOBODY, ego(v, now_ns, x=x), now_ns)
        wish = bound.apply(Control(throttle=0.5 if v < speed else 0.0), Reason.HIDDEN_OBJECT)
        rule.acted(bound != NO_BOUND)
        v = max(0.0, v + (2.0 * wish.throttle - 8.5 * wish.brake) * TICK_S)
        x += v * TICK_S
        here = user_at(now + TICK_S)[0]
        half = 0.5 * (size[0] if size is WALKER else size[1])
        touched |= abs(here["x"] - x) < 2.45 + half and abs(here["y"]) < 1.06 + 0.5 * size[0]
    return touched, x


@pytest.mark.parametrize("speed", [4.0, 7.0, 10.0])
@pytest.mark.parametrize("latency_s", [0.0, 0.2, 0.4])
def test_a_walker_who_steps_out_is_not_hit(speed, latency_s):
    lead_s = 3.2
    at_m = speed * lead_s + 2.45  # the car's front is there when the walker is in the middle of its lane

    def walker(now):
        return user(at_m, -1.8 * lead_s + 1.8 * now, 0.0, 1.8)

    assert drive(speed, walker, WALKER, latency_s, listens=False)[0]
    touched, end = drive(speed, walker, WALKER, latency_s)
    assert not touched and end > at_m + 5.0, "and then the car drives on"


@pytest.mark.parametrize("latency_s", [0.0, 0.3])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_car_out_of_a_side_street_is_not_hit(latency_s, side):
    def car(now):
        return user(30.0, side * (38.0 - 9.5 * now), 0.0, -side * 9.5, CAR)

    assert drive(7.0, car, CAR, latency_s, listens=False)[0]
    touched, end = drive(7.0, car, CAR, latency_s)
    assert not touched and end > 40.0


@pytest.mark.parametrize("rows", [
    user(20.0, 0.0, 6.0, 0.0, CAR), user(30.0, 3.5, -9.0, 0.0, CAR), user(15.0, -3.0, 0.0, 0.0, CAR), user(20.0, -3.0, 1.5, 0.0),
    user(20.0, -6.0, 0.0, -1.5), user(-10.0, -4.0, 0.0, 1.8), user(20.0, -25.0, 0.0, 1.5), np.zeros(0, ACTOR_DTYPE)],
    ids=["leader", "oncoming", "parked", "walker along the street", "walker going away", "behind", "walker far away", "nobody"])
def test_others_change_nothing(rows):
    assert Caution().bound(reported(rows), NOBODY, ego(7.0), 0) == NO_BOUND


def test_the_path_decides_who_is_met():
    left = np.array([(4.0, 0.3), (8.0, 2.0), (11.0, 5.0), (12.0, 9.0)])
    beyond = user(22.0, -4.0, 0.0, 1.7)
    assert Caution().bound(reported(beyond), NOBODY, ego(7.0), 0).ids == (7,)
    assert Caution().bound(reported(beyond), left, ego(7.0), 0) == NO_BOUND
    assert np.allclose(extended(left, ego(7.0), 40.0)[1:5], left)


def test_an_old_list_is_not_used_and_a_lost_one_is_held_shortly():
    rule, rows = Caution(), user(16.0, -4.0, 0.0, 1.8)
    assert Caution().bound(reported(rows), NOBODY, ego(7.0), 600_000_000) == NO_BOUND
    assert rule.bound(reported(rows), NOBODY, ego(7.0), 0).ids == (7,)
    assert rule.bound(None, NOBODY, ego(7.0), 500_000_000).ids == (7,)
    assert rule.bound(None, NOBODY, ego(7.0), 900_000_000) == NO_BOUND


def test_a_car_held_by_what_never_moves_on_drives_again():
    """A reported object that does not exist may stand in front of the car, always a new one."""
    rule, x, v = Caution(), 0.0, 6.0
    for tick in range(round(90.0 / TICK_S)):
        ghost = user(x + 9.0, -3.0, 0.0, 1.8, number=tick // 20)
        bound = rule.bound(reported(ghost, tick * TICK_NS), NOBODY, ego(v, tick * TICK_NS, x=x), tick * TICK_NS)
        rule.acted(bound.throttle < 0.5)
        v = min(6.0, max(0.0, v + (2.0 * min(0.5, bound.throttle) - 8.5 * bound.brake) * TICK_S))
        x += v * TICK_S
    assert x > 90.0


@pytest.mark.parametrize("x", [16.0, 40.0])
def test_rows_of_two_stations_with_one_id_are_two_objects(x):
    both = np.concatenate([user(16.0, -4.0, 0.0, 1.8), user(x, 60.0, 0.0, 0.0)])
    for rows, stations in ((both, (0, 1)), (both[::-1], (1, 0))):
        bound = Caution().bound(replace(reported(rows), source=np.array(stations, np.int16)), NOBODY, ego(10.0), 0)
        assert bound.ids == (7,) and bound.brake > 0.0


def test_somebody_whom_another_station_reports_from_now_on_is_still_waited_for():
    rule = Caution()
    for tick in range(60):
        here = user(6.0, min(-3.0 + 0.1 * tick, 0.0), 0.0, 2.0 if tick < 30 else 0.0)
        bound = rule.bound(reported(here, tick * TICK_NS, station=tick // 40), NOBODY, ego(0.0, tick * TICK_NS), tick * TICK_NS)
        rule.acted(True)
    assert bound.ids == (7,)


def waiting(rule, seconds, acts):
    """A standing car before whom somebody stands who came into its way; the last bound."""
    for tick in range(round(seconds / TICK_S)):
        here = user(6.0, min(-3.0 + 0.1 * tick, 0.0), 0.0, 2.0 if tick < 30 else 0.0)
        bound = rule.bound(reported(here, tick * TICK_NS), NOBODY, ego(0.0, tick * TICK_NS), tick * TICK_NS)
        rule.acted(acts)
    return bound, tick * TICK_NS


def test_patience_ends_for_the_one_who_holds_the_car_and_for_nobody_else():
    rule = Caution()
    assert waiting(Caution(), 4.5, True)[0].ids == (7,)
    bound, now_ns = waiting(rule, 7.0, True)
    assert bound == NO_BOUND
    rows = np.concatenate([user(6.0, 0.0, 0.0, 0.0), user(8.0, -2.0, 0.0, 1.5, number=999)])
    bound = rule.bound(reported(rows, now_ns + TICK_NS), NOBODY, ego(2.0, now_ns + TICK_NS), now_ns + TICK_NS)
    assert bound.ids == (999,) and bound.throttle == 0.0


def test_a_car_that_stands_anyway_loses_no_patience():
    """Before a red light the planner brakes itself."""
    assert waiting(Caution(), 30.0, False)[0].ids == (7,)


def test_walkers_who_cross_one_after_another_are_all_waited_for():
    rule, bounds = Caution(), []
    for tick in range(round(30.0 / TICK_S)):
        now, now_ns = tick * TICK_S, tick * TICK_NS
        crowd = [user(6.0, -3.0 + 1.5 * (now - start), 0.0, 1.5, number=start) for start in range(-4, 31) if -1.0 < now - start < 4.0]
        bounds.append(rule.bound(reported(np.concatenate(crowd), now_ns), NOBODY, ego(0.0, now_ns), now_ns))
        rule.acted(bounds[-1] != NO_BOUND)
    assert all(bound.throttle == 0.0 for bound in bounds)


@st.composite
def lists(draw):
    count = draw(st.integers(0, 4))
    number = st.one_of(st.floats(-60.0, 60.0), st.sampled_from([math.nan, math.inf, 1e30]))
    rows = np.zeros(count, ACTOR_DTYPE)
    with np.errstate(all="ignore"):
        for row in rows:
            for name in ("x", "y", "yaw", "vx", "vy", "length", "width"):
                row[name] = draw(number)
            row["id"] = draw(st.integers(0, 3))
    return ReportedObjects(draw(st.integers(-10**9, 10**9)), rows, np.array(draw(st.lists(number, min_size=count, max_size=count))),
                           np.array(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)), np.int16), draw(st.booleans()))


PLACE = st.one_of(st.floats(-60.0, 60.0, width=32), st.sampled_from([math.nan, math.inf]))
SILENT = st.lists(st.tuples(st.just(0), PLACE, PLACE, st.sampled_from([0.6, 31.0, math.inf, math.nan])), max_size=2).map(
    lambda rows: np.array(rows, SILENT_DTYPE))


@settings(max_examples=60, deadline=None)
@given(st.lists(lists(), min_size=1, max_size=4), st.floats(0.0, 15.0), st.booleans(), SILENT)
def test_whatever_is_reported_the_control_is_at_least_as_cautious(messages, speed, plans, silent):
    deaf, hears = Pilot(), Pilot()
    for tick, message in enumerate(messages):
        state = ego(speed, tick * TICK_NS, x=speed * tick * TICK_S)
        for pilot in (deaf, hears):
            if plans:
                pilot.take(straight(speed, stamp_ns=tick * TICK_NS))
        hears.hear(message)
        hears.hear_silent(SilentStations(message.stamp_ns, silent))
        without, sent = deaf.step(state), hears.step(state)
        assert sent.brake >= without.brake and sent.throttle <= without.throttle and sent.steer == without.steer
        assert sent == without or sent.reason in (Reason.HIDDEN_OBJECT, without.reason)


def test_the_pilot_names_and_counts_it():
    pilot = Pilot()
    pilot.take(straight(7.0))
    pilot.hear(reported(user(16.0, -4.0, 0.0, 1.8)))
    sent = pilot.step(ego(7.0))
    assert sent.reason == Reason.HIDDEN_OBJECT and sent.throttle == 0.0 and pilot.supervisor.counts == {Reason.HIDDEN_OBJECT: 1}
    assert pilot.supervisor.cautious_ticks == 1
    pilot.reset()
    pilot.take(straight(7.0))
    assert pilot.step(ego(7.0)).reason == "" and pilot.supervisor.cautious_ticks == 0


def test_a_planner_that_fails_while_the_rule_brakes_stops_gently_along_its_bend():
    """The comfortable stop refuses where the car brakes hard already; that the rule does is no reason to let the wheels straighten."""
    radius_m, found = 15.0, {}
    bend = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0]) * 6.0 / radius_m
    points = radius_m * np.stack([np.sin(bend), 1.0 - np.cos(bend)], 1)
    for heard in (False, True):
        pilot = Pilot()
        for tick in range(30):
            now_ns = tick * TICK_NS
            if tick < 10:
                pilot.take(plan(points, now_ns, np.arange(1, 7) * 0.5, target=(12.0, 8.0)))
            else:
                pilot.fail(Reason.PLANNER_FAILED)
            if heard:
                pilot.hear(reported(user(8.0, 1.8 * tick * TICK_S, 0.0, 1.8), now_ns))
            found[heard, tick] = pilot.step(ego(6.0, now_ns))
    assert found[True, 8].brake > 0.3 > found[False, 8].brake, "the rule brakes harder than the stop would"
    for tick in range(10, 30):
        deaf, hearing = found[False, tick], found[True, tick]
        assert hearing.steer == deaf.steer and hearing.brake >= deaf.brake and hearing.throttle <= deaf.throttle, tick
    assert found[False, 29].steer > 0.1


@pytest.mark.parametrize("wanted_mps, held", [(4.0, False), (0.0, True)], ids=["the rule holds the car", "the plan holds the car"])
def test_the_pilot_waits_with_patience_only_where_its_plan_would_drive(wanted_mps, held):
    pilot = Pilot()
    for tick in range(141):
        now_ns = tick * TICK_NS
        pilot.take(straight(wanted_mps if tick < 140 else 4.0, stamp_ns=now_ns))
        pilot.hear(reported(user(6.0, min(-3.0 + 0.1 * tick, 0.0), 0.0, 2.0 if tick < 30 else 0.0), now_ns))
        sent = pilot.step(ego(0.0, now_ns))
    assert (sent.reason == Reason.HIDDEN_OBJECT) == held and (sent.throttle == 0.0) == held


@pytest.mark.parametrize("wish, fault, changed", [
    (Control(0, 1.0, 0.0, 0.0), "", True), (Control(0, 0.5, 0.0, 0.0, Reason.LAST_PLAN), Reason.PLAN_LATE, True),
    (None, Reason.PLAN_LATE, True), (Control(0, 0.0, 0.0, 0.9), "", False)], ids=["limited", "fallback", "safe stop", "brakes"])
def test_each_tick_that_is_more_cautious_is_counted_whatever_its_reason(wish, fault, changed):
    supervisor = Supervisor()
    sent = supervisor.send(wish, ego(7.0), 0, fault, Bound(0.0, 0.5))
    assert supervisor.cautious == changed and supervisor.cautious_ticks == changed and sent.reason != Reason.HIDDEN_OBJECT
    supervisor.send(wish, ego(7.0), TICK_NS, fault)
    assert not supervisor.cautious and supervisor.cautious_ticks == changed


def test_a_bound_changes_only_what_it_must():
    wish = Control(5, 0.3, 0.2, 0.1, "limited")
    assert NO_BOUND.apply(wish, "n") is wish and Bound(0.3, 0.1).apply(wish, "n") is wish
    assert Bound(0.0, 0.4).apply(wish, "n") == replace(wish, throttle=0.0, brake=0.4)
