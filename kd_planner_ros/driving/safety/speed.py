"""The fastest speed that keeps the car within the distances it may go."""

from __future__ import annotations

import numpy as np

MOMENTS_S = np.array([0.0, 0.5, 0.75, 1.5, 2.0])
"""Moments at which the way is looked at."""
MAX_SPEED_MPS = 5.0
MARGIN_M = 2.0
COMFORTABLE_MPS = 2.5  # the speed that half a second of braking takes away


def free_distances(safe_m: np.ndarray) -> tuple[float, float, float]:
    """(d_0, d_0.5, d_1): how far the car may go now, within half a second and within one, from the safe distances [5] at
    ``MOMENTS_S``, 2 m taken off each."""
    now, half, three_quarters, later, last = (float(value) for value in safe_m)
    half = min(now, half, three_quarters)
    one = min(half, three_quarters, later, last)
    return max(0.0, now - MARGIN_M), max(0.0, half - MARGIN_M), max(0.0, one - MARGIN_M)


def fastest(speed_mps: float, half_m: float, one_m: float) -> float:
    """The largest v in [0, 5] m/s with 1/2 (v0 + v) 0.5 s <= d_0.5 and 1/2 (v0 + 2 v + v2) 0.5 s <= d_1, where v0 is
    ``speed_mps`` and v2 the speed after it; the linear programme in closed form.

    Standing, with 1 m and 2 m free: min(4, 5, 4) = 4 m/s.

    Source: InterFuser, CoRL 2022, equation 4 and ``interfuser_controller.py``.
    """
    above = max(0.0, speed_mps - COMFORTABLE_MPS)
    return max(0.0, min(4.0 * half_m - speed_mps - above, MAX_SPEED_MPS, 2.0 * one_m - 0.5 * speed_mps - above))
