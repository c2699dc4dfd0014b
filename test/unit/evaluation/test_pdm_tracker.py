"""The tracker, the filters and the geometry behind PDMS."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import savgol_filter
from support import pdm

from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.evaluation.pdm.area import areas_of
from kd_planner_ros.evaluation.pdm.comfort import smoothed
from kd_planner_ros.evaluation.pdm.motion import REAR_M, extended, from_map, poses_of, reaches, rear_of, to_map
from kd_planner_ros.evaluation.pdm.scene import Start, Street
from kd_planner_ros.evaluation.pdm.tracker import JERK_PENALTY, profiles, simulate

START = Start(np.zeros(3), 8.0, 0.0, 0.0)


def circle(radius: float, speed: float, steps: int) -> np.ndarray:
    """Poses of a car that turns left: its centre is ``radius`` from the middle, its rear axle rolls without slipping."""
    yaws, slip = speed / radius * 0.1 * np.arange(steps + 1), math.asin(REAR_M / radius)
    places = np.stack([np.sin(yaws + slip) - math.sin(slip), math.cos(slip) - np.cos(yaws + slip)], axis=1)
    return np.concatenate([radius * places, yaws[:, None]], axis=1)


def test_a_straight_plan_is_driven_as_it_is():
    motion = simulate(pdm.along(8.0).poses[None], [START])[0]
    np.testing.assert_allclose(motion.poses, pdm.along(8.0).poses, atol=1e-6)
    np.testing.assert_allclose(motion.speeds, 8.0, atol=1e-6)


def test_a_circle_is_followed_closely():
    start = Start(np.zeros(3), 6.0, 0.0, 6.0 / 20.0)
    motion = simulate(circle(20.0, 6.0, 40)[None], [start])[0]
    assert np.hypot(*(motion.poses[:, :2] - circle(20.0, 6.0, 40)[:, :2]).T).max() < 0.25
    assert motion.yaw_rates[20:35] == pytest.approx(np.full(15, 0.3), abs=0.05)


def test_left_stays_left_and_the_mirror_of_a_plan_is_driven_as_its_mirror():
    left = circle(25.0, 8.0, 20)
    motions = simulate(np.stack([left, left * (1, -1, -1)]), [START, START])
    assert motions[0].poses[-1, 1] > 2.0
    np.testing.assert_allclose(motions[0].poses * (1, -1, -1), motions[1].poses, atol=1e-9)


def test_a_plan_to_stop_stops_the_car_and_does_not_turn_the_wheels():
    stop = poses_of(pdm.plan([(3, 0), (4.5, 0), (5, 0), (5, 0), (5, 0), (5, 0), (5, 0), (5, 0)]), 40)
    motion = simulate(stop[None], [START])[0]
    assert abs(motion.speeds[-1]) < 0.2 and motion.poses[-1, 0] < 12.0
    assert np.abs(motion.poses[:, 2]).max() < 1e-9


def test_one_car_is_driven_as_it_is_among_others():
    plans = np.stack([circle(25.0, 8.0, 20), pdm.along(5.0).poses])
    together = simulate(plans, [START, START])
    for plan, motion in zip(plans, together, strict=True):
        np.testing.assert_allclose(simulate(plan[None], [START])[0].poses, motion.poses, atol=1e-9)


def test_the_start_decides_where_the_drive_begins():
    start = Start(np.array([10.0, -4.0, 2.0]), 3.0, 0.5, 0.0)
    motion = simulate(pdm.along(8.0).poses[None], [start])[0]
    np.testing.assert_allclose(motion.poses[0], start.pose, atol=1e-12)
    assert motion.speeds[0] == 3.0 and motion.accelerations[0] == 0.5 and motion.speeds[10] > 5.0


def test_speeds_and_bends_are_the_least_squares_ones():
    """Against the problem written out: unknown are the first speed and all accelerations."""
    ways = np.array([0.5, 0.6, 0.66, 0.9, 0.8])
    reference = np.stack([np.append(0.0, np.cumsum(ways)), np.zeros(6), np.zeros(6)], axis=1)
    matrix = np.array([[0.1, *(0.01 * (np.arange(4) < row))] for row in range(5)])
    change = np.sqrt(JERK_PENALTY) * np.array([[0, -1, 1, 0, 0], [0, 0, -1, 1, 0], [0, 0, 0, -1, 1]])
    unknown = np.linalg.lstsq(np.vstack([matrix, change]), np.append(ways, np.zeros(3)), rcond=None)[0]
    speeds, bends = profiles(reference[None])
    np.testing.assert_allclose(speeds[0], matrix @ unknown / 0.1, atol=1e-9)
    np.testing.assert_allclose(bends, 0.0, atol=1e-12)
    speeds, bends = profiles(circle(20.0, 6.0, 20)[None])
    assert bends[0, 5:15] == pytest.approx(np.full(10, 0.05), rel=0.02) and speeds[0] == pytest.approx(np.full(20, 6.0), rel=0.01)


@pytest.mark.parametrize(("window", "order", "derivative"), [(5, 2, 0), (5, 2, 1), (15, 2, 1), (5, 3, 2), (8, 2, 0), (8, 2, 1)])
@pytest.mark.parametrize("count", [8, 9, 24])
def test_the_filter_is_savitzky_and_golays(window, order, derivative, count):
    """Even windows too: navsim takes eight values."""
    values = np.random.default_rng(3).normal(size=count)
    expected = savgol_filter(values, min(window, count), order, deriv=derivative, delta=0.1)
    np.testing.assert_allclose(smoothed(values, window, order, derivative), expected, atol=1e-8)


def test_an_even_window_moves_a_parabola_by_half_a_step_between_its_ends():
    parabola, half = (0.1 * np.arange(20.0)) ** 2, np.where((np.arange(20) >= 4) & (np.arange(20) < 16), 0.05, 0.0)
    np.testing.assert_allclose(smoothed(parabola, 8, 2), (0.1 * np.arange(20.0) + half) ** 2, atol=1e-9)
    np.testing.assert_allclose(smoothed(parabola, 8, 2, 1), 0.2 * np.arange(20.0) + 2.0 * half, atol=1e-8)
    assert smoothed(parabola[:3], 8, 2) == pytest.approx(parabola[:3])


def test_a_plan_becomes_poses():
    poses = poses_of(pdm.plan([(1, 0), (2, 1), (2.01, 1.01)]), 15)
    np.testing.assert_allclose(poses[[0, 5, 10, 15], :2], [(0, 0), (1, 0), (2, 1), (2.01, 1.01)], atol=1e-9)
    np.testing.assert_allclose(poses[2, :2], (0.4, 0.0))
    assert poses[5, 2] == 0.0
    off = 2.0 * math.atan(math.tan(math.pi / 8) * math.exp(-math.sqrt(2.0) / REAR_M))
    assert poses[10, 2] == pytest.approx(math.pi / 4 - off)


def test_the_heading_of_a_led_car_is_that_of_its_body():
    """On a circle the body points outside by asin(REAR_M / radius)."""
    poses = circle(20.0, 6.0, 40)
    led = poses_of(Trajectory(0, poses[1:, :2], 0.1 * np.arange(1, 41)), 40)
    np.testing.assert_allclose(led, poses, atol=5e-3)
    back = poses_of(pdm.plan([(-0.1, 0.02), (-0.1, 0.02)]), 10)
    assert (back[:, 2] == 0.0).all(), "backwards the heading stays"


def test_nothing_is_extrapolated_unless_asked_for():
    short = pdm.plan([(4, 0), (8, 0), (12, 0), (17, 1)])
    assert reaches(short, 20) and not reaches(short, 21) and not reaches(Trajectory(0, np.zeros((0, 2)), np.zeros(0)), 1)
    longer = extended(short, 40)
    assert reaches(longer, 40) and longer.points[-1] == pytest.approx((17 + 4 * 5, 1 + 4 * 1)) and longer.times_s[-1] == 4.0
    assert extended(short, 20) is short


def test_frames_there_and_back():
    pose, poses = np.array([5.0, -2.0, 3.0]), circle(10.0, 5.0, 20)
    np.testing.assert_allclose(from_map(to_map(poses, pose), pose), poses, atol=1e-9)
    np.testing.assert_allclose(to_map(np.array([[1.0, 0.0, 0.0]]), np.array([0.0, 0.0, math.pi / 2]))[0], [0, 1, math.pi / 2], atol=1e-12)
    np.testing.assert_allclose(rear_of(np.array([10.0, 0.0, 0.0])), [10.0 - 2.86 / 2, 0.0])


def test_astride_two_lanes_is_where_no_lane_holds_all_corners():
    assert areas_of(pdm.along(y=1.0), pdm.street()).astride.all()
    assert not areas_of(pdm.along(y=0.5), pdm.street()).astride.any()
    lines = tuple(np.array([[-50.0, y], [200.0, y]]) for y in (0.0, 1.0))
    wide = Street(lines, np.array([3.0, 1.0]), np.ones(2, bool), ())
    assert not areas_of(pdm.along(y=0.5), wide).astride.any(), "the wide lane holds the car"


def test_a_car_far_from_every_lane_is_off_the_road():
    nowhere = Street((), np.zeros(0), np.zeros(0, bool), ())
    assert areas_of(pdm.along(), nowhere).off_road.all() and areas_of(pdm.along(), nowhere).oncoming.all()
