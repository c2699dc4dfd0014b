"""What the supervisor makes of road users that roadside stations report: it brakes for those that will cross the car's path.

The rule holds for every planner and needs nothing of it but its path. It can only make a control more cautious: more brake, less
throttle, the same steering.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.v2x import ReportedObjects
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, project, yaws_along

MIN_PATH_M = 2.0
NUMBERS = ("x", "y", "yaw", "length", "width", "vx", "vy")
Key = tuple[int, int]
"""(number of the station, id): what tells a reported object from all others."""


@dataclass(frozen=True)
class CautionSettings:
    """Metres, seconds and m/s.

    Attributes:
        reach_m: how far along the path the rule looks, beyond its end straight on.
        horizon_s, step_s: objects are moved on at their speed for so long, in such steps.
        car: its box.
        aside_m, aside_mps: an object this near to the side of the car's way is in it; the distance grows with the time looked ahead.
        slower, faster: the car is taken to be anywhere between these shares of its present speed.
        least_mps: a slower car is taken to be this fast, so that it does not move off in front of somebody.
        stop_m: the car stops this far before the way of an object.
        firm_mps2: brakes where this deceleration is needed to do so; until then the throttle is closed alone.
        full_mps2: deceleration of the whole brake.
        hold_s: an object that is no longer reported is waited for so long.
        patience_s, again_s: an object for which the rule has held the car at a stand for the first is given way to again when its wait has
            fallen to the second; a reported object that does not exist must not hold the car for ever. All others are given way to.
        forgets: seconds in which the rule does not hold the car for each second of waiting that is forgotten.
        same_m: an object that appears in the car's way where another one, reported no longer, was in it is that one: its wait goes on.
        max_age_s: an older list is not used.
    """

    reach_m: float = 40.0
    horizon_s: float = 4.0
    step_s: float = 0.1
    car: Car = Car()
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
    same_m: float = 1.5
    max_age_s: float = 0.5


@dataclass(frozen=True)
class Bound:
    """Limits of one tick: ``throttle`` at most, ``brake`` at least. ``ids`` of the objects that the car gives way to; ``reason``: a name of
    its own for a control that these limits change."""

    throttle: float = 1.0
    brake: float = 0.0
    ids: tuple[int, ...] = ()
    reason: str = ""

    def apply(self, control: Control, reason: str) -> Control:
        """``control`` within the limits, with ``reason`` where they changed it and it has none of its own."""
        throttle, brake = min(control.throttle, self.throttle), max(control.brake, self.brake)
        if (throttle, brake) == (control.throttle, control.brake):
            return control
        return replace(control, throttle=throttle, brake=brake, reason=control.reason or self.reason or reason)

    def with_other(self, other: Bound) -> Bound:
        """The stricter of both limits, with the reason of the one that is stricter."""
        stricter = other if (other.brake, -other.throttle) > (self.brake, -self.throttle) else self
        return Bound(min(self.throttle, other.throttle), max(self.brake, other.brake), self.ids + other.ids, stricter.reason)


NO_BOUND = Bound()


class Caution:
    """The rule with its memory: whom the car gives way to, and how long it has waited for each."""

    def __init__(self, settings: CautionSettings = CautionSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._yields: dict[Key, tuple[float, int]] = {}
        self._waited_s: dict[Key, float] = {}
        self._ignored: set[Key] = set()
        self._nearest: Key | None = None
        self._acted = False
        self._last_ns: int | None = None

    def bound(self, reported: ReportedObjects | None, path: np.ndarray, ego: EgoState, now_ns: int) -> Bound:
        """The limits at ``now_ns`` for a car at ``ego`` that follows ``path`` [P, 2] in ``map`` (P may be 0: straight on)."""
        self._tick(ego, now_ns)
        if reported is not None and abs(now_ns - reported.stamp_ns) <= self.settings.max_age_s * 1e9 and len(reported.rows):
            self._look(reported, path, ego, now_ns)
        self._yields = {one: (left_m, seen_ns) for one, (left_m, seen_ns) in self._yields.items()
                        if now_ns - seen_ns <= self.settings.hold_s * 1e9}
        holding = {one: left_m for one, (left_m, _) in self._yields.items() if one not in self._ignored}
        self._nearest = min(holding, key=lambda one: (holding[one], one), default=None)
        if self._nearest is None:
            return NO_BOUND
        return self._limits(holding[self._nearest], ego.speed_mps, tuple(sorted(number for _, number in holding)))

    def acted(self, changed: bool) -> None:
        """Whether the last bound changed the control that was sent: a car that would stand without it waits for nobody."""
        self._acted = changed

    def _tick(self, ego: EgoState, now_ns: int) -> None:
        """Count the waiting, and move the places before which the car stops nearer by what it drove."""
        passed_s = 0.0 if self._last_ns is None else min(max((now_ns - self._last_ns) * 1e-9, 0.0), 0.5)
        self._last_ns = now_ns
        waits_for = self._nearest if self._acted and abs(ego.speed_mps) < 0.3 else None
        waited_s = {one: before_s - passed_s / self.settings.forgets for one, before_s in self._waited_s.items() if one != waits_for}
        if waits_for is not None:
            waited_s[waits_for] = self._waited_s.get(waits_for, 0.0) + passed_s
        self._waited_s = {one: now_s for one, now_s in waited_s.items() if now_s > 0.0}
        self._ignored = {one for one, now_s in self._waited_s.items()
                         if now_s > (self.settings.again_s if one in self._ignored else self.settings.patience_s)}
        self._yields = {one: (left_m - ego.speed_mps * passed_s, seen_ns) for one, (left_m, seen_ns) in self._yields.items()}

    def _look(self, reported: ReportedObjects, path: np.ndarray, ego: EgoState, now_ns: int) -> None:
        """Take in a list: objects on a collision course are given way to until their way is clear of the car's."""
        sound = np.isfinite(np.stack([reported.rows[name] for name in NUMBERS], -1)).all(1) & np.isfinite(reported.ages_s)
        s, rows = self.settings, reported.rows[sound]
        ages_s = reported.ages_s[sound] + (now_ns - reported.stamp_ns) * 1e-9
        if not len(rows):
            return
        line = extended(path, ego, s.reach_m)
        times = np.arange(0.0, s.horizon_s, s.step_s)
        ahead_m, gap_m, along_m, crosses = ways_along(rows, ages_s, line, times, s.car.width_m)
        inside = (gap_m <= s.aside_m + s.aside_mps * times) & (ahead_m > 0.0) & (ahead_m < s.reach_m)
        speed = max(abs(ego.speed_mps), s.least_mps)
        reach_m, off_m = along_m[:, None] + 0.5 * s.car.length_m, ahead_m - s.car.ahead_m
        meets = inside & (off_m + reach_m > s.slower * speed * times) & (off_m - reach_m < s.faster * speed * times + s.stop_m)
        keys = list(itertools.compress(reported.keys, sound.tolist()))
        left_m = np.where(inside, ahead_m, np.inf).min(1) - along_m - s.car.front_m - s.stop_m
        for row, key in enumerate(keys):
            if not inside[row].any():
                self._yields.pop(key, None)
                continue
            if key not in self._yields:
                self._inherit(key, float(left_m[row]), keys)
            if key in self._yields or (crosses[row] and meets[row].any()):
                self._yields[key] = (float(left_m[row]), now_ns)

    def _inherit(self, key: Key, left_m: float, reported: list[Key]) -> None:
        """Take the object ``key``, which is new in the car's way, for one that vanished out of it ``left_m`` ahead, where there is one."""
        gone = [one for one, (other_m, _) in self._yields.items() if one not in reported and abs(other_m - left_m) < self.settings.same_m]
        if not gone:
            return
        one = min(gone, key=lambda one: (abs(self._yields[one][0] - left_m), one))
        self._yields[key] = self._yields.pop(one)
        self._waited_s[key] = max(self._waited_s.pop(one, 0.0), self._waited_s.get(key, 0.0))
        if one in self._ignored:
            self._ignored = self._ignored - {one} | {key}

    def _limits(self, left_m: float, speed_mps: float, ids: tuple[int, ...]) -> Bound:
        """The limits of a car that has to stop within ``left_m``."""
        needed = speed_mps**2 / (2.0 * max(left_m, 0.2))
        brake = min(1.0, 1.1 * needed / self.settings.full_mps2) if needed >= self.settings.firm_mps2 else 0.0
        if left_m < self.settings.stop_m and speed_mps < self.settings.least_mps:
            brake = max(brake, 0.5)
        return Bound(0.0, brake, ids)


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
