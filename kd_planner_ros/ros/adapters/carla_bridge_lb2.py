"""CARLA's ROS bridge, branch leaderboard-2.0: what differs from master."""

from __future__ import annotations

from kd_planner_ros.ros.adapters import carla_bridge


class Adapter(carla_bridge.Adapter):
    """The speedometer has a header (``carla_msgs/CarlaSpeedometer``); the IMU's orientation holds the yaw alone."""

    profile = "carla_bridge_lb2"
    refused = ()

    def __init__(self, role_name: str = "hero", carla_version: str = "0.9.14"):
        super().__init__(role_name, carla_version)
