"""CARLA's own ROS 2 output (``--ros2``, 0.9.14 and later): what differs from the bridge.

It sends sensors only: odometry, speed, route and objects must come from a helper process, and control works for role
``hero`` alone where it works at all. Depth comes as a 24-bit code and semantic tags in the red byte.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.encodings import decode_rgb
from kd_planner_ros.ros.adapters import carla_bridge

DEPTH_RANGE_M = 1000.0


class Adapter(carla_bridge.Adapter):
    """Bare sensor names as frames; camera_info is not to be trusted up to 0.9.16, so intrinsics come from the spec."""

    profile = "carla_native"

    def __init__(self, role_name: str = "hero", carla_version: str = "0.9.16"):
        super().__init__(role_name, carla_version)

    def frame_id(self, sensor: str = "") -> str:
        """The sensor's own name, without the role."""
        return sensor or self.role_name

    def depth_from_msg(self, message) -> np.ndarray:
        """Planar depth in metres, float32 [H, W]: (R + 256 G + 65536 B) / (2^24 - 1) * 1000.

        Raises:
            SensorError: the message is no ``bgra8`` image.
        """
        rgb = self._raw(message).astype(np.float64)
        code = rgb[..., 0] + 256.0 * rgb[..., 1] + 65536.0 * rgb[..., 2]
        return (code / (2**24 - 1) * DEPTH_RANGE_M).astype(np.float32)

    def semantic_from_msg(self, message) -> np.ndarray:
        """Raw tags of the server's CARLA version, uint8 [H, W]."""
        return np.ascontiguousarray(self._raw(message)[..., 0])

    def _raw(self, message) -> np.ndarray:
        if message.encoding != "bgra8":
            raise SensorError("CARLA's raw bgra8 image", repr(message.encoding),
                              "use carla_profile:=carla_bridge for images of the ROS bridge")
        return decode_rgb(message.data, message.height, message.width, message.encoding, message.step)
