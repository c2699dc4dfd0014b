"""Comfort of a drive (C), of a drive behind its history (HC), and of two plans after each other (EC).

Source: the bounds, windows and thresholds of navsim v2.2 and nuPlan. Where we differ: the lateral acceleration is that of the car,
speed times yaw rate; the simulated cars of navsim have none at the rear axle.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from kd_planner_ros.evaluation.pdm.motion import Motion
from kd_planner_ros.evaluation.pdm.scene import STEP_S, History

ACCELERATION_MPS2 = (-4.05, 2.40)
LATERAL_MPS2, JERK_MPS3, FORWARD_JERK_MPS3 = 4.89, 8.37, 4.13
YAW_RATE_RPS, YAW_ACCELERATION_RPS2 = 0.95, 1.93
APART_ACCELERATION, APART_JERK, APART_YAW_RATE, APART_YAW_ACCELERATION = 0.7, 0.5, 0.1, 0.1


def comfort(motion: Motion) -> float:
    """C: 1 where accelerations, jerks, yaw rate and yaw acceleration stay within the bounds, else 0."""
    return float(_comfortable(motion.poses[:, 2], motion.speeds, motion.accelerations, motion.yaw_rates))


def history_comfort(motion: Motion, history: History) -> float:
    """HC: ``comfort`` of the recorded history with the drive behind it."""
    joined = (np.concatenate(pair) for pair in ((np.unwrap(history.yaws), _onto(history.yaws, motion.poses[:, 2])),
                                                 (history.speeds, motion.speeds), (history.accelerations, motion.accelerations),
                                                 (history.yaw_rates, motion.yaw_rates)))
    return float(_comfortable(*joined))


def _onto(before: np.ndarray, yaws: np.ndarray) -> np.ndarray:
    """``yaws`` by whole turns to where the unwrapped ``before`` ends."""
    if not len(before):
        return yaws
    last = np.unwrap(before)[-1]
    return yaws + 2.0 * math.pi * np.round((last - yaws[0]) / (2.0 * math.pi))


def _comfortable(yaws: np.ndarray, speeds: np.ndarray, accelerations: np.ndarray, yaw_rates: np.ndarray) -> bool:
    forward = smoothed(accelerations, 8, 2)
    lateral = speeds * yaw_rates
    size = smoothed(np.hypot(accelerations, lateral), 8, 2)
    low, high = ACCELERATION_MPS2
    return bool(((forward > low) & (forward < high)).all() and _below(smoothed(lateral, 8, 2), LATERAL_MPS2)
                and _below(smoothed(size, 15, 2, 1), JERK_MPS3) and _below(smoothed(forward, 15, 2, 1), FORWARD_JERK_MPS3)
                and _below(smoothed(yaws, 5, 2, 1), YAW_RATE_RPS) and _below(smoothed(yaws, 5, 3, 2), YAW_ACCELERATION_RPS2))


def _below(values: np.ndarray, limit: float) -> bool:
    return bool((np.abs(values) < limit).all())


def extended_comfort(motion: Motion, before: Motion, steps: int) -> float:
    """EC: 1 where the drive and the one planned ``steps`` steps earlier agree while both last: their root mean square differences of
    acceleration (0.7 m/s2), jerk (0.5 m/s3), yaw rate (0.1 rad/s) and yaw acceleration (0.1 rad/s2) stay within these thresholds."""
    count = len(motion.poses) - steps
    first, second = _features(motion, slice(0, count)), _features(before, slice(steps, steps + count))
    limits = (APART_ACCELERATION, APART_JERK, APART_YAW_RATE, APART_YAW_ACCELERATION)
    return float(all(math.sqrt(float(np.mean((a - b) ** 2))) <= limit for a, b, limit in zip(first, second, limits, strict=True)))


def _features(motion: Motion, part: slice) -> tuple[np.ndarray, ...]:
    size = smoothed(np.hypot(motion.accelerations[part], motion.speeds[part] * motion.yaw_rates[part]), 8, 2)
    yaws = motion.poses[part, 2]
    return size, smoothed(size, 15, 2, 1), smoothed(yaws, 5, 2, 1), smoothed(yaws, 5, 2, 2)


def smoothed(values: np.ndarray, window: int, order: int, derivative: int = 0) -> np.ndarray:
    """The ``derivative`` (per second) of polynomials of ``order`` fitted to ``window`` neighbours of each of ``values`` [T], or to all
    of fewer; at both ends the polynomial of the first and the last whole window goes on.

    Source: Savitzky and Golay's filter as ``scipy.signal.savgol_filter`` has it, and so navsim: an even window reaches one value further
    ahead than back, and its polynomial is taken in its middle, half a step ahead.
    """
    count = len(values)
    size = min(window, count)
    return _filter(count, size, min(order, size - 1), derivative) @ values


@lru_cache(maxsize=64)
def _filter(count: int, window: int, order: int, derivative: int) -> np.ndarray:
    """The filter as a matrix [count, count]."""
    found, half, even = np.zeros((count, count)), window // 2, window % 2 == 0
    for row in range(count if derivative <= order else 0):
        inner = half <= row < count - half
        first = row - half + even if inner else 0 if row < half else count - window
        powers = np.vander(np.arange(first, first + window) - row - 0.5 * (inner and even), order + 1, increasing=True)
        found[row, first:first + window] = np.linalg.pinv(powers)[derivative] * math.factorial(derivative) / STEP_S**derivative
    return found
