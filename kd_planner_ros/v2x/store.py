"""What passed the gateway and is still of use, and how it becomes objects, views and phases of one instant."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, LightState
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import PHASE_DTYPE, RadioMessage, ReportedObjects, RoadsideView
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.objects import first_of, merge
from kd_planner_ros.v2x.order import NS
from kd_planner_ros.v2x.pictures import resized

KEPT = 8
"""Messages kept of each stream: what an asked-for instant in the past may still need."""


@dataclass(frozen=True)
class Kept:
    """One accepted message: rows or pixels ``item``, measured at ``measured_ns`` on the receiver's clock."""

    station: str
    camera: str
    measured_ns: int
    item: Any


class Store:
    """The newest accepted messages of each stream."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], deque[Kept]] = {}

    def keep(self, message: RadioMessage, measured_ns: int, item: Any) -> None:
        """One accepted message."""
        key = (message.kind, message.station, message.camera)
        self._kept.setdefault(key, deque(maxlen=KEPT)).append(Kept(message.station, message.camera, measured_ns, item))

    def newest(self, kind: str, stations: set[str], from_ns: int, to_ns: int) -> list[Kept]:
        """The newest of each stream of ``kind`` that was measured in this time, by one of ``stations``."""
        found = []
        for (of_kind, station, _), kept in self._kept.items():
            fit = [one for one in kept if from_ns <= one.measured_ns <= to_ns] if of_kind == kind and station in stations else []
            if fit:
                found.append(max(fit, key=lambda one: one.measured_ns))
        return found


def merged(lists: Sequence[Kept], stations: Sequence[str], now_ns: int, same_m: float) -> ReportedObjects:
    """The objects of all lists, one row an object; ``source`` says which of ``stations`` each is from."""
    rows = np.concatenate([np.zeros(0, ACTOR_DTYPE), *(kept.item for kept in lists)])
    lengths = [len(kept.item) for kept in lists]
    ages_s = np.repeat(np.array([(now_ns - kept.measured_ns) / NS for kept in lists], float), lengths)
    source = np.repeat(np.array([stations.index(kept.station) for kept in lists], np.int16), lengths)
    stay = merge(rows, ages_s, source, same_m)
    return ReportedObjects(now_ns, rows[stay], ages_s[stay], source[stay], bool(lists))


def view(kept: Kept, station: Station, camera: CameraSpec, now_ns: int) -> RoadsideView:
    """A kept picture as a model is given it."""
    return RoadsideView(station.id, resized(camera, kept.item), kept.item, None, kept.measured_ns, (now_ns - kept.measured_ns) / NS,
                        station.pose)


def list_view(kept: Kept, station: Station, now_ns: int) -> RoadsideView:
    """A kept object list as a model is given it: all that the station reported, whoever else reports it too."""
    return RoadsideView(station.id, None, None, kept.item, kept.measured_ns, (now_ns - kept.measured_ns) / NS, station.pose)


def away_m(station: Station, ego: EgoState) -> float:
    """Metres from the car to the foot of the mast."""
    return math.hypot(ego.pose.x - station.pose.x, ego.pose.y - station.pose.y)


def phases_are_sane(rows: np.ndarray) -> bool:
    """Whether all numbers are finite (an unknown end is NaN) and the states known."""
    places = np.isfinite(rows["stop_x"]) & np.isfinite(rows["stop_y"]) & np.isfinite(rows["yaw"])
    ends = np.isnan(rows["min_end_s"]) | (np.isfinite(rows["min_end_s"]) & (rows["min_end_s"] >= 0.0))
    return bool((places & ends & (rows["state"] <= max(LightState))).all())


def sifted(rows: np.ndarray, foot: Pose, reach_m: float) -> tuple[np.ndarray, Counter[str]]:
    """(those of ``rows``, PHASE_DTYPE [P], that name a signal for the first time and whose stop line lies within ``reach_m`` of ``foot``;
    how many were refused by reason)."""
    refused: Counter[str] = Counter()
    for reason, good in ((reasons.PHASE_TWICE, lambda left: first_of(left["signal"])),
                         (reasons.PHASE_RANGE, lambda left: np.hypot(left["stop_x"] - foot.x, left["stop_y"] - foot.y) <= reach_m)):
        kept = good(rows)
        refused[reason] += int((~kept).sum())
        rows = rows[kept]
    return rows, +refused


def phases_at(lists: Sequence[Kept], now_ns: int) -> np.ndarray:
    """PHASE_DTYPE [P] of all lists, the time that has passed taken off."""
    moved = []
    for kept in lists:
        rows = kept.item.copy()
        rows["min_end_s"] = np.maximum(rows["min_end_s"] - (now_ns - kept.measured_ns) / NS, 0.0)
        moved.append(rows)
    return np.concatenate([np.zeros(0, PHASE_DTYPE), *moved])
