"""CARLA's ROS bridge, branch leaderboard-2.0: what differs from master."""

from __future__ import annotations

from kd_planner_ros.ros.adapters import carla_bridge
from kd_planner_ros.ros.adapters.optional import message_type
from kd_planner_ros.ros.stamps import from_stamp


class Adapter(carla_bridge.Adapter):
    """The speedometer has a header (``carla_msgs/CarlaSpeedometer``); the IMU's orientation holds the yaw alone."""

    profile = "carla_bridge_lb2"

    def __init__(self, role_name: str = "hero", carla_version: str = "0.9.14"):
        super().__init__(role_name, carla_version)
        self.speed_type = message_type("carla_msgs", "CarlaSpeedometer") or self.speed_type

    def speed_to_msg(self, stamp_ns: int, speed_mps: float):
        """The speedometer's message, with a header where carla_msgs is installed."""
        if not hasattr(self.speed_type, "speed"):
            return super().speed_to_msg(stamp_ns, speed_mps)
        return self.speed_type(header=self.header(stamp_ns, self.frame_id()), speed=float(speed_mps))

    def speed_from_msg(self, message) -> tuple[int | None, float]:
        """(stamp, signed forward speed in m/s)."""
        if not hasattr(message, "header"):
            return super().speed_from_msg(message)
        return from_stamp(message.header.stamp), float(message.speed)
