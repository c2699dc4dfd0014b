"""TCP's controller: angles and signs by hand, pedals, fusion, turning state."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.plans import TIMES, ego, plan, straight

from kd_planner_ros.core.records import Control
from kd_planner_ros.driving.tcp_controller import ControllerSettings, TCPController, quarter_turns


@pytest.mark.parametrize("point, angle", [((0, 1), 0.0), ((1, 1), 0.5), ((-1, 1), -0.5), ((1, 0), 1.0), ((0, -1), 2.0)])
def test_bearing_in_quarter_turns(point, angle):
    assert quarter_turns(np.array(point, float)) == pytest.approx(angle)


def test_45_degrees_left_steers_left():
    """All waypoints and the target lie on the left diagonal: error -0.5 quarter turns (right positive).

    PID: 0.75 * 0.5 + 0.75 * 0.5 / 40 + 0.3 * 0.5 = 0.534375, to the LEFT: positive in core.
    """
    left = [(t, t) for t in (1, 2, 3, 4)]
    control = TCPController().step(plan(left, target=(10, 10)), ego(2.0))
    assert control.steer == pytest.approx(0.534375)


def test_mirrored_plan_mirrors_the_steering():
    right = [(t, -t) for t in (1, 2, 3, 4)]
    control = TCPController().step(plan(right, target=(10, -10)), ego(2.0))
    assert control.steer == pytest.approx(-0.534375)


def test_straight_on_from_standstill():
    """Error clipped to 0.25: 5 * 0.25 + 0.5 * 0.25 / 40 + 1 * 0.25 = 1.503, clipped to 0.75."""
    control = TCPController().step(straight(6.0, stamp_ns=7), ego(0.0, 7))
    assert (control.throttle, control.steer, control.brake) == pytest.approx((0.75, 0.0, 0.0))
    assert control.stamp_ns == 7 and control.reason == ""


def test_throttle_by_hand_near_the_wanted_speed():
    """Wanted 6.0, driven 5.9: 5 * 0.1 + 0.5 * 0.1 / 40 + 1 * 0.1 = 0.60125."""
    assert TCPController().step(straight(6.0), ego(5.9)).throttle == pytest.approx(0.60125)


@pytest.mark.parametrize("wanted, driven, brakes", [
    (6.0, 6.5, False), (6.0, 6.7, True), (0.3, 0.0, True), (0.5, 0.5, False), (0.0, 3.0, True)])
def test_when_it_brakes(wanted, driven, brakes):
    """Brake below 0.4 m/s wanted, or above 1.1 times the wanted speed."""
    control = TCPController().step(straight(wanted), ego(driven))
    assert control.brake == float(brakes)
    assert not (brakes and control.throttle)


def test_speed_comes_from_the_plans_own_times():
    points = [(2.0 * t, 0.0) for t in (1, 2, 3, 4)]  # 2 m apart
    assert TCPController().step(plan(points, times=TIMES * 2), ego(2.3)).brake == 1.0  # 2 m/s wanted
    assert TCPController().step(plan(points, times=TIMES), ego(2.3)).brake == 0.0  # 4 m/s wanted


def test_aim_is_the_waypoint_whose_pair_is_4_m_away():
    """Pair midpoints at 3, 5+, 7+ ... m: the first pair is the nearest to 4 m, so its first point is the aim."""
    points = [(3.0, 0.3), (4.5, 1.5), (6.0, 3.0), (7.0, 5.0)]
    mids = [np.linalg.norm((np.array(a) + b) / 2) for a, b in zip(points, points[1:])]
    assert np.argmin([abs(4.0 - m) for m in mids]) == 0
    control = TCPController().step(plan(points, target=(15.0, 15.0)), ego(3.0))
    error = math.atan2(0.3, 3.0) / (math.pi / 2)
    assert control.steer == pytest.approx(error * (0.75 + 0.75 / 40 + 0.3))


def test_target_point_wins_where_it_needs_less_steering():
    control = TCPController().step(plan([(t, t) for t in (1, 2, 3, 4)], target=(20.0, 0.0)), ego(2.0))
    assert control.steer == pytest.approx(0.0)


def test_target_point_wins_where_the_plan_leaves_it():
    """Target 5 m ahead, 45 degrees right (+0.5); the plan ends straight on: 0.5 > 0.3 and 5 m < 10 m."""
    control = TCPController().step(straight(4.0, target=(5.0, -5.0)), ego(4.0))
    assert control.steer == pytest.approx(-0.534375)
    far = TCPController().step(straight(4.0, target=(12.0, -12.0)), ego(4.0))
    assert far.steer == pytest.approx(0.0)


def test_fusion_follows_the_trajectory_when_driving_straight():
    """0.3 control + 0.7 trajectory: steer 0.3 * 0.5, throttle 0.3 * 0.2 + 0.7 * 0.75."""
    control = TCPController().step(straight(6.0, control=Control(7, 0.2, 0.5, 0.0)), ego(0.0))
    assert (control.steer, control.throttle) == pytest.approx((0.15, 0.06 + 0.525))


def test_fusion_follows_the_control_branch_in_a_turn():
    controller = TCPController()
    turning = straight(6.0, control=Control(7, 0.2, 0.5, 0.0))
    for _ in range(11):
        assert not controller.turning
        controller.step(turning, ego(6.0))
    assert controller.turning  # 11 of the last 20 above 0.1
    assert controller.step(turning, ego(6.0)).steer == pytest.approx(0.35)  # 0.7 * 0.5


def test_brake_of_the_control_branch_is_mixed_and_cuts_the_throttle():
    control = TCPController().step(straight(0.0, control=Control(7, 0.0, 0.0, 1.0)), ego(5.0))
    assert (control.brake, control.throttle) == (1.0, 0.0)
    gentle = TCPController().step(straight(6.0, control=Control(7, 0.0, 0.0, 1.0)), ego(5.0))
    assert gentle.brake == pytest.approx(0.3) and gentle.throttle > 0.0


def test_reset_forgets():
    controller, fresh = TCPController(), TCPController()
    for _ in range(15):
        controller.step(plan([(t, t) for t in (1, 2, 3, 4)], target=(10, 10)), ego(0.0))
    assert controller.turning
    controller.reset()
    assert not controller.turning
    assert controller.step(straight(6.0), ego(5.9)) == fresh.step(straight(6.0), ego(5.9))


def test_a_minute_of_standing_ends_in_a_push():
    controller, hesitant = TCPController(), straight(0.3)
    wishes = [controller.step(hesitant, ego(0.0)) for _ in range(1212)]
    assert all(wish.brake == 1.0 and wish.throttle == 0.0 for wish in wishes[:1200])
    assert all(wish.brake == 0.0 and wish.throttle == 0.75 for wish in wishes[1200:])
    assert controller.step(hesitant, ego(0.0)).brake == 1.0


def test_driving_takes_the_patience_back_and_the_push_can_be_switched_off():
    controller, stubborn = TCPController(), TCPController(ControllerSettings(unblock=False))
    for _ in range(1190):
        controller.step(straight(0.0), ego(0.0))
    for _ in range(119):  # ten ticks each
        controller.step(straight(5.0), ego(5.0))
    assert all(controller.step(straight(0.0), ego(0.0)).brake == 1.0 for _ in range(1200))
    assert all(stubborn.step(straight(0.0), ego(0.0)).brake == 1.0 for _ in range(1300))


def test_a_car_whose_control_branch_wants_to_go_creeps_until_it_brakes():
    def wants(desired_mps, throttle, brake=0.0):
        return straight(desired_mps, control=Control(7, throttle, 0.0, brake))

    controller, tcp = TCPController(), TCPController(ControllerSettings(creep_mps=0.0))
    for _ in range(19):
        assert controller.step(wants(0.3, 0.1), ego(0.0)).brake > 0.5
    released = controller.step(wants(0.3, 0.1), ego(0.0))
    assert released.brake == 0.0 and released.throttle > 0.3
    assert controller.step(wants(0.3, 0.1), ego(0.9)).throttle > 0.0  # it moves, and is not stopped again at once
    assert controller.step(wants(0.3, 0.1), ego(1.3)).brake > 0.5  # but does no more than creep
    assert controller.step(wants(0.3, 0.0, 0.2), ego(0.9)).brake > 0.5  # the control branch brakes
    assert controller.step(wants(0.3, 0.1), ego(0.0)).brake > 0.5  # and it must want to go for a second again
    assert all(tcp.step(wants(0.3, 0.1), ego(0.0)).brake > 0.5 for _ in range(100))


def test_a_moving_car_is_not_set_free():
    controller = TCPController()
    slow = straight(0.3, control=Control(7, 0.1, 0.0, 0.0))
    assert all(controller.step(slow, ego(0.5)).brake > 0.5 for _ in range(100))
