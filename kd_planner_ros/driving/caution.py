"""What the supervisor makes of road users that roadside stations report: it brakes for those that will cross the car's path.

The rule holds for every planner and needs nothing of it but its path. It can only make a control more cautious: more brake, less
throttle, the same steering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.records import Control, EgoState
from kd_planner_ros.core.v2x import ReportedObjects
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, project, yaws_along

MIN_PATH_M = 2.0
_NUMBERS = ("x", "y", "yaw", "length", "width", "vx", "vy")


@dataclass(frozen=True)
class CautionSettings:
    """Metres, seconds and m/s.

    Attributes:
        reach_m: how far along the path the rule looks, beyond its end straight on.
        horizon_s, step_s: objects are moved on at their speed for so long, in such steps.
        length_m, width_m: of the car.
        aside_m, aside_mps: an object this near to the side of the car's way is in it; the distance grows with the time looked ahead.
        slower, faster: the car is taken to be anywhere between these shares of its present speed.
        least_mps: a slower car is taken to be this fast, so that it does not move off in front of somebody.
        stop_m: the car stops this far before the way of an object.
        firm_mps2: brakes where this deceleration is needed to do so; until then the throttle is closed alone.
        full_mps2: deceleration of the whole brake.
        hold_s: an object that is no longer reported is waited for so long.
        patience_s, again_s: after so long at a stand the rule rests until the car may have waited no more than the second;
            a reported object that does not exist must not hold the car for ever.
        forgets: seconds driven for each second of waiting that is forgotten.
        max_age_s: an older list is not used.
    """

    reach_m: float = 40.0
    horizon_s: float = 4.0
    step_s: float = 0.1
    length_m: float = 4.9
    width_m: float = 2.12
    aside_m: float = 0.4
    aside_mps: float = 0.1
    slower: float = 0.7
    faster: float = 1.2
    least_mps: float = 2.0
    stop_m: float = 1.5
    firm_mps2: float = 2.0
    full_mps2: float = 8.0
    hold_s: float = 0.7
    patience_s: float = 5.0
    again_s: float = 2.0
    forgets: float = 4.0
    max_age_s: float = 0.5


@dataclass(frozen=True)
class Bound:
    """Limits of one tick: ``throttle`` at most, ``brake`` at least. ``ids`` of the objects that the car gives way to."""

    throttle: float = 1.0
    brake: float = 0.0
    ids: tuple[int, ...] = ()

    def apply(self, control: Control, reason: str) -> Control:
        """``control`` within the limits, with ``reason`` where they changed it and it has none of its own."""
        throttle, brake = min(control.throttle, self.throttle), max(control.brake, self.brake)
        if (throttle, brake) == (control.throttle, control.brake):
            return control
        return replace(control, throttle=throttle, brake=brake, reason=control.reason or reason)

    def with_other(self, other: Bound) -> Bound:
        """The stricter of both limits."""
        return Bound(min(self.throttle, other.throttle), max(self.brake, other.brake), self.ids + other.ids)


NO_BOUND = Bound()


class Caution:
    """The rule with its memory: whom the car gives way to, and how long it has waited."""

    def __init__(self, settings: CautionSettings = CautionSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._yields: dict[int, tuple[float, int]] = {}
        self._waited_s, self._rests = 0.0, False
        self._last_ns: int | None = None

    def bound(self, reported: ReportedObjects | None, path: np.ndarray, ego: EgoState, now_ns: int) -> Bound:
        """The limits at ``now_ns`` for a car at ``ego`` that follows ``path`` [P, 2] in ``map`` (P may be 0: straight on)."""
        self._tick(ego, now_ns)
        if reported is not None and abs(now_ns - reported.stamp_ns) <= self.settings.max_age_s * 1e9 and len(reported.rows):
            self._look(reported, path, ego, now_ns)
        self._yields = {one: (left_m, seen_ns) for one, (left_m, seen_ns) in self._yields.items()
                        if now_ns - seen_ns <= self.settings.hold_s * 1e9}
        if self._rests or not self._yields:
            return NO_BOUND
        return self._limits(min(left_m for left_m, _ in self._yields.values()), ego.speed_mps)

    def _tick(self, ego: EgoState, now_ns: int) -> None:
        """Count the waiting, and move the places before which the car stops nearer by what it drove."""
        passed_s = 0.0 if self._last_ns is None else min(max((now_ns - self._last_ns) * 1e-9, 0.0), 0.5)
        self._last_ns = now_ns
        stands = abs(ego.speed_mps) < 0.3
        self._waited_s += passed_s if stands and self._yields and not self._rests else -passed_s / self.settings.forgets
        self._waited_s = max(self._waited_s, 0.0)
        self._rests = self._waited_s > (self.settings.again_s if self._rests else self.settings.patience_s)
        self._yields = {one: (left_m - ego.speed_mps * passed_s, seen_ns) for one, (left_m, seen_ns) in self._yields.items()}

    def _look(self, reported: ReportedObjects, path: np.ndarray, ego: EgoState, now_ns: int) -> None:
        """Take in a list: objects on a collision course are given way to until their way is clear of the car's."""
        sound = np.isfinite(np.stack([reported.rows[name] for name in _NUMBERS], -1)).all(1) & np.isfinite(reported.ages_s)
        s, rows = self.settings, reported.rows[sound]
        ages_s = reported.ages_s[sound] + (now_ns - reported.stamp_ns) * 1e-9
        if not len(rows):
            return
        line = extended(path, ego, s.reach_m)
        times = np.arange(0.0, s.horizon_s, s.step_s)
        ahead_m, gap_m, along_m, crosses = ways_along(rows, ages_s, line, times, s.width_m)
        inside = (gap_m <= s.aside_m + s.aside_mps * times) & (ahead_m > 0.0) & (ahead_m < s.reach_m)
        speed = max(abs(ego.speed_mps), s.least_mps)
        reach_m = along_m[:, None] + 0.5 * s.length_m
        meets = inside & (ahead_m + reach_m > s.slower * speed * times) & (ahead_m - reach_m < s.faster * speed * times + s.stop_m)
        for row, number in enumerate(rows["id"].tolist()):
            if not inside[row].any():
                self._yields.pop(number, None)
            elif number in self._yields or (crosses[row] and meets[row].any()):
                left_m = float(ahead_m[row][inside[row]].min() - along_m[row]) - 0.5 * s.length_m - s.stop_m
                self._yields[number] = (left_m, now_ns)

    def _limits(self, left_m: float, speed_mps: float) -> Bound:
        """The limits of a car that has to stop within ``left_m``."""
        needed = speed_mps**2 / (2.0 * max(left_m, 0.2))
        brake = min(1.0, 1.1 * needed / self.settings.full_mps2) if needed >= self.settings.firm_mps2 else 0.0
        if left_m < self.settings.stop_m and speed_mps < self.settings.least_mps:
            brake = max(brake, 0.5)
        return Bound(0.0, brake, tuple(sorted(self._yields)))


