"""The supervisor: every rule by name, limits, the ramp of the safe stop, the pilot and the driver around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.plans import TICK_NS, TIMES, ego, make_route, plan

from kd_planner_ros.core.ego import Command, NavigationGoal
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, Frame
from kd_planner_ros.driving.driver import Driver, Pilot
from kd_planner_ros.driving.supervisor import Limits, Reason, Supervisor, check_trajectory


def test_good_wish_passes_unchanged():
    wish = Control(0, 0.5, -0.2, 0.0)
    supervisor = Supervisor()
    assert supervisor.check(wish, plan(), ego(), 0) == wish
    assert not supervisor.counts


def test_limits_are_applied_and_named():
    sent = Supervisor().check(Control(0, 1.5, -3.0, -0.1), plan(), ego(), 0)
    assert sent == Control(0, 0.8, -1.0, 0.0, Reason.LIMITED)


NAN = float("nan")


@pytest.mark.parametrize("points, times, reason", [
    ([(2, 0), (4, NAN), (6, 0), (8, 0)], TIMES, Reason.PLAN_NOT_FINITE),
    ([(2, 0), (4, np.inf), (6, 0), (8, 0)], TIMES, Reason.PLAN_NOT_FINITE),
    ([(2, 0), (4, 0), (6, 0), (8, 0)], [0.5, 1.0, 1.0, 2.0], Reason.PLAN_TIMES),
    ([(2, 0), (4, 0), (6, 0)], TIMES, Reason.PLAN_TIMES),
    ([(2, 0), (150, 0), (152, 0), (154, 0)], TIMES, Reason.PLAN_INTERVAL),
    ([(50, 0), (52, 0), (54, 0), (56, 0)], TIMES, Reason.PLAN_START),
    ([(2, 0), (4, 0), (4, 2), (2, 2)], TIMES, Reason.PLAN_ACCELERATION),  # 90 degrees in 2 m at 4 m/s: 12.6 m/s^2
    ([(1, 0), (2.2, 0), (2.2, 1.2), (1, 1.2)], TIMES, Reason.PLAN_CURVATURE),  # 90 degrees in 1.2 m: 1.31 / m
    ([(5, 0), (10, 0), (14, 3), (18, 6)], TIMES, Reason.PLAN_ACCELERATION),  # 0.129 / m at 10 m/s: 12.9 m/s^2
    ([(2, 0), (4, 0), (12, 0), (20, 0)], TIMES, Reason.PLAN_ACCELERATION),  # 4 to 16 m/s in 0.5 s
    ([(0, 0), (0, 0), (0, 0), (0, 0)], TIMES, ""),
    ([(0.1, 0), (0.1, 0.1), (0, 0.1), (0, 0)], TIMES, ""),  # noise of a standing car
])
def test_trajectory_rules(points, times, reason):
    assert check_trajectory(plan(points, times=times), 4.0) == reason


def test_nan_target_point_is_refused():
    bad = NavigationGoal(np.array([NAN, 0.0]), Command.LANE_FOLLOW)
    assert check_trajectory(plan(goal=bad), 4.0) == Reason.PLAN_NOT_FINITE


@pytest.mark.parametrize("x, reason", [(-49.0, ""), (-51.0, Reason.OFF_ROUTE), (-207.0, Reason.OFF_ROUTE)])
def test_a_plan_that_aims_behind_the_car_is_refused(x, reason):
    behind = plan(goal=NavigationGoal(np.array([x, 3.0]), Command.LANE_FOLLOW))
    assert check_trajectory(behind, 4.0) == reason
    sent = Supervisor().check(Control(0, 0.5, 0.0, 0.0), behind, ego(), 0)
    assert sent.reason == reason and (sent.throttle == 0.0) == bool(reason)


@pytest.mark.parametrize("arguments, reason", [
    (dict(plan=None, control=None), Reason.NO_PLAN),
    (dict(now_ns=600_000_000), Reason.PLAN_STALE),
    (dict(now_ns=-600_000_000), Reason.PLAN_STALE),
    (dict(sensor_ages_s={"front": 0.6}), Reason.SENSOR_STALE),
    (dict(sensor_ages_s={"front": NAN}), Reason.SENSOR_STALE),
    (dict(failed=Reason.PLANNER_FAILED), Reason.PLANNER_FAILED),
    (dict(control=Control(0, NAN, 0.0, 0.0)), Reason.CONTROL_NOT_FINITE),
    (dict(control=Control(0, 0.0, np.inf, 0.0)), Reason.CONTROL_NOT_FINITE),
    (dict(ego=ego(speed_mps=NAN)), Reason.EGO_NOT_FINITE),
    (dict(ego=ego(x=NAN)), Reason.EGO_NOT_FINITE),
])
def test_every_fault_stops_the_car_by_name(arguments, reason):
    supervisor = Supervisor()
    sent = supervisor.check(**{"control": Control(0, 0.5, 0.1, 0.0), "plan": plan(), "ego": ego(), "now_ns": 0,
                               **arguments})
    assert sent.reason == reason and sent.throttle == 0.0 and sent.brake > 0.0
    assert supervisor.counts == {reason: 1}


def test_safe_stop_ramps_and_holds():
    """1.0 per second at 20 Hz: 0.05, 0.10, ... up to 0.8; 1.0 once the car stands. Steering fades, never jumps."""
    supervisor = Supervisor()
    supervisor.check(Control(0, 0.5, 0.4, 0.0), plan(), ego(), 0)
    sent = [supervisor.check(None, None, ego(), tick * TICK_NS) for tick in range(1, 21)]
    assert [round(control.brake, 6) for control in sent[:3]] == [0.05, 0.1, 0.15]
    assert sent[-1].brake == 0.8
    steers = [0.4] + [control.steer for control in sent]
    assert all(0 < b < a for a, b in zip(steers, steers[1:]))
    assert steers[10] == pytest.approx(0.2)  # half after 0.5 s
    assert supervisor.check(None, None, ego(speed_mps=0.0), 21 * TICK_NS).brake == 1.0


@pytest.mark.parametrize("wished, sent", [(0.6, 0.65), (0.78, 0.8), (0.9, 0.9), (1.0, 1.0)])
def test_brake_never_falls_when_a_stop_begins(wished, sent):
    supervisor = Supervisor()
    supervisor.check(Control(0, 0.0, 0.0, wished), plan(), ego(), 0)
    assert supervisor.check(None, None, ego(), TICK_NS).brake == pytest.approx(sent)


def test_brake_is_held_when_a_standing_car_begins_to_roll():
    supervisor = Supervisor()
    assert supervisor.check(None, None, ego(speed_mps=0.0), 0).brake == 1.0
    assert supervisor.check(None, None, ego(speed_mps=0.2), TICK_NS).brake == 1.0


def test_reset_clears_counts_and_ramp():
    supervisor = Supervisor()
    for tick in range(10):
        supervisor.check(None, None, ego(), tick * TICK_NS)
    supervisor.reset()
    assert not supervisor.counts
    assert supervisor.check(None, None, ego(), 0).brake == pytest.approx(0.05)


def test_pilot_recovers_at_once_after_a_nan_plan():
    """A NaN must not enter the controller's windows: the next good plan drives as if nothing had been."""
    pilot, fresh = Pilot(), Pilot()
    bad = plan([(2, 0), (4, NAN), (6, 0), (8, 0)])
    pilot.take(bad)
    assert pilot.step(ego(), 0).reason == Reason.PLAN_NOT_FINITE
    for each in (pilot, fresh):
        each.take(plan(stamp_ns=TICK_NS))
    assert pilot.step(ego(stamp_ns=TICK_NS)) == fresh.step(ego(stamp_ns=TICK_NS))


