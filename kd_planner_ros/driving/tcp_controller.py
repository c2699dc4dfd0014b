"""Plan to control: TCP's trajectory PID and its fusion with the control branch. Limits and faults are the supervisor's."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.pid import Pid
from kd_planner_ros.driving.unblock import Hesitation, Unblock
from kd_planner_ros.geometry.frames import base_to_planner

MAX_THROTTLE = 0.75


@dataclass(frozen=True)
class ControllerSettings:
    """TCP's constants (team_code/tcp_agent.py, TCP/config.py)."""

    turn_gains: tuple[float, float, float] = (0.75, 0.75, 0.3)
    speed_gains: tuple[float, float, float] = (5.0, 0.5, 1.0)
    aim_distance_m: float = 4.0
    angle_threshold: float = 0.3  # of 90 degrees
    target_distance_m: float = 10.0
    brake_speed_mps: float = 0.4
    brake_ratio: float = 1.1
    speed_error_clip_mps: float = 0.25
    fusion: float = 0.3  # weight of the branch that does not lead
    unblock: bool = True  # not TCP's: see TCPController, as creep_mps
    creep_mps: float = 1.0  # 0: as TCP


@dataclass(frozen=True)
class TrajectoryWish:
    """The trajectory branch's wish in TCP's own sign: ``steer`` positive RIGHT."""

    steer: float
    throttle: float
    brake: float


class TCPController:
    """Follows the trajectory with two PIDs and mixes in the plan's own control where it has one. Tick it at 20 Hz.

    Source: TCP's agent (Wu et al., NeurIPS 2022). Deviations: the spacing of the waypoints is read from the plan
    (``times_s``) instead of being 0.5 s, so that planners with other horizons are followed as well. A student that
    has hesitated once does not start again by itself: a car that has stood for a minute is pushed for 0.6 s, as InterFuser's controller
    does (``unblock``), and a car whose control branch has accelerated for a second may creep (``creep_mps``, see Hesitation).
    """

    timed = True

    def __init__(self, settings: ControllerSettings = ControllerSettings()):
        self.settings = settings
        self._turn, self._speed = Pid(*settings.turn_gains), Pid(*settings.speed_gains)
        self._steers: deque[float] = deque(maxlen=20)
        self._unblock, self._hesitation = Unblock(), Hesitation()

    def reset(self) -> None:
        """Forget past errors and the turning state."""
        self._turn.reset()
        self._speed.reset()
        self._steers.clear()
        self._unblock.reset()
        self._hesitation.reset()

    @property
    def turning(self) -> bool:
        """TCP's ``status``: more than 10 of the last 20 steering commands exceeded 0.1."""
        return sum(abs(steer) > 0.1 for steer in self._steers) > 10

    def step(self, plan: Plan, ego: EgoState) -> Control:
        """The fused wish for this tick, stamped like ``plan``, steer positive LEFT. NaN in, NaN out."""
        goes = plan.control is not None and plan.control.throttle > plan.control.brake
        least_mps = self.settings.creep_mps if self._hesitation.step(ego.speed_mps, goes) else 0.0
        wish = self._trajectory(plan, ego.speed_mps, least_mps)
        steer_right, throttle, brake = wish.steer, wish.throttle, wish.brake
        if brake < 0.05:
            brake = 0.0
        if throttle > brake:
            brake = 0.0
        if plan.control is not None:
            share = 1.0 - self.settings.fusion if self.turning else self.settings.fusion
            steer_right = share * -plan.control.steer + (1.0 - share) * steer_right
            throttle = share * plan.control.throttle + (1.0 - share) * throttle
            brake = share * plan.control.brake + (1.0 - share) * brake
        steer_right = float(np.clip(steer_right, -1.0, 1.0))
        throttle = float(np.clip(throttle, 0.0, MAX_THROTTLE))
        brake = float(np.clip(brake, 0.0, 1.0))
        if brake > 0.5:
            throttle = 0.0
        if self._unblock.step(ego.speed_mps) and self.settings.unblock:
            throttle, brake = MAX_THROTTLE, 0.0
        self._steers.append(steer_right)
        return Control(plan.stamp_ns, throttle, -steer_right, brake)

    def _trajectory(self, plan: Plan, speed_mps: float, least_mps: float) -> TrajectoryWish:
        """The trajectory branch, at ``least_mps`` or faster. Inside, y counts forward and x to the right (frame P with y flipped)."""
        s = self.settings
        forward_up = np.array([1.0, -1.0])
        waypoints = base_to_planner(plan.trajectory.points) * forward_up
        target = base_to_planner(np.asarray(plan.goal.target_point, float)) * forward_up
        gaps = np.linalg.norm(np.diff(waypoints, axis=0), axis=1)
        desired_mps = max(float((gaps / np.diff(plan.trajectory.times_s)).mean()), least_mps)
        turn_error = self._turn_error(waypoints, target)
        steer = float(np.clip(self._turn.step(turn_error), -1.0, 1.0))
        brake = desired_mps < s.brake_speed_mps or speed_mps / max(desired_mps, 1e-6) > s.brake_ratio
        surplus = float(np.clip(desired_mps - speed_mps, 0.0, s.speed_error_clip_mps))
        throttle = float(np.clip(self._speed.step(surplus), 0.0, MAX_THROTTLE))
        return TrajectoryWish(steer, 0.0 if brake else throttle, float(brake))

    def _turn_error(self, waypoints: np.ndarray, target: np.ndarray) -> float:
        """The angle to steer for, in units of 90 degrees, positive RIGHT."""
        s = self.settings
        aim, best = waypoints[0], math.inf
        for here, there in pairwise(waypoints):
            miss = abs(s.aim_distance_m - float(np.linalg.norm((here + there) / 2.0)))
            if miss < best:
                aim, best = here, miss
        angle, last = quarter_turns(aim), quarter_turns(waypoints[-1] - waypoints[-2])
        to_target = quarter_turns(target)
        sharper = abs(to_target) < abs(angle)
        astray = abs(to_target - last) > s.angle_threshold and target[1] < s.target_distance_m
        return to_target if sharper or astray else angle


def quarter_turns(point: np.ndarray) -> float:
    """Bearing of ``point`` (x right, y forward) from straight ahead in units of 90 degrees, positive RIGHT.

    (1, 1) is 0.5, (0, 1) is 0, (-1, 0) is -1.
    """
    return float((math.pi / 2.0 - math.atan2(point[1], point[0])) / (math.pi / 2.0))
