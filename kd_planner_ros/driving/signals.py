"""What the supervisor makes of signal phases that roadside stations report: it stops before the line of a signal that is red.

The rule holds for every planner and needs nothing of it but its path. It can only make a control more cautious.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.core.v2x import PHASE_DTYPE, SignalPhases
from kd_planner_ros.driving.caution import NO_BOUND, Bound, extended
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.geometry.polyline import project, yaws_along


@dataclass(frozen=True)
class SignalSettings:
    """Metres, seconds and m/s.

    Attributes:
        reach_m: how far along the path the rule looks, beyond its end straight on.
        aside_m, turn_rad: a signal is the car's where its path passes the middle of the stop line this near, in this direction at most.
        car: its box.
        stop_m: the car stops this far before the line.
        gone_m: a car whose front is this far over the line drives on.
        least_mps: a slower car is taken to be this fast, so that it does not move off at red.
        close_mps2: the throttle is closed where this deceleration is needed to stop; above ``firm_mps2`` the car brakes.
        yellow_mps2, red_mps2: a car that would have to brake harder than this to stop at the line drives on. A car that once could stop
            for a signal does so until its front is over the line.
        full_mps2: deceleration of the whole brake.
        patience_s: signals that have held the car at one place for so long together are left to the planner until it has driven
            ``moved_m`` from there: signals that do not exist, whatever they show, must not hold the car for ever.
        max_age_s: older phases are not used.
        hold_s: a signal that the car stops for and that is no longer reported counts for so long.
    """

    reach_m: float = 60.0
    aside_m: float = 1.6
    turn_rad: float = 0.7
    car: Car = Car()
    stop_m: float = 1.0
    gone_m: float = 1.0
    least_mps: float = 1.5
    close_mps2: float = 1.0
    firm_mps2: float = 1.5
    yellow_mps2: float = 3.0
    red_mps2: float = 7.0
    full_mps2: float = 8.0
    patience_s: float = 90.0
    moved_m: float = 5.0
    max_age_s: float = 0.5
    hold_s: float = 1.0


_STOPS = (LightState.YELLOW, LightState.RED)


class _Stop(NamedTuple):
    """A signal that the car stops for: its row (PHASE_DTYPE) and when it was reported last with its line on the car's way."""

    row: np.void
    seen_ns: int


