"""Yaw, pitch and roll as a quaternion, and back."""

from __future__ import annotations

import math

from kd_planner_ros.core.records import Pose


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
