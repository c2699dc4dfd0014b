"""A decoded trajectory made drivable: points that no car reaches are replaced, the rest is smoothed. Pure functions on arrays."""

from __future__ import annotations

import numpy as np

LARGEST_MPS2 = 8.0
LARGEST_SIDESTEP_M = 3.0
SMOOTHING = 0.5
"""Weight of the third differences against the points' own places."""


def refine(points: np.ndarray, times_s: np.ndarray, speed_mps: float) -> tuple[np.ndarray, int]:
    """(the refined points [T, 2], how many of them were replaced). Points that are not finite are given back as they are: the
    supervisor answers them with a safe stop.

    A point is replaced, by interpolation between its neighbours (behind the last good one by going on at its speed), where it implies an
    acceleration of more than 8 m/s2, or a step of more than 3 m to the side of the direction before. Then all points move towards
    the curve of least third differences, as a cubic does; the car's own place stays.

    Args:
        points: metres, ``base_link``, increasing in time.
        speed_mps: the car's.
    """
    points = np.asarray(points, float)
    if not np.isfinite(points).all() or not np.isfinite(speed_mps):
        return points, 0
    good = _plausible(points, times_s, speed_mps)
    kept = _filled(points, times_s, speed_mps, good)
    return _smooth(kept), int((~good).sum())


def _plausible(points: np.ndarray, times_s: np.ndarray, speed_mps: float) -> np.ndarray:
    good = np.zeros(len(points), bool)
    place, velocity, time_s = np.zeros(2), np.array([speed_mps, 0.0]), 0.0
    for row, (point, now) in enumerate(zip(points, times_s, strict=True)):
        passed = now - time_s
        step = (point - place) / passed
        heading = velocity / max(float(np.hypot(*velocity)), 1e-6) if np.hypot(*velocity) > 0.5 else np.array([1.0, 0.0])
        aside = abs(float(heading[0] * step[1] - heading[1] * step[0])) * passed
        # the first step's mean velocity belongs to its middle, as that of every later step does
        gained = abs(float(np.hypot(*step)) - float(np.hypot(*velocity))) / (passed if row else passed / 2.0)
        good[row] = gained <= LARGEST_MPS2 and aside <= LARGEST_SIDESTEP_M
        if good[row]:
            place, velocity, time_s = point, step, now
    return good


def _filled(points: np.ndarray, times_s: np.ndarray, speed_mps: float, good: np.ndarray) -> np.ndarray:
    if good.all():
        return points
    times = np.concatenate([[0.0], times_s[good]])
    places = np.concatenate([np.zeros((1, 2)), points[good]])
    found = np.stack([np.interp(times_s, times, places[:, axis]) for axis in (0, 1)], axis=1)
    late = times_s > times[-1]
    velocity = (places[-1] - places[-2]) / (times[-1] - times[-2]) if len(times) > 1 else np.array([max(speed_mps, 0.0), 0.0])
    found[late] = places[-1] + (times_s[late] - times[-1])[:, None] * velocity
    return found


def _smooth(points: np.ndarray) -> np.ndarray:
    """Least squares between the points and third differences of 0."""
    path = np.concatenate([np.zeros((1, 2)), points])
    third = np.diff(np.eye(len(path)), 3, axis=0)
    smoothed = np.linalg.solve(np.eye(len(path)) + SMOOTHING * third.T @ third, path)
    return smoothed[1:] - smoothed[0]
