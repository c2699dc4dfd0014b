"""When a recording's instants are played, and at which of them a plan is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kd_planner_ros.sync.cadence import Cadence


@dataclass
class Asked:
    """The stamps that asked for plans. A planner that lost one plans at a stamp between, and counts from there: so is counted here."""

    cadence: Cadence
    frames: list[int] = field(default_factory=list)
    newest_ns: int = 0

    def take(self, stamp_ns: int, planned_ns: int) -> None:
        """A trigger at ``stamp_ns``; ``planned_ns`` is the newest plan's."""
        if planned_ns > self.newest_ns:
            self.newest_ns = planned_ns
            self.cadence.mark(planned_ns)
        if self.cadence.due(stamp_ns):
            self.newest_ns = stamp_ns
            self.cadence.mark(stamp_ns)
            self.frames.append(stamp_ns)


def paced(instants: Iterable[tuple[int, Any]], rate: float, spin: Callable[[float], object]) -> Iterator[tuple[int, Any]]:
    """``instants`` at ``rate`` times real time, 0: at once; ``spin`` is called with the seconds that are left until the next one."""
    first_ns = first_s = None
    for stamp_ns, group in instants:
        if first_ns is None or first_s is None:
            first_ns, first_s = stamp_ns, time.monotonic()
        while rate and (left_s := (stamp_ns - first_ns) / 1e9 / rate - (time.monotonic() - first_s)) > 0.0:
            spin(left_s)
        yield stamp_ns, group
