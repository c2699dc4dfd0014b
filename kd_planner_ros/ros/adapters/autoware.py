"""Autoware: odometry with an honest twist, Control out, VelocityReport and SteeringReport in. Trajectory and candidates go out on ports
of their own (``foreign.py``), whatever the profile. Its LaneletRoute is not read: the route must come as a Path or a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control
from kd_planner_ros.ros.adapters import carla_bridge
from kd_planner_ros.ros.adapters.optional import missing_sentence
from kd_planner_ros.ros.messages import find_type, make
from kd_planner_ros.wire.codec import autoware
from kd_planner_ros.wire.codec.motion import require_finite

FRESH_NS = 200_000_000
"""A velocity report further than this from an odometry does not belong to it."""


class Adapter(carla_bridge.Adapter):
    """One vehicle frame ``base_link``; sensors have bare names. The vehicle's own speed wins over the localisation's."""

    profile = "autoware"

    def __init__(self, role_name: str = "ego_vehicle", carla_version: str = "0.9.15"):
        super().__init__(role_name, carla_version)
        self._velocity: autoware.Motion | None = None
        self._steering_rad: float | None = None
        self._speed_mps, self._speed_source = 0.0, "none yet"
        if (kind := find_type(autoware.CONTROL)) is not None:
            self.control_type = kind

    def frame_id(self, sensor: str = "") -> str:
        """The sensor's own name, or ``base_link``."""
        return self.mounted.get(sensor, sensor) or "base_link"

    def notes(self) -> dict[str, str]:
        """What the diagnostics say about the message types in use, and the steering angle that the vehicle reports."""
        facts = super().notes()
        facts.pop("carla_msgs", None)
        facts["speed from"] = self._speed_source
        if find_type(autoware.CONTROL) is None:
            facts["autoware_control_msgs"] = missing_sentence(
                "autoware_control_msgs", "control travels as sensor_msgs/JointState, which Autoware does not read")
        if self._steering_rad is not None:
            facts["reported steering rad"] = f"{self._steering_rad:.4f}"
        return facts

    @property
    def reports(self) -> dict[str, tuple[str, Callable[[Any], None]]]:
        """Port -> (message type, what takes its messages): what the vehicle reports."""
        return {"velocity_status": (autoware.VELOCITY, self._take_velocity), "steering_status": (autoware.STEERING, self._take_steering)}

    def control_to_msg(self, control: Control) -> Any:
        """autoware_control_msgs/Control, or the common message where that is not installed."""
        if find_type(autoware.CONTROL) is None:
            return super().control_to_msg(control)
        return autoware.control(make, control, self._speed_mps, self.max_steer_rad)

    def control_from_msg(self, message: Any) -> Control:
        """The command in ``message``.

        Raises:
            SensorError: a number that is not finite, or as the common message's.
        """
        return autoware.control_of(message, self.max_steer_rad) if hasattr(message, "lateral") else super().control_from_msg(message)

    def odometry_to_msg(self, ego: EgoState) -> Any:
        """Odometry with the twist in the vehicle's frame, also on a slope, as ``odometry_from_msg`` reads it."""
        message = super().odometry_to_msg(ego)
        linear = message.twist.twist.linear
        linear.x, linear.y, linear.z = float(ego.speed_mps), float(ego.lateral_mps), 0.0
        return message

    def odometry_from_msg(self, message: Any) -> EgoState:
        """The ego state in ``message``, whose twist is in the vehicle's frame; speeds are those that the vehicle has just reported,
        where it has.

        Raises:
            SensorError: a number that is not finite.
        """
        twist = message.twist.twist
        ego = replace(self.from_msg("odometry", message), speed_mps=float(twist.linear.x), lateral_mps=float(twist.linear.y))
        told = self._velocity
        self._speed_source = "odometry" if told is None else "odometry: the newest VelocityReport is not of its time"
        if told is not None and abs(told.stamp_ns - ego.stamp_ns) <= FRESH_NS:
            self._speed_source = "velocity_status"
            ego = replace(ego, speed_mps=told.speed_mps, lateral_mps=told.lateral_mps, yaw_rate_rps=told.yaw_rate_rps)
        self._speed_mps = require_finite(ego).speed_mps
        return ego

    def _take_velocity(self, message: Any) -> None:
        self._velocity = autoware.velocity_of(message)

    def _take_steering(self, message: Any) -> None:
        self._steering_rad = autoware.steering_of(message)
