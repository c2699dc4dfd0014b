"""The fallback chain: each step by its reason, in order, and the comfortable stop in numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.plans import TICK_NS, TICK_S, TIMES, make_route, plan, straight

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.driving.comfortable_stop import ComfortableStop, StopSettings
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.driving.pilot import Pilot, pilot_for
from kd_planner_ros.driving.supervisor import FALLBACKS, Limits, Reason, Supervisor, plan_age_limit_s


class Car:
    """A point that brakes at 8.5 m/s^2 times the brake and rolls on else."""

    def __init__(self, speed=5.0):
        self.n, self.x, self.speed = 0, 0.0, speed

    def ego(self):
        return EgoState(self.n * TICK_NS, Pose(x=self.x), self.speed)

    def move(self, control):
        self.speed = max(0.0, self.speed - 8.5 * control.brake * TICK_S)
        self.x, self.n = self.x + self.speed * TICK_S, self.n + 1


def follow(pilot, car, ticks):
    """The reasons and controls of the next ``ticks``."""
    sent = []
    for _ in range(ticks):
        sent.append(pilot.step(car.ego()))
        car.move(sent[-1])
    return sent


def test_the_chain_in_its_order():
    """The planner raises at tick 2: its last plan until 0.5 s, the comfortable stop until the car stands, the safe stop."""
    pilot, car = Pilot(), Car()
    pilot.take(straight(5.0))
    follow(pilot, car, 2)
    pilot.fail(Reason.PLANNER_FAILED)
    sent = follow(pilot, car, 120)
    reasons = [control.reason for control in sent]
    order = [reason for reason, before in zip(reasons, [None, *reasons]) if reason != before]
    assert order == [Reason.LAST_PLAN, Reason.COMFORTABLE_STOP, Reason.PLANNER_FAILED]
    assert reasons.count(Reason.LAST_PLAN) == 9  # ages 0.10 ... 0.50 s
    assert car.speed == 0.0 and car.x < 10.0, "it must stand before the end of its last plan"
    counts = pilot.supervisor.counts
    assert counts[Reason.PLANNER_FAILED] == 120 and counts[Reason.LAST_PLAN] == 9
    pilot.take(straight(5.0, stamp_ns=car.ego().stamp_ns))
    assert pilot.step(car.ego()).reason == "" and pilot.step(car.ego()).brake == 0.0


def test_the_stop_steers_by_the_cars_own_lock():
    """Half a metre beside its last path: wheels that turn half as far must be turned by twice the share."""
    steers = []
    for lock_rad in (1.22, 0.61):
        pilot = pilot_for(0.1, full_lock_rad=lock_rad)
        pilot.take(straight(5.0))
        pilot.step(EgoState(0, Pose(), 5.0))
        pilot.fail(Reason.PLANNER_FAILED)
        sent = [pilot.step(EgoState(n * TICK_NS, Pose(x=0.25 * n, y=-0.5), 5.0)) for n in range(1, 14)]
        assert sent[-1].reason == Reason.COMFORTABLE_STOP
        steers.append(sent[-1].steer)
    assert 0.02 < 2.0 * steers[0] == pytest.approx(steers[1])


def test_a_plan_turns_the_wheels_as_far_in_a_car_of_another_lock():
    """A plan that bends to the left: wheels that turn two thirds as far must be turned by half as much again."""
    bend = plan(np.stack([2.0 * np.arange(1, 5), 0.05 * np.arange(1, 5) ** 2], 1), target=(20.0, 2.0))
    steers = []
    for lock_rad in (1.22, 1.22 / 1.5, 0.1):
        pilot = pilot_for(0.1, full_lock_rad=lock_rad)
        pilot.take(bend)
        steers.append(pilot.step(EgoState(0, Pose(), 5.0)).steer)
    assert 0.01 < 1.5 * steers[0] == pytest.approx(steers[1]) and steers[1] < steers[2] <= 1.0


@pytest.mark.parametrize("reason", [Reason.PLAN_LATE, Reason.INPUT_FAILED])
def test_other_silences_take_the_same_way(reason):
    pilot, car = Pilot(), Car()
    pilot.take(straight(5.0))
    follow(pilot, car, 1)
    pilot.fail(reason)
    assert [control.reason for control in follow(pilot, car, 12)][::11] == [Reason.LAST_PLAN, Reason.COMFORTABLE_STOP]


@pytest.mark.parametrize("reason", ["odometry_stale", "clock_missing", "deactivated"])
def test_other_faults_stop_at_once(reason):
    pilot, car = Pilot(), Car()
    pilot.take(straight(5.0))
    follow(pilot, car, 1)
    pilot.fail(reason)
    assert {control.reason for control in follow(pilot, car, 12)} == {reason}


def test_an_implausible_plan_discredits_the_planner():
    pilot, car = Pilot(), Car()
    pilot.take(straight(5.0))
    follow(pilot, car, 1)
    pilot.take(plan([(2, 0), (4, math.nan), (6, 0), (8, 0)], TICK_NS))
    assert {control.reason for control in follow(pilot, car, 5)} == {Reason.PLAN_NOT_FINITE}


def test_a_car_without_a_state_or_with_old_sensors_falls_back_on_nothing():
    pilot, car = Pilot(), Car()
    pilot.take(straight(5.0))
    follow(pilot, car, 1)
    pilot.fail(Reason.PLANNER_FAILED)
    lost = pilot.step(EgoState(car.ego().stamp_ns, Pose(x=math.nan), 5.0))
    old = pilot.step(car.ego(), sensor_ages_s={"front": 0.9})
    assert (lost.reason, old.reason) == (Reason.PLANNER_FAILED, Reason.PLANNER_FAILED)
    assert lost.throttle == old.throttle == 0.0 < lost.brake


def test_a_slower_planners_plan_drives_while_it_is_fresh():
    """The own plan is stale from 0.55 s on; the slower planner's, of 4 s, holds up to the age of 1.25 s. It is a tick younger."""
    pilot, car = Pilot(), Car()
    pilot.take(straight(5.0))
    pilot.take(straight(5.0, 2.0 * TIMES, stamp_ns=TICK_NS), slower=True)
    reasons = [control.reason for control in follow(pilot, car, 28)]
    assert reasons == [""] * 11 + [Reason.SLOWER_PLAN] * 16 + [Reason.COMFORTABLE_STOP]


