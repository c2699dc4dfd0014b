"""What the supervisor makes of signal phases that roadside stations report: it stops before the line of a signal that is red.

The rule holds for every planner and needs nothing of it but its path. It can only make a control more cautious.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.records import EgoState
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.core.v2x import SignalPhases
from kd_planner_ros.driving.caution import NO_BOUND, Bound, extended
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.geometry.polyline import project, yaws_along


@dataclass(frozen=True)
class SignalSettings:
    """Metres, seconds and m/s.

    Attributes:
        reach_m: how far along the path the rule looks, beyond its end straight on.
        aside_m, turn_rad: a signal is the car's where its path passes the middle of the stop line this near, in this direction at most.
        length_m: of the car.
        stop_m: the car stops this far before the line.
        gone_m: a car whose front is this far over the line drives on.
        least_mps: a slower car is taken to be this fast, so that it does not move off at red.
        close_mps2: the throttle is closed where this deceleration is needed to stop; above ``firm_mps2`` the car brakes.
        yellow_mps2, red_mps2: a car that would have to brake harder than this for the colour drives on.
        full_mps2: deceleration of the whole brake.
        patience_s: a signal that has held the car for so long is left to the planner until it changes: one that does not exist must not
            hold the car for ever.
        max_age_s: older phases are not used.
    """

    reach_m: float = 60.0
    aside_m: float = 1.6
    turn_rad: float = 0.7
    length_m: float = 4.9
    stop_m: float = 1.0
    gone_m: float = 1.0
    least_mps: float = 1.5
    close_mps2: float = 1.0
    firm_mps2: float = 1.5
    yellow_mps2: float = 3.0
    red_mps2: float = 7.0
    full_mps2: float = 8.0
    patience_s: float = 90.0
    max_age_s: float = 0.5


class Signals:
    """The rule with its memory: how long the car has stood before each signal."""

    def __init__(self, settings: SignalSettings = SignalSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._waited_s: dict[int, float] = {}
        self._held: int | None = None
        self._last_ns: int | None = None

    @property
    def holds(self) -> bool:
        """Whether a signal limits the control of the present tick."""
        return self._held is not None

    def bound(self, phases: SignalPhases | None, path: np.ndarray, ego: EgoState, now_ns: int) -> Bound:
        """The limits at ``now_ns`` for a car at ``ego`` that follows ``path`` [P, 2] in ``map`` (P may be 0: straight on)."""
        passed_s = 0.0 if self._last_ns is None else min(max((now_ns - self._last_ns) * 1e-9, 0.0), 0.5)
        self._last_ns = now_ns
        if self._held is not None and abs(ego.speed_mps) < 0.3:
            self._waited_s[self._held] = self._waited_s.get(self._held, 0.0) + passed_s
        self._held = None
        if phases is None or abs(now_ns - phases.stamp_ns) > self.settings.max_age_s * 1e9 or not math.isfinite(ego.speed_mps):
            return NO_BOUND
        rows = phases.rows
        for number in rows["signal"][rows["state"] != LightState.RED].tolist():
            self._waited_s.pop(number, None)
        left_m = self._left(rows, path, ego)
        strictest = NO_BOUND
        for row, metres in zip(rows, left_m.tolist(), strict=True):
            limit = self._limit(int(row["state"]), metres, ego.speed_mps)
            if limit != NO_BOUND and self._waited_s.get(int(row["signal"]), 0.0) <= self.settings.patience_s:
                if (limit.brake, -limit.throttle) > (strictest.brake, -strictest.throttle):
                    self._held = int(row["signal"])
                strictest = strictest.with_other(limit)
        return strictest

    def _left(self, rows: np.ndarray, path: np.ndarray, ego: EgoState) -> np.ndarray:
        """Metres from the car's front to where it stops before each signal; inf where the signal is not on its way, or behind it."""
        s = self.settings
        middles = np.stack([rows["stop_x"], rows["stop_y"]], -1).astype(float)
        left_m = np.full(len(rows), np.inf)
        sound = np.isfinite(middles).all(1) & np.isfinite(rows["yaw"]) & np.isin(rows["state"], (LightState.RED, LightState.YELLOW))
        if not sound.any():
            return left_m
        line = extended(path, ego, s.reach_m)
        foot = project(middles[sound], line)
        off = np.abs(wrap_angle(rows["yaw"][sound] - yaws_along(line)[foot.segment]))
        front_m = foot.arc_m - 0.5 * s.length_m
        mine = (np.abs(foot.offset_m) <= s.aside_m) & (off <= s.turn_rad) & (front_m > -s.gone_m) & (front_m < s.reach_m)
        left_m[sound] = np.where(mine, front_m - s.stop_m, np.inf)
        return left_m

    def _limit(self, state: int, left_m: float, speed_mps: float) -> Bound:
        """The limits of a car that would have to stop within ``left_m`` for a signal of that colour."""
        s = self.settings
        if not math.isfinite(left_m):
            return NO_BOUND
        speed = max(abs(speed_mps), s.least_mps)
        needed = speed**2 / (2.0 * max(left_m, 0.3))
        moving = abs(speed_mps) > s.least_mps
        hardest = s.yellow_mps2 if state == LightState.YELLOW else s.red_mps2
        if needed < s.close_mps2 or (moving and needed > hardest):
            return NO_BOUND
        return Bound(0.0, min(1.0, 1.1 * needed / s.full_mps2) if needed >= s.firm_mps2 else 0.0)
