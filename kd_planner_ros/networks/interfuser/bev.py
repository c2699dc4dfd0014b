"""The LiDAR histogram: a cloud of the sensor's frame to counts on the ground. Pure functions; no torch."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.sensors import LidarSpec
from kd_planner_ros.networks.interfuser.config import InterFuserConfig

FRONT_SHARE = 0.2
"""A cloud with a smaller share of its points ahead of the sensor is taken for the rear half of a turn."""


def along_vehicle(cloud: np.ndarray, spec: LidarSpec) -> np.ndarray:
    """Points [N, 3] of ``cloud`` [N, >= 3] (the sensor's frame) along the vehicle's axes (forward, left, up), metres
    from the sensor: turned by its yaw, not moved."""
    c, s = math.cos(spec.pose.yaw), math.sin(spec.pose.yaw)
    x, y = cloud[:, 0], cloud[:, 1]
    return np.stack([c * x - s * y, s * x + c * y, cloud[:, 2]], axis=1)


def shows_front(points: np.ndarray) -> bool:
    """Whether ``points`` [N, 3] (forward, left, up) can be the half of the turn that lies ahead, or a whole turn."""
    return len(points) == 0 or float(np.mean(points[:, 0] > 0.0)) >= FRONT_SHARE


def counts(points: np.ndarray, config: InterFuserConfig) -> np.ndarray:
    """Counts uint8 [2, rows, columns], cut off at ``lidar_cap``, of ``points`` [N, 3] (forward, left, up): those at or
    below ``lidar_split_m`` and those above.

    Rows run from ``lidar_left_from_m`` to ``lidar_left_to_m`` to the left (the right with ``lidar_flip``), columns from
    ``lidar_ahead_m`` ahead of the sensor to the sensor itself; the upper ends belong to the last bins, as in numpy's
    histogram. By default a point 14.06 m ahead and 0.4 m to the left falls into row 111 and column 111. Values that
    are not finite fall nowhere.
    """
    bins = config.lidar_px
    low, high, reach = config.lidar_left_from_m, config.lidar_left_to_m, config.lidar_ahead_m
    aside = -points[:, 1] if config.lidar_flip else points[:, 1]
    with np.errstate(invalid="ignore"):
        inside = (aside >= low) & (aside <= high) & (points[:, 0] >= 0.0) & (points[:, 0] <= reach)
        inside &= np.isfinite(points[:, 2])
    aside, ahead, above = aside[inside], points[inside, 0], points[inside, 2] > config.lidar_split_m
    row = np.minimum(((aside - low) * (bins / (high - low))).astype(np.int64), bins - 1)
    column = np.minimum(((reach - ahead) * (bins / reach)).astype(np.int64), bins - 1)
    flat = np.bincount((above * bins + row) * bins + column, minlength=2 * bins * bins)
    return np.minimum(flat, config.lidar_cap).astype(np.uint8).reshape(2, bins, bins)