def test_a_slower_planners_older_plan_is_left_out():
    pilot = Pilot()
    pilot.take(straight(5.0, stamp_ns=TICK_NS), slower=True)
    pilot.take(straight(5.0, stamp_ns=0), slower=True)
    assert pilot._slower.stamp_ns == TICK_NS and pilot.plan is None


def test_before_the_first_plan_there_is_nothing_to_fall_back_on():
    pilot, car = Pilot(), Car()
    assert {control.reason for control in follow(pilot, car, 5)} == {Reason.NO_PLAN}


def test_brake_does_not_fall_where_a_hard_braking_car_loses_its_plan():
    pilot, car = Pilot(), Car(5.0)
    pilot.take(straight(0.1))  # wants to stand: the controller brakes fully
    braking = follow(pilot, car, 3)
    assert braking[-1].brake == 1.0
    pilot.plan = pilot._followed = None
    pilot.fail(Reason.PLANNER_FAILED)
    assert [control.brake for control in follow(pilot, car, 3)] == [1.0] * 3


def test_comfortable_stop_in_numbers():
    """5 m/s, 10 m of path: 0.5 s rolling (2.5 m), then 2 m/s^2, which takes 6.25 m: it stands near 8.75 m."""
    stop, car = ComfortableStop(np.array([(0.0, 0.0), (10.0, 0.0)])), Car(5.0)
    brakes = []
    while (control := stop.step(car.ego(), car.ego().stamp_ns)) is not None:
        assert control.throttle == 0.0 and control.steer == 0.0
        brakes.append(control.brake)
        car.move(control)
    assert brakes[:10] == [0.0] * 10 and brakes[10] == pytest.approx(2.0 / 8.5)
    assert max(brakes) < 0.3 and car.speed < 0.1 and car.x == pytest.approx(8.6, abs=0.2)


@pytest.mark.parametrize("length_m, brake", [(5.0, 2.5 / 8.5), (4.0, 3.125 / 8.5), (3.5, None)])
def test_a_short_path_is_braked_for_harder_or_left_to_the_safe_stop(length_m, brake):
    """25 / (2 L) m/s^2 at 5 m/s: 2.5 for 5 m, 3.125 for 4 m, 3.57 for 3.5 m: above 3.5."""
    control = ComfortableStop(np.array([(0.0, 0.0), (length_m, 0.0)])).step(Car(5.0).ego(), 0)
    assert control is None if brake is None else control.brake == pytest.approx(brake)