def test_a_trajectory_is_checked_once_in_every_tick(monkeypatch):
    checked = []

    def counting(*arguments):
        checked.append(arguments)
        return check_trajectory(*arguments)

    monkeypatch.setattr("kd_planner_ros.driving.supervisor.check_trajectory", counting)
    pilot = Pilot()
    pilot.take(plan())
    assert [pilot.step(ego()).reason for _ in range(3)] == [""] * 3 and len(checked) == 3  # the same speed each time
    pilot.plan.trajectory.points[1] = NAN
    assert pilot.step(ego()).reason == Reason.PLAN_NOT_FINITE


def test_pilot_keeps_the_newer_plan():
    pilot = Pilot()
    newer = plan(stamp_ns=2)
    pilot.take(newer)
    pilot.take(plan(stamp_ns=1))
    assert pilot.plan is newer


def test_pilot_stops_when_plans_stop_coming():
    pilot = Pilot()
    pilot.take(plan())
    reasons = [pilot.step(ego(stamp_ns=tick * TICK_NS)).reason for tick in range(13)]
    assert reasons == [""] * 11 + [Reason.COMFORTABLE_STOP] * 2  # 0.5 s is the limit
    assert pilot.supervisor.counts[Reason.PLAN_STALE] == 2
    standing = pilot.step(ego(speed_mps=0.0, stamp_ns=13 * TICK_NS))
    assert (standing.reason, standing.brake) == (Reason.PLAN_STALE, 1.0)