class Signals:
    """The rule with its memory: which signals the car stops for, and how long signals have held it where it stands."""

    def __init__(self, settings: SignalSettings = SignalSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._stops: dict[int, _Stop] = {}
        self._waited_s = 0.0
        self._stood: tuple[float, float] | None = None
        self._held = False
        self._last_ns: int | None = None

    @property
    def holds(self) -> bool:
        """Whether a signal limits the control of the present tick."""
        return self._held

    def bound(self, phases: SignalPhases | None, path: np.ndarray, ego: EgoState, now_ns: int) -> Bound:
        """The limits at ``now_ns`` for a car at ``ego`` that follows ``path`` [P, 2] in ``map`` (P may be 0: straight on)."""
        s = self.settings
        self._wait(ego, now_ns)
        self._held = False
        if not math.isfinite(ego.speed_mps):
            return NO_BOUND
        fresh = phases is not None and abs(now_ns - phases.stamp_ns) <= s.max_age_s * 1e9
        reported = phases.rows if phases is not None and fresh else np.zeros(0, PHASE_DTYPE)
        self._stops = {one: stop for one, stop in self._stops.items() if 0 <= now_ns - stop.seen_ns <= s.hold_s * 1e9}
        lost = [stop.row for one, stop in self._stops.items() if one not in reported["signal"]]
        rows = np.concatenate([reported, np.array(lost, PHASE_DTYPE)])
        front_m = fronts_m(rows, path, ego, s)
        strictest = NO_BOUND
        for at in _one_each(rows, front_m):
            strictest = strictest.with_other(self._limit(rows[at], float(front_m[at]), ego.speed_mps, now_ns, at < len(reported)))
        if self._waited_s > s.patience_s:
            return NO_BOUND
        self._held = strictest != NO_BOUND
        return strictest

    def _wait(self, ego: EgoState, now_ns: int) -> None:
        """Count the time for which signals have held the car where it stands."""
        passed_s = 0.0 if self._last_ns is None else min(max((now_ns - self._last_ns) * 1e-9, 0.0), 0.5)
        self._last_ns = now_ns
        if self._stood is not None and math.dist(self._stood, (ego.pose.x, ego.pose.y)) > self.settings.moved_m:
            self._waited_s, self._stood = 0.0, None
        if self._held and abs(ego.speed_mps) < 0.3:
            self._stood = self._stood or (ego.pose.x, ego.pose.y)
            self._waited_s += passed_s

    def _limit(self, row: np.void, front_m: float, speed_mps: float, now_ns: int, reported: bool) -> Bound:
        """The limits for the signal of ``row``, whose line is ``front_m`` before the car's front. A car that stops for a signal, even for
        its yellow, goes on doing so: it gives up no stop that it has begun."""
        s, number = self.settings, int(row["signal"])
        if row["state"] not in _STOPS:
            self._stops.pop(number, None)
            return NO_BOUND
        hardest = s.yellow_mps2 if row["state"] == LightState.YELLOW else s.red_mps2
        moving = abs(speed_mps) > s.least_mps
        if number not in self._stops and moving and _needed_mps2(speed_mps, front_m) > hardest:
            return NO_BOUND
        if reported:
            self._stops[number] = _Stop(row.copy(), now_ns)
        needed = _needed_mps2(max(abs(speed_mps), s.least_mps), front_m - s.stop_m)
        if needed < s.close_mps2:
            return NO_BOUND
        return Bound(0.0, min(1.0, 1.1 * needed / s.full_mps2) if needed >= s.firm_mps2 else 0.0)


def fronts_m(rows: np.ndarray, path: np.ndarray, ego: EgoState, settings: SignalSettings) -> np.ndarray:
    """Metres [P] from the car's front to the stop line of each of ``rows`` (PHASE_DTYPE), below 0 where it is over; inf where the line is
    not on the way of a car that follows ``path`` [K, 2] in ``map`` (K may be 0: straight on)."""
    middles = np.stack([rows["stop_x"], rows["stop_y"]], -1).astype(float)
    front_m = np.full(len(rows), np.inf)
    sound = np.isfinite(middles).all(1) & np.isfinite(rows["yaw"])
    if not sound.any():
        return front_m
    line = extended(path, ego, settings.reach_m)
    foot = project(middles[sound], line)
    off = np.abs(wrap_angle(rows["yaw"][sound] - yaws_along(line)[foot.segment]))
    ahead_m = foot.arc_m - settings.car.front_m
    mine = (np.abs(foot.offset_m) <= settings.aside_m) & (off <= settings.turn_rad)
    mine &= (ahead_m > -settings.gone_m) & (ahead_m < settings.reach_m)
    front_m[sound] = np.where(mine, ahead_m, np.inf)
    return front_m


def signal_ahead(rows: np.ndarray, ego: EgoState, settings: SignalSettings = SignalSettings()) -> LightState | None:
    """What the nearest signal ahead of a car that goes straight on shows, by ``rows`` (PHASE_DTYPE [P]); of several rows of one signal the
    strictest. None where no row is of a signal ahead, or it is switched off."""
    front_m = fronts_m(rows, np.zeros((0, 2)), ego, settings)
    if not np.isfinite(front_m).any():
        return None
    mine = rows["signal"] == rows["signal"][int(front_m.argmin())]
    shown = set(rows["state"][mine & np.isfinite(front_m)].tolist())
    return next((state for state in (LightState.RED, LightState.YELLOW, LightState.GREEN) if int(state) in shown), None)


def _needed_mps2(speed_mps: float, left_m: float) -> float:
    """The deceleration that stops a car within ``left_m``."""
    return speed_mps**2 / (2.0 * max(left_m, 0.3))


def _one_each(rows: np.ndarray, front_m: np.ndarray) -> Iterator[int]:
    """The index of one row of each signal on the car's way: of rows that contradict each other a red one, then a yellow one."""
    stricter = {int(state): rank for rank, state in enumerate(_STOPS, 1)}
    found: dict[int, int] = {}
    for at in np.flatnonzero(np.isfinite(front_m)).tolist():
        number = int(rows["signal"][at])
        if number not in found or stricter.get(int(rows["state"][at]), 0) > stricter.get(int(rows["state"][found[number]]), 0):
            found[number] = at
    yield from found.values()
