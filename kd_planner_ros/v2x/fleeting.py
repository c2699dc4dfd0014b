"""Road users that come out of nothing near the car and are gone a moment later: what a station with a valid key can make up, and what no
check of a single list finds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.v2x.order import NS
from kd_planner_ros.v2x.settings import GatewaySettings


@dataclass
class _Seen:
    first_ns: int
    last_ns: int
    x: float
    y: float


class Fleeting:
    """What is known of how long one station's road users stay.

    A road user that was listed for less than ``fleeting_s``, last within ``fleeting_m`` of the car, and for ``track_s`` no more was
    fleeting. One may have gone behind a bus. After ``fleeting_most`` within ``fleeting_memory_s`` a road user of the station counts only
    once it was listed for ``fleeting_s``, until some of the fleeting ones are forgotten: who stood behind a van all the time goes on to
    count.
    """

    def __init__(self, settings: GatewaySettings):
        self._settings = settings
        self._seen: dict[int, _Seen] = {}
        self._gone_ns: deque[int] = deque()
        self._listed_ns = 0

    def unproven(self, rows: np.ndarray, stamp_ns: int, ego: EgoState | None) -> np.ndarray:
        """Which of ``rows`` (ACTOR_DTYPE [N], plausible ones of distinct ids) are not believed, bool [N]. Ask it once a list."""
        settings = self._settings
        if not 0 <= stamp_ns - self._listed_ns <= settings.track_s * NS:  # the station was not heard: who went meanwhile says nothing
            self._seen.clear()
        self._listed_ns = stamp_ns
        since = [self._take(row, stamp_ns) for row in rows[["id", "x", "y"]].tolist()]
        self._forget(stamp_ns, ego)
        if len(self._gone_ns) < settings.fleeting_most:
            return np.zeros(len(rows), bool)
        return stamp_ns - np.array(since, np.int64) < settings.fleeting_s * NS

    def _take(self, row: tuple[int, float, float], stamp_ns: int) -> int:
        name, x, y = row
        seen = self._seen.setdefault(name, _Seen(stamp_ns, stamp_ns, x, y))
        seen.last_ns, seen.x, seen.y = stamp_ns, x, y
        return seen.first_ns

    def _forget(self, stamp_ns: int, ego: EgoState | None) -> None:
        settings = self._settings
        gone = [name for name, seen in self._seen.items() if stamp_ns - seen.last_ns > settings.track_s * NS]
        for seen in map(self._seen.pop, gone):
            near = ego is not None and np.hypot(seen.x - ego.pose.x, seen.y - ego.pose.y) <= settings.fleeting_m
            if near and seen.last_ns - seen.first_ns < settings.fleeting_s * NS:
                self._gone_ns.append(seen.last_ns)
        while self._gone_ns and stamp_ns - self._gone_ns[0] > settings.fleeting_memory_s * NS:
            self._gone_ns.popleft()
