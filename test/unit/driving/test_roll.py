"""Rolling a plan forward: hand-computed places, what is dropped, and that nothing changes where no time has passed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.plans import STRAIGHT, TICK_NS, TIMES, plan

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, MapLines
from kd_planner_ros.core.records import Control
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.roll import EgoTrack, moved, roll_forward
from kd_planner_ros.driving.tcp_controller import TCPController
from kd_planner_ros.geometry.frames import from_base

NAN = math.nan
SECOND_NS = 1_000_000_000


def test_no_time_passed_gives_the_same_plan():
    one = plan(STRAIGHT, stamp_ns=7)
    assert roll_forward(one, Pose(), Pose(x=3.0), 7) is one
    assert roll_forward(one, Pose(), Pose(x=3.0), 6) is one, "a plan from the future is left as it is"


def test_straight_ahead_half_a_second_later():
    """4 m/s: after 0.5 s and 2 m the first point is reached; 2, 4, 6 m are left, at 0.5, 1, 1.5 s."""
    rolled = roll_forward(plan(STRAIGHT), Pose(), Pose(x=2.0), SECOND_NS // 2)
    assert np.allclose(rolled.trajectory.points, [(2, 0), (4, 0), (6, 0)])
    assert np.allclose(rolled.trajectory.times_s, [0.5, 1.0, 1.5])
    assert np.allclose(rolled.goal.target_point, (18, 0))
    assert (rolled.stamp_ns, rolled.trajectory.stamp_ns) == (0, SECOND_NS // 2)


def test_a_car_that_stood_still_keeps_the_places():
    rolled = roll_forward(plan(STRAIGHT), Pose(), Pose(), SECOND_NS // 10)
    assert np.allclose(rolled.trajectory.points, STRAIGHT) and np.allclose(rolled.trajectory.times_s, TIMES - 0.1)


def test_on_a_circle():
    """Radius 10 m to the left at 5 m/s: after 0.2 s the car has turned 0.1 rad, and the circle looks the same from there:
    the point of time t lies at (10 sin w, 10 (1 - cos w)), w = 0.5 (t - 0.2)."""
    def circle(times):
        w = 0.5 * np.asarray(times)
        return np.stack([10.0 * np.sin(w), 10.0 * (1.0 - np.cos(w))], axis=1)

    start = Pose(x=3.0, y=-2.0, yaw=0.7)
    x, y = from_base(circle([0.2])[0], start)
    rolled = roll_forward(plan(circle(TIMES)), start, Pose(x=x, y=y, yaw=0.8), SECOND_NS // 5)
    assert np.allclose(rolled.trajectory.times_s, TIMES - 0.2)
    assert np.allclose(rolled.trajectory.points, circle(TIMES - 0.2))


@pytest.mark.parametrize("age_s, left", [(0.49, 4), (0.5, 3), (0.9, 3), (1.0, 2), (1.49, 2)])
def test_passed_points_are_dropped(age_s, left):
    assert len(roll_forward(plan(STRAIGHT), Pose(), Pose(x=1.0), round(age_s * 1e9)).trajectory.points) == left


def test_a_plan_whose_time_is_over_is_none():
    assert roll_forward(plan(STRAIGHT), Pose(), Pose(x=1.0), 1_500_000_000) is None


def test_a_path_loses_what_the_car_has_passed():
    """2.5 m on, the point at 2 m lies behind; its time does not matter."""
    rolled = roll_forward(plan(STRAIGHT), Pose(), Pose(x=2.5), SECOND_NS // 10, timed=False)
    assert np.allclose(rolled.trajectory.points, [(1.5, 0), (3.5, 0), (5.5, 0)])
    assert np.allclose(rolled.trajectory.times_s, [0.5, 1.0, 1.5])
    assert roll_forward(plan(STRAIGHT), Pose(), Pose(x=6.5), SECOND_NS // 10, timed=False) is None


def test_detections_lines_and_candidates_move_on():
    """A car 10 m ahead on our heading at 5 m/s, one that crosses from the right at 10 m/s, one of unknown velocity; 0.4 s and
    2 m later, the car turned left by 90 degrees: ahead is what was to the left."""
    rows = np.zeros(3, DETECTION_DTYPE)
    rows["x"], rows["y"], rows["yaw"], rows["vx"], rows["vy"] = (10, 8, 5), (0, -4, 1), (0, math.pi / 2, 0), (5, 0, NAN), (0, 10, NAN)
    forecasts = np.zeros((3, 1, 2, 2), np.float32)
    forecasts[0, 0] = [(11.0, 0.0), (12.0, 3.0)]
    seen = Detections(rows, forecasts, np.ones((3, 1), np.float32), np.array([0.2, 0.6]))
    lines = MapLines(np.array([[(2.0, 1.0), (NAN, NAN)]], np.float32), np.zeros(1, np.uint8), np.ones(1, np.float32))
    one = plan(STRAIGHT, detections=seen, candidates=np.stack([np.array(STRAIGHT, float)] * 3), lines=lines)
    rolled = roll_forward(one, Pose(), Pose(x=2.0, yaw=math.pi / 2), 400_000_000)
    found = rolled.detections.rows
    assert np.allclose(found["x"], (0, 0, 1)) and np.allclose(found["y"], (-10, -6, -3))
    assert np.allclose(found["yaw"], (-math.pi / 2, 0, -math.pi / 2))
    assert np.allclose(found["vx"], (0, 10, NAN), equal_nan=True) and np.allclose(found["vy"], (-5, 0, NAN), equal_nan=True)
    assert np.allclose(rolled.detections.forecasts[0, 0], [(3.0, -10.0)], atol=1e-5)
    assert np.allclose(rolled.detections.forecast_times_s, [0.2])
    assert np.allclose(rolled.lines.points[0, 0], (1.0, 0.0)) and np.isnan(rolled.lines.points[0, 1]).all()
    assert rolled.candidates.shape == (3, 4, 2) and np.allclose(rolled.candidates[0], rolled.trajectory.points)
    assert rows["x"].tolist() == [10, 8, 5], "the plan itself must not change"
    later = roll_forward(one, Pose(), Pose(), 700_000_000)
    assert later.detections.forecasts is None and later.detections.forecast_times_s is None


def test_rolling_twice_is_rolling_once():
    """Property: 200 random motions; to a pose in between and on from there, or at once."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        start, middle, end = (Pose(*rng.normal(0.0, 3.0, 2), yaw=rng.uniform(-3, 3)) for _ in range(3))
        one = plan(rng.normal(0.0, 5.0, (4, 2)), target=rng.normal(0.0, 9.0, 2))
        ages = np.sort(rng.uniform(0.01, 0.9, 2) * 1e9).astype(int).tolist()
        twice = roll_forward(roll_forward(one, start, middle, ages[0]), middle, end, ages[1])
        once = roll_forward(one, start, end, ages[1])
        assert np.allclose(twice.trajectory.points, once.trajectory.points, atol=1e-9)
        assert np.allclose(twice.trajectory.times_s, once.trajectory.times_s) and (once.trajectory.times_s > 0.0).all()
        assert np.allclose(twice.goal.target_point, once.goal.target_point)


