"""One whole recorded drive, as a network's targets are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kd_planner_ros.core.captions import Caption
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.timeline import POSE_COLUMNS, Timeline
from kd_planner_ros.core.tracks import Tracks

_POSE = [POSE_COLUMNS.index(name) for name in ("x", "y", "yaw")]


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Drive:
    """What was recorded of a drive apart from pictures and clouds.

    Attributes:
        timeline: ego, controls and named truth of every tick; M ticks.
        route: the dense plan; None where not recorded.
        read_tracks, read_lines, read_captions: read what ``tracks``, ``lines`` and ``captions`` give, when it is asked for first.
    """

    timeline: Timeline
    route: Route | None = None
    read_tracks: Callable[[], Tracks | None] = _nothing
    read_lines: Callable[[], np.ndarray | None] = _nothing
    read_captions: Callable[[], Mapping[tuple[str, int], Caption] | None] = _nothing

    @property
    def stamps_ns(self) -> np.ndarray:
        """int64 [M], the ticks."""
        return self.timeline.ego.stamps

    @property
    def poses(self) -> np.ndarray:
        """Poses of the ego [M, 3]: x, y in metres, yaw in radians, ``map``."""
        return self.timeline.ego.values[:, _POSE]

    @cached_property
    def tracks(self) -> Tracks | None:
        """The other road users over the whole drive; None where no object list was recorded."""
        return self.read_tracks()

    @cached_property
    def lines(self) -> np.ndarray | None:
        """The lines of the map around the route, MAP_LINE_DTYPE [P] (``core/road.py``); None where they were not recorded."""
        return self.read_lines()

    @cached_property
    def captions(self) -> Mapping[tuple[str, int], Caption] | None:
        """What cameras saw, by view and stamp of the picture (``core/captions.py``); None where no captions were recorded."""
        return self.read_captions()
