"""InterFuser's safety controller: waypoints, road users and rules to pedals and steering.

Source: Shao et al., CoRL 2022, section 3.4; InterFuser ``team_code/interfuser_controller.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.pid import Pid
from kd_planner_ros.driving.safety.forecast import resample, safe_distances
from kd_planner_ros.driving.safety.road_users import road_users
from kd_planner_ros.driving.safety.rules import Rules, RuleSettings
from kd_planner_ros.driving.safety.speed import MOMENTS_S, fastest, free_distances
from kd_planner_ros.driving.safety.tracker import STEP_S, Tracker
from kd_planner_ros.driving.tcp_controller import MAX_THROTTLE, quarter_turns


@dataclass(frozen=True)
class SafetySettings:
    """The original's constants. ``legacy`` brings back its mistakes: ``tracker.py``, ``forecast.py``."""

    turn_gains: tuple[float, float, float] = (1.25, 0.75, 0.3)
    speed_gains: tuple[float, float, float] = (5.0, 0.5, 1.0)
    speed_error_clip_mps: float = 0.35
    brake_ratio: float = 1.1
    near_m: float = 3.0
    standing_mps: float = 0.01
    held_ticks: int = 1  # a command holds for the tick after it, as at 20 Hz only every other one is applied
    rules: RuleSettings = RuleSettings()
    legacy: bool = False


class SafetyController:
    """Follows the path at the fastest speed that meets nobody, and stops for lights and signs. Tick it at 20 Hz.

    ``plan.detections`` are the road users (None counts as nobody), ``plan.notes`` the probabilities ``p_junction``,
    ``p_red`` and ``p_stop``. Tracks and distances are renewed with each new plan; PIDs and counters run every tick, and
    the command of a tick without a new plan is that of the tick before, once. ``notes`` says what the last tick found.
    """

    timed = False  # follows a path, not a trajectory in time

    def __init__(self, settings: SafetySettings = SafetySettings()):
        self.settings = settings
        self._turn, self._speed = Pid(*settings.turn_gains), Pid(*settings.speed_gains)
        self._tracker, self._rules = Tracker(settings.legacy), Rules(settings.rules)
        self.reset()

    def reset(self) -> None:
        """Forget errors, tracks, counters and the last command."""
        for part in (self._turn, self._speed, self._tracker, self._rules):
            part.reset()
        self.notes: dict[str, float] = {}
        self._plan_ns: int | None = None
        self._seen_ns = 0
        self._free = (0.0, 0.0, 0.0)
        self._held: Control | None = None
        self._ticks_held = 0

    def step(self, plan: Plan, ego: EgoState) -> Control:
        """The wish for this tick, stamped like ``plan``, steer positive LEFT. NaN in, NaN out; it leaves no trace."""
        if not np.isfinite([ego.speed_mps, *np.ravel(plan.trajectory.points), *plan.notes.values()]).all():
            return Control(plan.stamp_ns, math.nan, math.nan, math.nan)
        fresh = plan.stamp_ns != self._plan_ns
        if fresh:
            self._look(plan, ego)
        wish = self._command(plan, ego.speed_mps)
        if not fresh and self._held is not None and self._ticks_held < self.settings.held_ticks:
            self._ticks_held += 1
            return self._held
        self._held, self._ticks_held = wish, 0
        return wish

    def _look(self, plan: Plan, ego: EgoState) -> None:
        """Renew tracks and free distances."""
        seen_ns = plan.trajectory.stamp_ns  # a plan that was rolled forward shows the road users at its present time
        passed_s = STEP_S if self._plan_ns is None else (seen_ns - self._seen_ns) * 1e-9
        self._plan_ns, self._seen_ns = plan.stamp_ns, seen_ns
        objects = self._tracker.update(road_users(plan.detections), ego.pose, passed_s)
        path = resample(np.asarray(plan.trajectory.points, float))
        self._free = free_distances(safe_distances(path, objects, MOMENTS_S, self.settings.legacy))

    def _command(self, plan: Plan, speed_mps: float) -> Control:
        settings, points = self.settings, np.asarray(plan.trajectory.points, float)
        now_m, half_m, one_m = self._free
        wanted_mps = fastest(speed_mps, half_m, one_m)
        blocked = now_m < max(settings.near_m, speed_mps)
        rule = self._rules.step(plan.notes, speed_mps)
        if blocked or rule.stop:
            wanted_mps = 0.0
        steer_right = float(np.clip(self._turn.step(self._turn_error(points, speed_mps)), -1.0, 1.0))
        surplus = float(np.clip(wanted_mps - speed_mps, 0.0, settings.speed_error_clip_mps))
        throttle = float(np.clip(self._speed.step(surplus), 0.0, MAX_THROTTLE))
        brake = blocked or rule.stop or speed_mps > settings.brake_ratio * wanted_mps
        if rule.push and not rule.sign:
            brake, throttle = False, settings.rules.push_throttle
        self.notes = {"wanted_mps": wanted_mps, "free_now_m": now_m, "free_half_m": half_m, "free_one_m": one_m,
                      "blocked": float(blocked), "held_by_red": float(rule.red), "held_by_sign": float(rule.sign),
                      "pushed": float(rule.push)}
        return Control(plan.stamp_ns, 0.0 if brake else throttle, -steer_right, float(brake))

    def _turn_error(self, points: np.ndarray, speed_mps: float) -> float:
        """Bearing of the middle of the first two waypoints in quarter turns, positive RIGHT; 0 for a car that stands."""
        if speed_mps < self.settings.standing_mps:
            return 0.0
        forward, left = points[:2].mean(0).tolist()
        return quarter_turns(np.array([-left, forward]))
