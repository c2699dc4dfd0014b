"""Which rows of a station's object list are plausible, and one list out of several stations'.

A row that is refused is left out and counted; the others are used: one bad row must not hide a walker.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from scipy.spatial import cKDTree

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.geometry.boxes import overlap_one
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.free_space import GROUND_M, FreeSpace
from kd_planner_ros.v2x.settings import GatewaySettings

_NUMBERS = ("x", "y", "z", "yaw", "length", "width", "height", "vx", "vy")
_SIZES: dict[ActorKind, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    ActorKind.PEDESTRIAN: ((0.1, 1.5), (0.1, 1.5), (0.4, 2.5)), ActorKind.CAR: ((1.5, 8.0), (1.0, 3.2), (0.8, 3.5)),
    ActorKind.TRUCK: ((3.0, 26.0), (1.4, 4.0), (1.2, 5.0)), ActorKind.BUS: ((4.0, 26.0), (1.4, 4.0), (1.5, 5.0)),
    ActorKind.MOTORCYCLE: ((1.0, 4.0), (0.2, 2.0), (0.5, 2.8)), ActorKind.BICYCLE: ((0.8, 3.0), (0.1, 1.5), (0.5, 2.8)),
    ActorKind.STATIC: ((0.05, 30.0), (0.05, 30.0), (0.05, 10.0))}
"""Length, width and height, each from and to, in metres. STATIC holds whatever else stands about."""
_BOUNDS = np.full((256, 3, 2), np.nan)
for _kind, _limits in _SIZES.items():
    _BOUNDS[_kind] = _limits
HEIGHT_M = 30.0
"""Objects are not farther above or below the foot of the mast."""
EGO_MARGIN_M = 1.0
"""By how much more a reported vehicle may be off the car's box and still be the car itself. A walker or a cyclist is never the car: only
one whose middle lies inside the car's own box cannot be there."""
_LIKE_EGO = (ActorKind.CAR, ActorKind.TRUCK, ActorKind.BUS)
FREE_MARGIN_M, FREE_DRIFT_MPS = 1.0, 3.0
"""An object that is refused as a ghost lies so far from the edge of what the car sees free, and farther by so much for each second between
both measurements: what a station measures is off by some decimetres, and a road user changes its speed."""
LOW_M = 2.0 * GROUND_M
"""A lower object is never refused as a ghost: its points pass for the ground's, so that the car sees free space where a person lies."""