def test_comfortable_stop_steers_along_the_path_and_gives_up_beside_it():
    left = np.array([(0.0, 0.0), (3.0, 0.3), (6.0, 1.5), (10.0, 4.0)])
    assert ComfortableStop(left).step(Car(3.0).ego(), 0).steer > 0.05
    assert ComfortableStop(-left * (-1, 1)).step(Car(3.0).ego(), 0).steer < -0.05
    assert ComfortableStop(left).step(EgoState(0, Pose(y=-2.5), 3.0), 0) is None
    assert ComfortableStop(left).step(Car(3.0).ego(), 0, brake_before=0.5) is None
    assert StopSettings().most_mps2 > StopSettings().braking_mps2


@pytest.mark.parametrize("speed", [1.0, 3.0, 5.0, 8.0, 12.0])
def test_a_comfortable_stop_ends_on_its_path_or_does_not_begin(speed):
    for length_m in np.arange(1.0, 40.0, 3.0):
        stop, car = ComfortableStop(np.array([(0.0, 0.0), (length_m, 0.0)])), Car(speed)
        began = False
        while (control := stop.step(car.ego(), car.ego().stamp_ns)) is not None:
            began = True
            car.move(control)
        assert not began or car.x <= length_m + 0.3, (speed, length_m)


def test_plan_age_limit_by_hand():
    assert plan_age_limit_s(0.1) == 0.5 == Limits().max_plan_age_s
    assert plan_age_limit_s(0.5) == 1.25 and plan_age_limit_s(2.0) == 5.0
    assert plan_age_limit_s(0.5, 0.3) == pytest.approx(1.85) and plan_age_limit_s(0.1, 0.4) == pytest.approx(1.05)


def test_a_pilots_age_limit_is_given_or_derived():
    limits = [pilot_for(*arguments).supervisor.limits.max_plan_age_s for arguments in ((0.1,), (2.0,), (2.0, 0.5), (2.0, 0.5, 0.7))]
    assert limits == [0.5, 5.0, 6.0, 0.7]


def test_the_age_limit_is_longer_than_any_plan_waits_for_the_next():
    """Property: over periods and latencies a held plan never grows older than the limit (Turns gives the instants)."""
    from itertools import repeat

    from kd_planner_ros.evaluation.latency import Turns

    for period in (1, 2, 4, 10, 20, 40):
        for latency in range(30):
            turns, acts = Turns(period, repeat(latency)), []
            for tick in range(600):
                delay = turns.looks(tick)
                if delay is not None:
                    acts.append((tick + delay, tick))
            oldest = max(there - picture - 1 for (_, picture), (there, _) in zip(acts, acts[1:]))
            assert oldest * TICK_S <= plan_age_limit_s(period * TICK_S, latency * TICK_S), (period, latency)


class Slow:
    """Two plans a second, straight ahead at 4 m/s."""

    rate_hz = 2.0

    def reset(self):
        pass

    def plan(self, frame):
        points = np.stack([4.0 * np.arange(0.5, 4.1, 0.5), np.zeros(8)], 1)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, np.arange(0.5, 4.1, 0.5)), frame.goal)


def test_a_2_hz_planner_with_300_ms_drives_without_braking_each_cycle():
    from kd_planner_ros.core.records import Frame

    driver = Driver(Slow(), make_route((0, 0), (199, 0)), latency_s=0.3)
    assert driver.pilot.supervisor.limits.max_plan_age_s == pytest.approx(1.85)
    sent, acted = [], []
    for tick in range(200):
        ego = EgoState(tick * TICK_NS, Pose(x=0.2 * tick), 4.0)
        goal = driver.goal(ego)
        control, acting = driver.step(Frame(ego.stamp_ns, ego, goal) if tick % 10 == 0 else None, ego, 0.3)
        sent.append(control)
        acted += [(tick, acting.stamp_ns // TICK_NS)] if acting else []
    assert acted[:3] == [(6, 0), (16, 10), (26, 20)]
    assert {control.reason for control in sent[:6]} == {Reason.NO_PLAN}
    assert {control.reason for control in sent[6:]} == {""} and not any(control.brake for control in sent[6:])


def test_fallback_reasons_are_no_safe_stops():
    supervisor = Supervisor()
    for name in FALLBACKS:
        sent = supervisor.send(Control(0, 0.9, 0.0, 0.0, name), Car().ego(), 0, Reason.PLANNER_FAILED)
        assert sent.reason == name and sent.throttle == 0.8, "limited, but still by its own name"
    assert supervisor.send(Control(0, 0.5, 0.0, 0.0), Car().ego(), 0, Reason.PLANNER_FAILED).throttle == 0.0
