"""The way that a held steering leads: an arc of the kinematic bicycle model. Pure functions on ``base_link``."""

from __future__ import annotations

import math

import numpy as np

STRAIGHT_PER_M = 1e-6
"""A curvature below this counts as straight ahead."""


def curvature(wheel_deg: float, wheelbase_m: float) -> float:
    """Curvature in 1/m, positive LEFT, of a car whose front wheels stand at ``wheel_deg``. 10 degrees, 2.86 m: 0.0617."""
    return math.tan(math.radians(wheel_deg)) / wheelbase_m


def arc(curvature_per_m: float, speed_mps: float, times_s: np.ndarray) -> np.ndarray:
    """Places [T, 2] at ``times_s`` [T] of a car that keeps curvature and speed. 0.1 1/m at 5 m/s after 2 s: (8.41, 4.60)."""
    way = speed_mps * np.asarray(times_s, float)
    if abs(curvature_per_m) < STRAIGHT_PER_M:
        return np.stack([way, 0.5 * curvature_per_m * way ** 2], axis=1)
    turned = curvature_per_m * way
    return np.stack([np.sin(turned), 1.0 - np.cos(turned)], axis=1) / curvature_per_m


def along_arc(points: np.ndarray, curvature_per_m: float) -> tuple[np.ndarray, np.ndarray]:
    """How far along the arc and how far LEFT of it the points [N, 2] lie, metres [N] each; behind the car: negative along."""
    x, y = np.asarray(points, float).T
    if abs(curvature_per_m) < STRAIGHT_PER_M:
        return x, y
    radius = 1.0 / curvature_per_m
    side = math.copysign(1.0, radius)
    return abs(radius) * np.arctan2(x, side * (radius - y)), radius - side * np.hypot(x, y - radius)
