"""Whether a station that ought to report road users is there and does not: the car then passes its crossing blind."""

from __future__ import annotations

import math

from kd_planner_ros.core.v2x import OBJECTS
from kd_planner_ros.v2x.order import NS
from kd_planner_ros.v2x.settings import GatewaySettings


class Presence:
    """What is known of one station's being there, from accepted messages alone."""

    def __init__(self) -> None:
        self._heard = False
        self._listed_ns: int | None = None
        self._near_ns: int | None = None

    def take(self, kind: str, measured_ns: int) -> None:
        """A message of ``kind`` was accepted."""
        self._heard = True
        if kind == OBJECTS:
            self._listed_ns = measured_ns

    def rest_s(self, now_ns: int, near: bool, settings: GatewaySettings) -> float | None:
        """Seconds since the station's last object list was measured, inf where it never sent one; None where it is not silent: out of
        range, in range for less than ``silent_s``, with a list that may still be used, or perhaps not there at all."""
        if not near:
            self._near_ns = None
            return None
        self._near_ns = now_ns if self._near_ns is None else self._near_ns
        rest_s = math.inf if self._listed_ns is None else (now_ns - self._listed_ns) / NS
        there = self._heard or settings.cap_unheard
        silent = there and rest_s > settings.max_age_s and now_ns - self._near_ns >= settings.silent_s * NS
        return rest_s if silent else None