def extended(path: np.ndarray, ego: EgoState, reach_m: float) -> np.ndarray:
    """The car's way [P, 2] in ``map`` from its centre on: ``path`` where it leads away from the car, then straight on to ``reach_m``."""
    here, heading = np.array([ego.pose.x, ego.pose.y]), ego.pose.yaw
    path = np.asarray(path, float).reshape(-1, 2)
    path = path[np.isfinite(path).all(1)]
    ahead = (path - here) @ np.array([math.cos(heading), math.sin(heading)]) > 0.0
    line = np.concatenate([here[None], path[ahead]])
    length = float(arc_lengths(line)[-1])
    if length >= MIN_PATH_M:
        end = line[-1] - at_arc(line, arc_lengths(line), np.array([max(length - MIN_PATH_M, 0.0)]))[0]
        heading = math.atan2(end[1], end[0])
    beyond = line[-1] + max(reach_m - length, 1.0) * np.array([math.cos(heading), math.sin(heading)])
    return np.concatenate([line, beyond[None]])


class Ways(NamedTuple):
    """How N objects move along the car's way at T times: metres along it [N, T]; metres between the object and the side of the car [N, T],
    below 0 where they overlap; half the object's extent along the way [N]; whether it moves, and not along with the car [N]."""

    ahead_m: np.ndarray
    gap_m: np.ndarray
    along_m: np.ndarray
    crosses: np.ndarray


def ways_along(rows: np.ndarray, ages_s: np.ndarray, line: np.ndarray, times: np.ndarray, width_m: float) -> Ways:
    """The ways of objects (ACTOR_DTYPE [N], measured ``ages_s`` ago), each at its speed, beside a car of ``width_m`` that follows
    ``line`` [P, 2]; at ``times`` [T] from now."""
    velocity = np.stack([rows["vx"], rows["vy"]], -1).astype(float)
    place = np.stack([rows["x"], rows["y"]], -1).astype(float)[:, None]
    place = place + velocity[:, None] * (ages_s[:, None] + times)[..., None]
    foot = project(place.reshape(-1, 2), line)
    ahead_m, aside_m = foot.arc_m.reshape(place.shape[:2]), np.abs(foot.offset_m).reshape(place.shape[:2])
    now = foot.segment.reshape(place.shape[:2])[np.arange(len(rows)), aside_m.argmin(axis=1)]
    yaw_line = yaws_along(line)[now]
    turn = rows["yaw"] - yaw_line
    length, width = rows["length"].astype(float), rows["width"].astype(float)
    along_m = 0.5 * (np.abs(length * np.cos(turn)) + np.abs(width * np.sin(turn)))
    across_m = 0.5 * (np.abs(length * np.sin(turn)) + np.abs(width * np.cos(turn)))
    course = wrap_angle(np.arctan2(velocity[:, 1], velocity[:, 0]) - yaw_line)
    crosses = (np.hypot(velocity[:, 0], velocity[:, 1]) > 0.3) & (np.cos(course) < 0.7)
    return Ways(ahead_m, aside_m - across_m[:, None] - 0.5 * width_m, along_m, crosses)
