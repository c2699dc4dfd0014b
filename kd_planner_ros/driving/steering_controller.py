"""Plan to control for planners that steer by themselves: the plan's own steering, and a PID for the speed of its trajectory."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.pid import Pid
from kd_planner_ros.driving.tcp_controller import MAX_THROTTLE, ControllerSettings


class SteeringController:
    """Takes ``plan.control.steer`` as it is and drives at the speed of the trajectory. Tick it at 20 Hz.

    The speed is held as TCP's controller holds it, with its constants. Neither the target point nor the shape of the trajectory
    changes the steering: what is measured is the network's own. Nothing pushes a car that stands, because a plan to stand has
    a reason of its own.
    """

    timed = True

    def __init__(self, settings: ControllerSettings = ControllerSettings()):
        self.settings = settings
        self._speed = Pid(*settings.speed_gains)

    def reset(self) -> None:
        """Forget past errors."""
        self._speed.reset()

    def step(self, plan: Plan, ego: EgoState) -> Control:
        """The wish for this tick, stamped like ``plan``, steer positive LEFT. NaN in, NaN out; so is a plan without a control."""
        if plan.control is None or not np.isfinite([plan.control.steer, ego.speed_mps, *np.ravel(plan.trajectory.points)]).all():
            return Control(plan.stamp_ns, math.nan, math.nan, math.nan)
        s, points = self.settings, np.asarray(plan.trajectory.points, float)
        gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        wanted_mps = float((gaps / np.diff(plan.trajectory.times_s)).mean())
        brake = wanted_mps < s.brake_speed_mps or ego.speed_mps > s.brake_ratio * wanted_mps
        surplus = float(np.clip(wanted_mps - ego.speed_mps, 0.0, s.speed_error_clip_mps))
        throttle = float(np.clip(self._speed.step(surplus), 0.0, MAX_THROTTLE))
        return Control(plan.stamp_ns, 0.0 if brake else throttle, float(np.clip(plan.control.steer, -1.0, 1.0)), float(brake))
