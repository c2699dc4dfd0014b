"""Poses as geometry_msgs, and back."""

from __future__ import annotations

import math

from geometry_msgs.msg import Point, PoseStamped, Quaternion
from std_msgs.msg import Header

from kd_planner_ros.core.records import Pose
from kd_planner_ros.geometry.attitude import pose_from, quaternion_of


def quaternion(pose: Pose) -> Quaternion:
    """The attitude of ``pose``: Rz(yaw) Ry(pitch) Rx(roll)."""
    x, y, z, w = quaternion_of(pose)
    return Quaternion(x=x, y=y, z=z, w=w)


def pose_from_quaternion(position: Point, q: Quaternion) -> Pose:
    """A core pose; the quaternion need not be normalised. All zeros count as no rotation."""
    return pose_from((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))


def pose_stamped(x: float, y: float, yaw: float, header: Header | None = None) -> PoseStamped:
    """A planar pose as a message."""
    message = PoseStamped(header=header or Header())
    message.pose.position = Point(x=float(x), y=float(y), z=0.0)
    message.pose.orientation = Quaternion(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return message
