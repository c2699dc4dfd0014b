"""A cap on the speed where somebody may be hidden and no roadside station looks: beside vehicles, and at the crossing of a silent station.

Standing vehicles at the side of the car's way are known from the stations' lists. While lists come, a station would report who steps out
behind them. When the lists stop, the car is slow enough to stop before the far end of each: stopping distance <= visible distance.
At a crossing whose station is there and sends no lists nothing is known of what hides others: the car is taken to see ``sight_m`` there.
Pictures are no lists: a radio that carries pictures alone leaves the supervisor deaf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.v2x import ReportedObjects, SilentStations
from kd_planner_ros.driving.caution import NO_BOUND, NUMBERS, Bound, CautionSettings, extended, ways_along
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc


@dataclass(frozen=True)
class OcclusionSettings:
    """Metres, seconds and m/s.

    Attributes:
        tall_m, standing_mps: lower vehicles hide nobody, faster ones are gone soon.
        aside_m: a vehicle that leaves a wider gap to the car's way hides nobody who is near it.
        lost_s: after so long without a list nobody looks behind the vehicles.
        kept_s: a vehicle that was not reported for so long is forgotten, and so is a station that was not called silent again. A crossing
            counts as unknown where its station has sent no list for so long.
        same_m: a vehicle that is reported this near to the place of a known one is that one, whichever station reports it.
        reaction_s, stop_mps2: of a stop.
        least_mps: the cap is never lower.
        crossing_m: the crossing of a station reaches so far from the foot of its mast.
        sight_m: how far the car is taken to see at a crossing of which it knows nothing; a car of 24 km/h stops within it.
        approach_m: how far along the path the rule looks for such a crossing, beyond its end straight on.
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
    crossing_m: float = 25.0
    sight_m: float = 8.0
    approach_m: float = 60.0
    firm: float = 0.15
    most: float = 0.5


class Occlusion:
    """Remembers what hides somebody, and caps the speed beside it while nothing is heard."""

    def __init__(self, settings: OcclusionSettings = OcclusionSettings(), caution: CautionSettings = CautionSettings()):
        self.settings, self._rule = settings, caution
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._known: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self._heard_ns: int | None = None
        self._last: ReportedObjects | None = None

    def bound(self, reported: ReportedObjects | None, path: np.ndarray, ego: EgoState, now_ns: int,
              silent: SilentStations | None = None) -> Bound:
        """The limits at ``now_ns``; arguments as in ``Caution.bound``. ``silent``: stations that report nobody."""
        s = self.settings
        if reported is not None and reported is not self._last and reported.listed:
            self._hear(reported)
        self._last = reported
        self._known = {one: kept for one, kept in self._known.items() if abs(now_ns - kept[0]) <= s.kept_s * 1e9}
        seen_m = min(self._behind_m(path, ego, now_ns), self._at_crossings_m(silent, path, ego, now_ns))
        lag = s.stop_mps2 * s.reaction_s
        over_mps = ego.speed_mps - max(s.least_mps, math.sqrt(lag**2 + 2.0 * s.stop_mps2 * seen_m) - lag)
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

    def _behind_m(self, path: np.ndarray, ego: EgoState, now_ns: int) -> float:
        """Metres from the car's front to the far end of the nearest hiding vehicle at its way; inf without one, and while lists come."""
        s = self.settings
        if not self._known or self._heard_ns is None or abs(now_ns - self._heard_ns) <= s.lost_s * 1e9:
            return math.inf
        rows, line = np.array([row for _, row in self._known.values()]), extended(path, ego, self._rule.reach_m)
        ways = ways_along(rows, np.zeros(len(rows)), line, np.zeros(1), self._rule.car.width_m)
        seen_m = ways.ahead_m[:, 0] + ways.along_m - self._rule.car.front_m
        beside = (seen_m > 0.0) & (ways.ahead_m[:, 0] > 0.0) & (ways.ahead_m[:, 0] < self._rule.reach_m) & (ways.gap_m[:, 0] < s.aside_m)
        return float(seen_m[beside].min()) if beside.any() else math.inf

    def _at_crossings_m(self, silent: SilentStations | None, path: np.ndarray, ego: EgoState, now_ns: int) -> float:
        """Metres that the car sees ahead of its front where the nearest crossing of which it knows nothing bounds that; inf without one."""
        s = self.settings
        if silent is None or abs(now_ns - silent.stamp_ns) > s.kept_s * 1e9:
            return math.inf
        rows = silent.rows[silent.rows["rest_s"] > s.kept_s]
        feet = np.stack([rows["x"], rows["y"]], -1).astype(float)
        feet = feet[np.isfinite(feet).all(1)]
        if not len(feet):
            return math.inf
        line = extended(path, ego, s.approach_m)
        arc_m = np.arange(0.0, s.approach_m + 1.0)
        away = at_arc(line, arc_lengths(line), arc_m)[:, None] - feet
        inside = (np.hypot(away[..., 0], away[..., 1]) <= s.crossing_m).any(1)
        return max(float(arc_m[inside][0]) - self._rule.car.front_m, 0.0) + s.sight_m if inside.any() else math.inf
