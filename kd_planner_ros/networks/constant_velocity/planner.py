"""Heads straight for the navigation's target point at one constant speed. Sees nothing, stops for nothing.

NAVSIM's baseline of this name holds the car's present velocity. From a standstill that never moves and it knows no
route, so here the speed is a constant and the direction is the target point's: what remains is a car that knows where
it should go and ignores everybody. Any planner worth its weights beats it.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.constant_velocity.config import ConstantVelocityConfig
from kd_planner_ros.networks.planner import Planner


class ConstantVelocityPlanner(Planner):
    """A planner without sensors, weights or memory."""

    name = "constant_velocity"
    rig = SensorRig()

    def __init__(self, config: ConstantVelocityConfig = ConstantVelocityConfig()):
        self.config = config
        self.rate_hz = config.rate_hz
        self._times_s = config.step_s * np.arange(1, config.points + 1)

    def reset(self) -> None:
        """Nothing to forget."""

    def plan(self, frame: Frame) -> Plan:
        """Waypoints on the ray to the target point. 4 m/s and a target at (30, 40): (1.2, 1.6), (2.4, 3.2), ..."""
        target = np.asarray(frame.route_goal.target_point, float)
        distance = float(np.hypot(*target))
        heading = target / distance if distance > 0.1 else np.array([1.0, 0.0])
        points = self.config.cruise_mps * self._times_s[:, None] * heading
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, self._times_s), frame.route_goal)


def build_planner() -> ConstantVelocityPlanner:
    """The planner with its default choices."""
    return ConstantVelocityPlanner()
