"""The ego's body: a Lincoln MKZ 2017, the benchmark's car. ``base_link`` is the centre of the footprint."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.ego import Pose

EGO_LENGTH_M = 4.90
EGO_WIDTH_M = 2.12
EGO_WHEELBASE_M = 2.86
EGO_MAX_STEER_RAD = math.radians(70.0)
"""Wheel angle at steer = 1: CARLA's ``max_steer_angle`` for this car."""


def ego_box(pose: Pose) -> np.ndarray:
    """The ego's footprint at ``pose`` as a box (x, y, yaw, length, width) [5]."""
    return np.array([pose.x, pose.y, pose.yaw, EGO_LENGTH_M, EGO_WIDTH_M])
