"""CARLA's own ROS 2 output (``--ros2``, 0.9.14 and later): what differs from the bridge.

It sends sensors only: odometry, speed, route and objects must come from a helper process, and control works for role
``hero`` alone where it works at all. Depth comes as a 24-bit code and semantic tags in the red byte.
"""

from __future__ import annotations

from typing import Any

from kd_planner_ros.ros.adapters import carla_bridge
from kd_planner_ros.wire.codec.pictures import coded_depth_of, red_classes_of


class Adapter(carla_bridge.Adapter):
    """Bare sensor names as frames; camera_info is not to be trusted up to 0.9.16, so intrinsics come from the spec."""

    profile = "carla_native"
    trusts_camera_info = False

    def __init__(self, role_name: str = "hero", carla_version: str = "0.9.16"):
        super().__init__(role_name, carla_version)

    def frame_id(self, sensor: str = "") -> str:
        """The sensor's own name, without the role."""
        return self.mounted.get(sensor, sensor) or self.role_name

    def from_msg(self, channel: str, message: Any) -> Any:
        """The record in ``message``; depth and semantic pictures are in CARLA's raw codes.

        Raises:
            SensorError: a message that cannot be read.
        """
        if channel == "depth":
            return coded_depth_of(message)
        if channel == "semantic":
            return red_classes_of(message)
        return super().from_msg(channel, message)
