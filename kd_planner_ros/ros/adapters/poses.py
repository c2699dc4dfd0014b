"""Poses as geometry_msgs, and back."""

from __future__ import annotations

import math

from geometry_msgs.msg import Point, PoseStamped, Quaternion
from std_msgs.msg import Header

from kd_planner_ros.core.records import Pose


def quaternion(pose: Pose) -> Quaternion:
    """The attitude of ``pose``: Rz(yaw) Ry(pitch) Rx(roll)."""
    cy, sy = math.cos(pose.yaw / 2), math.sin(pose.yaw / 2)
    cp, sp = math.cos(pose.pitch / 2), math.sin(pose.pitch / 2)
    cr, sr = math.cos(pose.roll / 2), math.sin(pose.roll / 2)
    return Quaternion(x=cy * cp * sr - sy * sp * cr, y=cy * sp * cr + sy * cp * sr,
                      z=sy * cp * cr - cy * sp * sr, w=cy * cp * cr + sy * sp * sr)


def pose_from_quaternion(position: Point, q: Quaternion) -> Pose:
    """A core pose; the quaternion need not be normalised. All zeros count as no rotation."""
    norm = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w
    if norm == 0.0:
        return Pose(position.x, position.y, position.z)
    roll = math.atan2(2 * (q.w * q.x + q.y * q.z), norm - 2 * (q.x * q.x + q.y * q.y))
    pitch = math.asin(max(-1.0, min(1.0, 2 * (q.w * q.y - q.z * q.x) / norm)))
    yaw = math.atan2(2 * (q.w * q.z + q.x * q.y), norm - 2 * (q.y * q.y + q.z * q.z))
    return Pose(position.x, position.y, position.z, yaw, pitch, roll)


def pose_stamped(x: float, y: float, yaw: float, header: Header | None = None) -> PoseStamped:
    """A planar pose as a message."""
    message = PoseStamped(header=header or Header())
    message.pose.position = Point(x=float(x), y=float(y), z=0.0)
    message.pose.orientation = Quaternion(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return message
