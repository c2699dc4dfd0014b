"""Yaw, pitch and roll as a quaternion, and back; what follows from attitude alone."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.frames import rotation_3d

_OPTICAL = Pose(yaw=-math.pi / 2, roll=-math.pi / 2)
_FLIP_Y = np.diag([1.0, -1.0, 1.0])


def quaternion_of(pose: Pose) -> tuple[float, float, float, float]:
    """(x, y, z, w) of Rz(yaw) Ry(pitch) Rx(roll); unit length."""
    cy, sy = math.cos(pose.yaw / 2), math.sin(pose.yaw / 2)
    cp, sp = math.cos(pose.pitch / 2), math.sin(pose.pitch / 2)
    cr, sr = math.cos(pose.roll / 2), math.sin(pose.roll / 2)
    return (cy * cp * sr - sy * sp * cr, cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr, cy * cp * cr + sy * sp * sr)


def pose_from(position: tuple[float, float, float], quaternion: tuple[float, float, float, float]) -> Pose:
    """The pose at ``position`` (metres) with attitude (x, y, z, w), which need not be of unit length; all zeros mean no
    rotation."""
    x, y, z, w = quaternion
    norm = x * x + y * y + z * z + w * w
    if norm == 0.0:
        return Pose(*position)
    roll = math.atan2(2 * (w * x + y * z), norm - 2 * (x * x + y * y))
    pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x) / norm)))
    yaw = math.atan2(2 * (w * z + x * y), norm - 2 * (y * y + z * z))
    return Pose(*position, yaw, pitch, roll)


def optical(camera: Pose) -> Pose:
    """The optical frame (x right, y down, z ahead) of a camera that is mounted at ``camera`` (x ahead, y left, z up)."""
    return _turned(camera, quaternion_of(_OPTICAL))


def mounted(frame: Pose) -> Pose:
    """The mounting (x ahead, y left, z up) of the camera whose optical frame is ``frame``; the inverse of ``optical``."""
    x, y, z, w = quaternion_of(_OPTICAL)
    return _turned(frame, (-x, -y, -z, w))


def _turned(pose: Pose, by: tuple[float, float, float, float]) -> Pose:
    """``pose`` turned about its own axes by the quaternion ``by``."""
    ax, ay, az, aw = quaternion_of(pose)
    bx, by_, bz, bw = by
    turned = (aw * bx + ax * bw + ay * bz - az * by_, aw * by_ - ax * bz + ay * bw + az * bx,
              aw * bz + ax * by_ - ay * bx + az * bw, aw * bw - ax * bx - ay * by_ - az * bz)
    return pose_from((pose.x, pose.y, pose.z), turned)


def to_bridge_twist(velocity_base: np.ndarray, pose: Pose) -> np.ndarray:
    """Body velocity [3] as CARLA's ROS bridge shows it in its odometry: exact on flat road, turned the wrong way round on slopes.

    The bridge multiplies the left-handed map velocity by Rz(yaw) Ry(pitch) Rx(roll) instead of its inverse.
    """
    turn = rotation_3d(pose)
    if _is_flat(turn):
        return np.asarray(velocity_base, float)
    return _FLIP_Y @ turn @ _FLIP_Y @ turn @ velocity_base


def from_bridge_twist(twist: np.ndarray, pose: Pose) -> np.ndarray:
    """Body velocity [3] from the bridge's odometry; the inverse of ``to_bridge_twist``."""
    turn = rotation_3d(pose)
    if _is_flat(turn):
        return np.asarray(twist, float)
    return turn.T @ _FLIP_Y @ turn.T @ _FLIP_Y @ twist


def _is_flat(turn: np.ndarray) -> bool:
    return abs(turn[2, 2] - 1.0) < 1e-12