class Tracks:
    """Where the objects of one station were accepted last, by id."""

    def __init__(self) -> None:
        self.rows = np.zeros(0, ACTOR_DTYPE)
        self.stamps_ns = np.zeros(0, np.int64)

    def take(self, rows: np.ndarray, stamp_ns: int, oldest_ns: int) -> None:
        """Accepted rows [N] of distinct ids; tracks older than ``oldest_ns`` are forgotten."""
        kept = ~np.isin(self.rows["id"], rows["id"]) & (self.stamps_ns >= oldest_ns)
        merged = np.concatenate([self.rows[kept], rows])
        order = np.argsort(merged["id"], kind="stable")
        self.rows = merged[order]
        self.stamps_ns = np.concatenate([self.stamps_ns[kept], np.full(len(rows), stamp_ns)])[order]

    def since(self, oldest_ns: int) -> np.ndarray:
        """Rows of the tracks that were accepted at ``oldest_ns`` or later."""
        return self.rows[self.stamps_ns >= oldest_ns]

    def find(self, ids: np.ndarray, oldest_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(known bool [N], index [N] into ``rows``) of ``ids`` [N]; tracks older than ``oldest_ns`` are unknown."""
        at = np.minimum(np.searchsorted(self.rows["id"], ids), max(len(self.rows) - 1, 0))
        if not len(self.rows):
            return np.zeros(len(ids), bool), at
        return (self.rows["id"][at] == ids) & (self.stamps_ns[at] >= oldest_ns), at


class Plausibility:
    """The checks of object rows, one after another; each sees what the others left."""

    def __init__(self, settings: GatewaySettings):
        self._settings = settings

    def sift(self, rows: np.ndarray, stamp_ns: int, foot: Pose, reach_m: float, tracks: Tracks, ego: EgoState | None = None,
             free: FreeSpace | None = None) -> tuple[np.ndarray, Counter[str]]:
        """(the plausible rows of ``rows``, ACTOR_DTYPE [N]; how many were refused by reason). ``tracks`` learn the former."""
        settings = self._settings
        refused: Counter[str] = Counter()
        oldest_ns = stamp_ns - round(settings.track_s * 1e9)
        with np.errstate(all="ignore"):  # any bits may have come as numbers
            for reason, good in (
                    (reasons.OBJECT_BROKEN, lambda left: self._whole(left)),
                    (reasons.OBJECT_TWICE, lambda left: first_of(left["id"])),
                    (reasons.OBJECT_SIZE, lambda left: _sized(left)),
                    (reasons.OBJECT_SPEED, lambda left: np.hypot(left["vx"], left["vy"]) <= settings.max_speed_mps),
                    (reasons.OBJECT_RANGE, lambda left: _near(left, foot, reach_m)),
                    (reasons.TELEPORT, lambda left: self._on_track(left, stamp_ns, tracks, oldest_ns)),
                    (reasons.OBJECT_ACCELERATION, lambda left: self._can_change(left, stamp_ns, tracks, oldest_ns)),
                    (reasons.OVERLAPS_EGO, lambda left: _off_ego(left, stamp_ns, ego, settings.car)),
                    (reasons.GHOST, lambda left: self._hidden(left, stamp_ns, free))):
                if not len(rows):
                    break
                kept = good(rows)
                if not kept.all():
                    refused[reason] += int((~kept).sum())
                    rows = rows[kept]
        tracks.take(rows, stamp_ns, oldest_ns)
        return rows, refused

    @staticmethod
    def _whole(rows: np.ndarray) -> np.ndarray:
        finite = np.isfinite(np.stack([rows[name] for name in _NUMBERS], -1)).all(1)
        return finite & np.isfinite(_BOUNDS[rows["kind"], 0, 0])

    def _on_track(self, rows: np.ndarray, stamp_ns: int, tracks: Tracks, oldest_ns: int) -> np.ndarray:
        known, at = tracks.find(rows["id"], oldest_ns)
        if not known.any():
            return ~known
        before, passed_s = tracks.rows[at], (stamp_ns - tracks.stamps_ns[at]) / 1e9
        off_m = np.hypot(rows["x"] - before["x"] - before["vx"] * passed_s, rows["y"] - before["y"] - before["vy"] * passed_s)
        manoeuvre_m = 0.5 * self._settings.max_acceleration_mps2 * passed_s ** 2 / 2.0  # two standard deviations reach the limit
        spread_m = np.sqrt(2.0 * self._settings.sigma_m ** 2 + (self._settings.sigma_mps * passed_s) ** 2 + manoeuvre_m ** 2)
        return ~known | (off_m <= self._settings.gate * spread_m)

    def _can_change(self, rows: np.ndarray, stamp_ns: int, tracks: Tracks, oldest_ns: int) -> np.ndarray:
        known, at = tracks.find(rows["id"], oldest_ns)
        if not known.any():
            return ~known
        before, passed_s = tracks.rows[at], (stamp_ns - tracks.stamps_ns[at]) / 1e9
        change = np.hypot(rows["vx"] - before["vx"], rows["vy"] - before["vy"])
        noise = self._settings.gate * math.sqrt(2.0) * self._settings.sigma_mps
        return ~known | (change <= self._settings.max_acceleration_mps2 * passed_s + noise)

    def _hidden(self, rows: np.ndarray, stamp_ns: int, free: FreeSpace | None) -> np.ndarray:
        """Not wholly in space that the car saw to be free at about the same time, with a margin, each object where it was then; or too low
        for the car to see."""
        off_s = 0.0 if free is None else (free.stamp_ns - stamp_ns) / 1e9
        if free is None or abs(off_s) > self._settings.max_age_s:
            return np.ones(len(rows), bool)
        places = np.stack([rows["x"] + rows["vx"] * off_s, rows["y"] + rows["vy"] * off_s], -1)
        radii_m = np.hypot(rows["length"], rows["width"]).astype(float) / 2.0 + FREE_MARGIN_M + FREE_DRIFT_MPS * abs(off_s)
        return (rows["height"] < LOW_M) | ~free.holds(places, radii_m)


def boxes_of(rows: np.ndarray) -> np.ndarray:
    """Boxes [N, 5] of ACTOR_DTYPE rows."""
    return np.stack([rows[name].astype(float) for name in ("x", "y", "yaw", "length", "width")], -1)


def first_of(ids: np.ndarray) -> np.ndarray:
    """Whether each of ``ids`` [N] comes for the first time, bool [N]."""
    good = np.zeros(len(ids), bool)
    good[np.unique(ids, return_index=True)[1]] = True
    return good


def _sized(rows: np.ndarray) -> np.ndarray:
    bounds = _BOUNDS[rows["kind"]]
    sizes = np.stack([rows["length"], rows["width"], rows["height"]], -1)
    return ((sizes >= bounds[..., 0]) & (sizes <= bounds[..., 1])).all(1)


def _near(rows: np.ndarray, foot: Pose, reach_m: float) -> np.ndarray:
    return (np.hypot(rows["x"] - foot.x, rows["y"] - foot.y) <= reach_m) & (np.abs(rows["z"] - foot.z) <= HEIGHT_M)


def _off_ego(rows: np.ndarray, stamp_ns: int, ego: EgoState | None, car: Car) -> np.ndarray:
    if ego is None:
        return np.ones(len(rows), bool)
    back_m = ego.speed_mps * (ego.stamp_ns - stamp_ns) / 1e9
    box = car.boxes(np.array([ego.pose.x - back_m * math.cos(ego.pose.yaw), ego.pose.y - back_m * math.sin(ego.pose.yaw), ego.pose.yaw]))
    others = boxes_of(rows)
    middles = np.concatenate([others[:, :3], np.zeros((len(others), 2))], axis=-1)
    itself = overlap_one(box + (0.0, 0.0, 0.0, 2.0 * EGO_MARGIN_M, 2.0 * EGO_MARGIN_M), others)
    return ~np.where(np.isin(rows["kind"], _LIKE_EGO), itself, overlap_one(box, middles))


def merge(rows: np.ndarray, ages_s: np.ndarray, source: np.ndarray, same_m: float) -> np.ndarray:
    """Which of ``rows`` [N] stay, bool [N]: of rows of several sources that mean one object (the same kind, and nearer than ``same_m`` when
    moved on to now) the youngest one stays. The nearest rows are joined first, and no two rows of one source become one object: two walkers
    side by side stay two, however many sources report them."""
    if len(np.unique(source)) < 2:
        return np.ones(len(rows), bool)
    now = np.stack([rows["x"] + rows["vx"] * ages_s, rows["y"] + rows["vy"] * ages_s], -1)
    pairs = cKDTree(now).query_pairs(same_m, output_type="ndarray")
    pairs = pairs[(source[pairs[:, 0]] != source[pairs[:, 1]]) & (rows["kind"][pairs[:, 0]] == rows["kind"][pairs[:, 1]])]
    apart_m = np.hypot(*(now[pairs[:, 0]] - now[pairs[:, 1]]).T)
    objects = [{index} for index in range(len(rows))]
    for one, other in pairs[np.lexsort((pairs[:, 1], pairs[:, 0], apart_m))].tolist():
        both = sorted(objects[one] | objects[other])
        if objects[one] is not objects[other] and len(set(source[both].tolist())) == len(both):
            joined = set(both)
            for index in both:
                objects[index] = joined
    return np.array([index == min(of, key=lambda row: (ages_s[row], row)) for index, of in enumerate(objects)], bool)
