"""The ego's body: the benchmark's car (``core/car.py``). ``base_link`` is the centre of the footprint."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.car import LENGTH_M, WIDTH_M
from kd_planner_ros.core.ego import Pose

EGO_LENGTH_M, EGO_WIDTH_M = LENGTH_M, WIDTH_M
EGO_WHEELBASE_M = 2.86
EGO_MAX_STEER_RAD = math.radians(70.0)
"""Wheel angle at steer = 1: CARLA's ``max_steer_angle`` for this car."""


def ego_box(pose: Pose) -> np.ndarray:
    """The ego's footprint at ``pose`` as a box (x, y, yaw, length, width) [5]."""
    return np.array([pose.x, pose.y, pose.yaw, EGO_LENGTH_M, EGO_WIDTH_M])
