"""Open-loop metrics against numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.evaluation.metrics import Recorded, min_ade, planned_poses, positions_at, score_plans

HALF_S = 500_000_000
TIMES = np.array([0.5, 1.0, 1.5, 2.0])


def _recorded(count: int = 5, actors=None, yaw: float = 0.0, steer: float = 0.2) -> Recorded:
    """A car that drives 2 m every half second along ``yaw``."""
    along = 2.0 * np.arange(count)
    poses = np.column_stack([along * np.cos(yaw), along * np.sin(yaw), np.full(count, yaw)])
    stamps = np.arange(count, dtype=np.int64) * HALF_S
    return Recorded(stamps, poses, np.full(count, steer), stamps, actors or [np.zeros((0, 5))] * count)


def _plan(points, stamp_ns: int = 0, times=TIMES) -> Trajectory:
    return Trajectory(stamp_ns, np.asarray(points, float), np.asarray(times, float))


STRAIGHT = [(2, 0), (4, 0), (6, 0), (8, 0)]


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5])
def test_the_driven_way_has_no_error(yaw):
    score = score_plans([_plan(STRAIGHT)], [0.2], _recorded(yaw=yaw))
    assert score["l2_m"] == pytest.approx({"0.5": 0, "1": 0, "1.5": 0, "2": 0}, abs=1e-9)
    assert score["l2_mean_m"] == pytest.approx(0, abs=1e-9) and score["steer_mae"] == pytest.approx(0)


def test_errors_are_distances_at_each_time():
    score = score_plans([_plan([(2, 1), (4, 2), (6, 3), (8, 4)]), _plan([(3, 0), (4, 0), (6, 0), (8, 0)])], [0.5, -0.2],
                        _recorded())
    assert score["l2_m"] == pytest.approx({"0.5": 1.0, "1": 1.0, "1.5": 1.5, "2": 2.0})
    assert score["l2_mean_m"] == pytest.approx(5.5 / 4)
    assert score["steer_mae"] == pytest.approx((0.3 + 0.4) / 2)


def test_left_is_left():
    """Facing north a plan to the left lies in the west."""
    np.testing.assert_allclose(planned_poses(_plan([(0, 3)], times=[0.5]), np.array([10.0, 20.0, np.pi / 2]), [0.5])[0],
                               [7.0, 20.0, np.pi], atol=1e-9)


def test_a_standing_car_keeps_its_heading_and_a_short_plan_says_nothing_about_later():
    poses = planned_poses(_plan([(0.01, 0.02), (0.01, 0.02)], times=[0.5, 1.0]), np.array([0.0, 0.0, 0.7]), [0.5, 1.0, 1.5])
    np.testing.assert_allclose(poses[:2, 2], 0.7)
    assert np.isnan(poses[2]).all()


def test_the_recording_is_interpolated_but_not_across_gaps_or_ends():
    recorded = Recorded(np.array([0, HALF_S, 4 * HALF_S]), np.array([[0.0, 0, 0], [2, 1, 0], [8, 0, 0]]),
                        np.zeros(3), np.zeros(0, np.int64), [])
    found = positions_at(recorded, np.array([-1, 0, HALF_S // 2, HALF_S, 2 * HALF_S, 4 * HALF_S, 5 * HALF_S]))
    np.testing.assert_allclose(found[[1, 2, 3, 5]], [[0, 0], [1, 0.5], [2, 1], [8, 0]])
    assert np.isnan(found[[0, 4, 6]]).all()


def test_a_collision_counts_from_its_time_on():
    """A car of 4 m length with its centre at x = 10 reaches back to 8. Ours, 4.9 m long, touches it from x = 5.55 on."""
    actors = [np.array([[10.0, 0.0, 0.0, 4.0, 2.0]])] * 3 + [np.array([[10.0, 0.0, 0.0, 4.0, 2.0]]), np.zeros((0, 5))]
    score = score_plans([_plan(STRAIGHT), _plan([(0, 0)] * 4)], [None, None], _recorded(actors=actors))
    assert score["collision_rate"] == {"0.5": 0.0, "1": 0.0, "1.5": 0.5, "2": 0.5}
    assert score["steer_mae"] is None


def test_an_actor_beside_the_lane_is_no_collision():
    beside = [np.array([[6.0, 3.5, 0.0, 4.0, 2.0]])] * 5
    assert score_plans([_plan(STRAIGHT)], [None], _recorded(actors=beside))["collision_rate"]["2"] == 0.0


def test_the_end_of_the_recording_is_left_out_and_counted():
    score = score_plans([_plan(STRAIGHT, 3 * HALF_S), _plan(STRAIGHT, 17 + HALF_S // 2)], [0.0, 0.0], _recorded())
    assert score["plans"] == 2 and score["unmatched"] == 1
    assert score["counted"] == {"0.5": [1, 1], "1": [0, 0], "1.5": [0, 0], "2": [0, 0]}
    assert score["l2_m"]["0.5"] == pytest.approx(0) and score["l2_m"]["2"] is None


@given(seed=st.integers(0, 2**32 - 1), several=st.integers(1, 5), steps=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_the_best_candidate_is_the_one_that_a_loop_finds(seed, several, steps):
    random = np.random.default_rng(seed)
    recorded = _recorded(count=8, yaw=float(random.uniform(-3, 3)))
    row, times = int(random.integers(0, 8)), np.sort(random.uniform(0.01, 4.0, steps))
    candidates = random.normal(0.0, 5.0, (several, steps, 2))
    plan = _plan(candidates[0], row * HALF_S, times)
    x, y, yaw = recorded.poses[row]
    means = []
    for candidate in candidates:
        errors = []
        for (ahead, left), time in zip(candidate, times, strict=True):
            after = row * 0.5 + round(time * 1e9) / 1e9
            if after <= 3.5:  # the recording ends there; the car drives 4 m/s along its heading
                went = 4.0 * after * math.cos(yaw), 4.0 * after * math.sin(yaw)
                here = x + math.cos(yaw) * ahead - math.sin(yaw) * left, y + math.sin(yaw) * ahead + math.cos(yaw) * left
                errors.append(math.dist(went, here))
        means.append(sum(errors) / len(errors) if errors else math.nan)
    assert min_ade(plan, candidates, recorded, row) == pytest.approx(min(means), abs=1e-6, nan_ok=True)
