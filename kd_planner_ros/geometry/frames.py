"""Planar frames: ``map``, ``base_link``, the planner frame "P" and GNSS. Pure functions on numpy arrays.

``map`` is ENU, ``base_link`` is x forward, y left. Frame P, which TCP, InterFuser and PlanKD share, is x right, y backward
(a point ahead has y < 0). Other systems' handedness lives in ``ros/adapters``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose

METRES_PER_DEGREE_LATITUDE = 111324.60662786
METRES_PER_DEGREE_LONGITUDE = 111319.490945
"""The leaderboard agents' scale between degrees and metres (InterFuser, TCP: ``G = (lat, lon) * scale``)."""
_CAMERA_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Camera axes (x right, y down, z forward) in a frame with x forward, y left, z up."""


def wrap_angle(angle_rad):
    """``angle_rad`` brought into [-pi, pi); scalar or array of any shape."""
    return (np.asarray(angle_rad) + math.pi) % (2.0 * math.pi) - math.pi


def rotation_2d(yaw_rad: float) -> np.ndarray:
    """Matrix [2, 2] that turns a vector counter-clockwise by ``yaw_rad``."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, -s], [s, c]])


def rotation_3d(pose: Pose) -> np.ndarray:
    """Matrix [3, 3] from the frame at ``pose`` to its parent: Rz(yaw) Ry(pitch) Rx(roll)."""
    cy, sy = math.cos(pose.yaw), math.sin(pose.yaw)
    cp, sp = math.cos(pose.pitch), math.sin(pose.pitch)
    cr, sr = math.cos(pose.roll), math.sin(pose.roll)
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ])


def matrix(turn: np.ndarray, place: Any) -> np.ndarray:
    """Matrix [4, 4] of a rotation [3, 3] and a translation [3]."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn, place
    return out


def matrix_of(pose: Pose) -> np.ndarray:
    """Matrix [4, 4] from the frame at ``pose`` to its parent."""
    return matrix(rotation_3d(pose), (pose.x, pose.y, pose.z))


def camera_in_map(ego: Pose, camera: Pose) -> np.ndarray:
    """Matrix [4, 4] from camera axes to ``map``; ``camera`` in ``base_link`` with x along its optical axis."""
    return matrix_of(ego) @ matrix_of(camera) @ matrix(_CAMERA_AXES, (0.0, 0.0, 0.0))


def to_base(points_map: np.ndarray, ego: Pose) -> np.ndarray:
    """Points [..., 2] of ``map`` in ``base_link`` at ``ego``. Ego at the origin looking north: (0, 5) -> (5, 0)."""
    return (np.asarray(points_map, float) - (ego.x, ego.y)) @ rotation_2d(ego.yaw)


def from_base(points_base: np.ndarray, ego: Pose) -> np.ndarray:
    """Points [..., 2] of ``base_link`` at ``ego`` in ``map``; the inverse of ``to_base``."""
    return np.asarray(points_base, float) @ rotation_2d(ego.yaw).T + (ego.x, ego.y)


def base_to_planner(points_base: np.ndarray) -> np.ndarray:
    """Points [..., 2] of ``base_link`` in frame P. 5 m ahead (5, 0) -> (0, -5); 2 m to the right (0, -2) -> (2, 0)."""
    return -np.asarray(points_base)[..., ::-1]


def planner_to_base(points_planner: np.ndarray) -> np.ndarray:
    """Points [..., 2] of frame P in ``base_link``; the same swap as ``base_to_planner``."""
    return -np.asarray(points_planner)[..., ::-1]


def map_to_gnss(points_map: np.ndarray) -> np.ndarray:
    """Latitude and longitude [..., 2] in degrees of points [..., 2] of ``map`` (x east, y north, origin at 0, 0)."""
    points_map = np.asarray(points_map, float)
    return np.stack(
        [points_map[..., 1] / METRES_PER_DEGREE_LATITUDE, points_map[..., 0] / METRES_PER_DEGREE_LONGITUDE], axis=-1)


def gnss_to_map(latitude_longitude: np.ndarray) -> np.ndarray:
    """Points [..., 2] of ``map`` of latitude and longitude [..., 2] in degrees; the inverse of ``map_to_gnss``."""
    degrees = np.asarray(latitude_longitude, float)
    return np.stack(
        [degrees[..., 1] * METRES_PER_DEGREE_LONGITUDE, degrees[..., 0] * METRES_PER_DEGREE_LATITUDE], axis=-1)


def yaw_to_compass(yaw_rad: float) -> float:
    """Compass heading in radians, 0 = north, clockwise positive, of an ENU yaw; in [-pi, pi)."""
    return float(wrap_angle(math.pi / 2.0 - yaw_rad))
