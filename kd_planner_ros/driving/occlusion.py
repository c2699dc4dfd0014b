"""A cap on the speed beside vehicles that hide somebody, while no roadside station looks behind them.

Standing vehicles at the side of the car's way are known from the stations' lists. While lists come, a station would report who steps out
behind them. When the lists stop, the car is slow enough to stop before the far end of each: stopping distance <= visible distance.
Pictures are no lists: a radio that carries pictures alone leaves the supervisor deaf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.v2x import ReportedObjects
from kd_planner_ros.driving.caution import NO_BOUND, NUMBERS, Bound, CautionSettings, extended, ways_along


@dataclass(frozen=True)
class OcclusionSettings:
    """Metres, seconds and m/s.

    Attributes:
        tall_m, standing_mps: lower vehicles hide nobody, faster ones are gone soon.
        aside_m: a vehicle that leaves a wider gap to the car's way hides nobody who is near it.
        lost_s: after so long without a list nobody looks behind the vehicles.
        kept_s: a vehicle that was not reported for so long is forgotten.
        same_m: a vehicle that is reported this near to the place of a known one is that one, whichever station reports it.
        reaction_s, stop_mps2: of a stop.
        least_mps: the cap is never lower.
        firm: brake for each m/s above the cap; ``most`` at most.
    """

    tall_m: float = 1.6
    standing_mps: float = 0.3
    aside_m: float = 2.5
    lost_s: float = 0.7
    kept_s: float = 30.0
    same_m: float = 2.0
    reaction_s: float = 0.3
    stop_mps2: float = 4.0
    least_mps: float = 3.0
    firm: float = 0.15
    most: float = 0.5


class Occlusion:
    """Remembers what hides somebody, and caps the speed beside it while nothing is heard."""

    def __init__(self, settings: OcclusionSettings = OcclusionSettings(), car: CautionSettings = CautionSettings()):
        self.settings, self._car = settings, car
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._known: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self._heard_ns: int | None = None
        self._last: ReportedObjects | None = None

    def bound(self, reported: ReportedObjects | None, path: np.ndarray, ego: EgoState, now_ns: int) -> Bound:
        """The limits at ``now_ns``; arguments as in ``Caution.bound``."""
        s = self.settings
        if reported is not None and reported is not self._last and reported.listed:
            self._hear(reported)
        self._last = reported
        self._known = {one: kept for one, kept in self._known.items() if abs(now_ns - kept[0]) <= s.kept_s * 1e9}
        if not self._known or self._heard_ns is None or abs(now_ns - self._heard_ns) <= s.lost_s * 1e9:
            return NO_BOUND
        over_mps = ego.speed_mps - self._cap_mps(extended(path, ego, self._car.reach_m))
        return Bound(0.0, min(s.most, s.firm * over_mps)) if over_mps > 0.0 else NO_BOUND

    def _hear(self, reported: ReportedObjects) -> None:
        """Take in a list: what it reports replaces what was known of that vehicle, and of its place."""
        s, rows, self._heard_ns = self.settings, reported.rows, reported.stamp_ns
        sound = np.isfinite(np.stack([rows[name] for name in NUMBERS], -1)).all(1)
        large = sound & (rows["height"] >= s.tall_m) & (np.maximum(rows["length"], rows["width"]) > 1.0)
        stands = np.hypot(rows["vx"], rows["vy"]) <= s.standing_mps
        keys = reported.keys
        moved = {keys[one] for one in np.flatnonzero(sound)}
        self._known = {key: kept for key, kept in self._known.items() if key not in moved and not self._stood_there(kept[1], rows[large])}
        for one in np.flatnonzero(large & stands):
            self._known[keys[one]] = (reported.stamp_ns, rows[one])

    def _stood_there(self, known: np.ndarray, rows: np.ndarray) -> bool:
        """Whether one of ``rows`` is at the place of ``known``, a row: two large vehicles cannot be."""
        return bool((np.hypot(rows["x"] - known["x"], rows["y"] - known["y"]) < self.settings.same_m).any())

    def _cap_mps(self, line: np.ndarray) -> float:
        """The speed from which the car can still stop before the far end of the nearest hiding vehicle at its way; inf without one."""
        s, rows = self.settings, np.array([row for _, row in self._known.values()])
        ways = ways_along(rows, np.zeros(len(rows)), line, np.zeros(1), self._car.width_m)
        seen_m = ways.ahead_m[:, 0] + ways.along_m - 0.5 * self._car.length_m
        beside = (seen_m > 0.0) & (ways.ahead_m[:, 0] > 0.0) & (ways.ahead_m[:, 0] < self._car.reach_m) & (ways.gap_m[:, 0] < s.aside_m)
        if not beside.any():
            return math.inf
        lag = s.stop_mps2 * s.reaction_s
        return max(s.least_mps, math.sqrt(lag**2 + 2.0 * s.stop_mps2 * float(seen_m[beside].min())) - lag)
