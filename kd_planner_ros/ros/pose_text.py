"""A pose as the text of a parameter. Nothing of ROS is needed here: the graph is described without it."""

from __future__ import annotations

import math

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError


def read_pose(text: str, parameter: str = "lidar_pose") -> Pose:
    """The pose in six numbers, the value of ``parameter``: x y z in metres, roll pitch yaw in degrees.

    Raises:
        ConfigError: another text.
    """
    try:
        x, y, z, roll, pitch, yaw = (float(word) for word in text.split())
        if not all(map(math.isfinite, (x, y, z, roll, pitch, yaw))):
            raise ValueError
    except ValueError:
        raise ConfigError(f"parameter {parameter}: six numbers, x y z in metres and roll pitch yaw in degrees", repr(text),
                          "correct it, for example '0 0 1.8 0 0 0'") from None
    return Pose(x, y, z, yaw=math.radians(yaw), pitch=math.radians(pitch), roll=math.radians(roll))


def pose_text(pose: Pose) -> str:
    """The text that ``read_pose`` reads as ``pose``."""
    return " ".join(repr(one) for one in (pose.x, pose.y, pose.z, *map(math.degrees, (pose.roll, pose.pitch, pose.yaw))))