def test_the_track_gives_states_exactly_and_moves_on_in_between():
    track = EgoTrack()
    assert track.pose_at(0) is None
    states = [EgoState(n * TICK_NS, Pose(x=0.2 * n, yaw=0.01 * n), 4.0, 0.2) for n in range(10)]
    for state in states:
        track.add(state)
    assert all(track.pose_at(state.stamp_ns) == state.pose for state in states)
    between = track.pose_at(2 * TICK_NS + TICK_NS // 2)
    assert between.x == pytest.approx(0.5, abs=1e-3) and between.yaw == pytest.approx(0.025)
    assert track.pose_at(-TICK_NS).x == pytest.approx(-0.2, abs=1e-3)
    track.add(EgoState(11 * TICK_NS, Pose(x=math.nan), 4.0))
    assert track.pose_at(11 * TICK_NS).x == pytest.approx(2.2, abs=1e-2), "a state that is not finite is no state"
    track.add(EgoState(TICK_NS, Pose(x=50.0), 4.0))
    assert track.pose_at(9 * TICK_NS).x > 50.0, "time was set back"


def test_moved_is_exact_for_small_turns():
    there = moved(EgoState(0, Pose(yaw=math.pi / 2), 5.0), 0.2)
    assert (there.x, there.y) == pytest.approx((0.0, 1.0)) and there.yaw == math.pi / 2


def test_a_fresh_plan_is_followed_bit_for_bit_as_without_rolling():
    pilot, held, direct = Pilot(), Pilot(roll_forward=False), TCPController()
    for tick in range(40):
        ego = EgoState(tick * TICK_NS, Pose(x=0.2 * tick, y=0.01 * tick, yaw=0.003 * tick), 3.7)
        one = plan([(2, 0.1), (4, 0.3), (6, 0.7), (8, 1.3)], stamp_ns=ego.stamp_ns, control=Control(0, 0.3, 0.1, 0.0))
        pilot.take(one)
        held.take(one)
        assert pilot.step(ego) == held.step(ego) == direct.step(one, ego)


def test_a_late_plan_is_steered_by_its_present_place():
    """The road bends left from 4 m on. A car that has come 3 m on since sees the bend nearer, and steers harder."""
    bend = [(2, 0), (4, 0.2), (6, 1.2), (8, 3.0)]
    states = [EgoState(n * TICK_NS, Pose(x=0.3 * n), 6.0) for n in range(9)]
    steers = []
    for pilot in (Pilot(), Pilot(roll_forward=False)):
        for state in states[:8]:
            pilot.step(state)  # no plan yet
        pilot.take(plan(bend, target=(20.0, 15.0)))
        steers.append(pilot.step(states[8]).steer)
    assert steers[0] > steers[1] + 0.05
