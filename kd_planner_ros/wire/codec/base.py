"""Stamps, headers, vectors and poses: what every message is made of."""

from __future__ import annotations

import math
from typing import Any, Protocol

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.attitude import pose_from, quaternion_of

MAP_FRAME = "map"


class Make(Protocol):
    """Makes a message of type ``kind``, such as ``std_msgs/msg/Header``. Arrays of numbers are numpy arrays; all fields are
    given, as rosbags' classes have no defaults."""

    def __call__(self, kind: str, /, **fields: Any) -> Any: ...


def time(make: Make, stamp_ns: int) -> Any:
    """builtin_interfaces/Time."""
    return make("builtin_interfaces/msg/Time", sec=int(stamp_ns // 10**9), nanosec=int(stamp_ns % 10**9))


def time_of(stamp: Any) -> int:
    """Nanoseconds of a time or a duration."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def stamp_of(message: Any) -> int:
    """The header's stamp in nanoseconds."""
    return time_of(message.header.stamp)


def header(make: Make, stamp_ns: int, frame: str) -> Any:
    """std_msgs/Header."""
    return make("std_msgs/msg/Header", stamp=time(make, stamp_ns), frame_id=frame)


def vector(make: Make, x: float, y: float, z: float) -> Any:
    """geometry_msgs/Vector3."""
    return make("geometry_msgs/msg/Vector3", x=float(x), y=float(y), z=float(z))


def quaternion(make: Make, pose: Pose) -> Any:
    """Rz(yaw) Ry(pitch) Rx(roll) as geometry_msgs/Quaternion."""
    x, y, z, w = quaternion_of(pose)
    return make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def pose(make: Make, place: Pose) -> Any:
    """geometry_msgs/Pose."""
    position = make("geometry_msgs/msg/Point", x=float(place.x), y=float(place.y), z=float(place.z))
    return make("geometry_msgs/msg/Pose", position=position, orientation=quaternion(make, place))


def planar_pose(make: Make, x: float, y: float, yaw: float) -> Any:
    """geometry_msgs/Pose on the ground."""
    turn = make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return make("geometry_msgs/msg/Pose", position=make("geometry_msgs/msg/Point", x=float(x), y=float(y), z=0.0), orientation=turn)


def pose_of(position: Any, q: Any) -> Pose:
    """A core pose from a position and a quaternion, which need not be normalised; all zeros mean no rotation."""
    return pose_from((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))