class Scripted:
    """A planner that gives back, or raises, what it is told."""

    def __init__(self, *answers):
        self.answers, self.resets = list(answers), 0

    def reset(self):
        self.resets += 1

    def plan(self, frame):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(frame)


def good(frame):
    return plan(stamp_ns=frame.stamp_ns, goal=frame.goal)


def drive(driver, tick, with_frame=True, **frame_fields):
    state = ego(stamp_ns=tick * TICK_NS)
    frame = Frame(state.stamp_ns, state, driver.goal(state), **frame_fields) if with_frame else None
    return driver.step(frame, state)


def test_driver_holds_the_plan_between_frames():
    planner = Scripted(good)
    driver = Driver(planner, make_route())
    control, made = drive(driver, 0)
    assert made is not None and control.reason == "" and planner.resets == 1
    held, none = drive(driver, 1, with_frame=False)
    assert none is None and held.reason == "" and held.stamp_ns == made.stamp_ns


@pytest.mark.parametrize("error, reason", [
    (SensorError("a picture", "none", "mount it"), Reason.INPUT_FAILED),
    (ZeroDivisionError("x"), Reason.PLANNER_FAILED)])
def test_driver_survives_a_planner_that_raises(error, reason):
    driver = Driver(Scripted(good, error, good), make_route())
    assert drive(driver, 0)[0].reason == ""
    assert drive(driver, 2)[0].reason == Reason.LAST_PLAN
    assert drive(driver, 3, with_frame=False)[0].reason == Reason.LAST_PLAN  # until the next good plan
    assert str(error) in driver.last_error
    assert drive(driver, 4)[0].reason == ""
    assert driver.pilot.supervisor.counts == {Reason.LAST_PLAN: 2, reason: 2}


@pytest.mark.parametrize("error, reason", [
    (SensorError("a picture", "none", "mount it"), Reason.INPUT_FAILED),
    (ZeroDivisionError("x"), Reason.PLANNER_FAILED)])
def test_a_planner_that_never_gave_a_plan_stops_the_car_by_name(error, reason):
    driver = Driver(Scripted(error, good), make_route())
    assert [drive(driver, tick, with_frame=not tick)[0].reason for tick in (0, 1)] == [reason, reason]
    assert drive(driver, 2)[0].reason == ""


def test_driver_stops_for_an_old_sensor_until_a_fresh_frame():
    driver = Driver(Scripted(good, good), make_route())
    assert drive(driver, 0, ages_s={"front": 0.9})[0].reason == Reason.SENSOR_STALE
    assert drive(driver, 1, with_frame=False)[0].reason == Reason.SENSOR_STALE
    assert drive(driver, 2, ages_s={"front": 0.0})[0].reason == ""


def test_driver_goal_is_the_route_planners():
    goal = Driver(Scripted(), make_route()).goal(ego())
    assert goal.command == Command.LANE_FOLLOW and goal.target_point[1] == 0.0 and goal.target_point[0] > 4.0


def test_limits_are_settings():
    loose = replace(Limits(), max_plan_age_s=2.0)
    assert Supervisor(loose).check(Control(), plan(), ego(), 10**9).reason == ""
