"""The road network as the world, the expert, the scoring and the renderer see it. Plain arrays in ``map``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.sensors import Station

MAP_LINE_DTYPE = np.dtype([("line", "i4"), ("kind", "u1"), ("x", "f8"), ("y", "f8")])
"""One row a point of a painted or imagined line, in ``map``: points of one ``line`` follow each other; ``kind`` as
``core/outputs.py`` LineKind. A stop line goes from right to left, seen by the traffic that it is for."""


@dataclass(frozen=True)
class Lane:
    """One lane: centre line [N, 2] in driving direction, width in metres, speed limit in m/s.

    ``kind`` is driving | sidewalk | crossing | shoulder. ``edge`` groups neighbours of one direction; ``index`` counts
    from the right. ``junction`` is the id of the junction it lies in, or "". ``left_border`` / ``right_border`` say
    what is painted there: none | solid | broken | double (towards oncoming traffic).
    """

    id: str
    edge: str
    index: int
    kind: str
    centre: np.ndarray
    width: float
    speed_mps: float
    junction: str = ""
    successors: tuple[str, ...] = ()
    turn: str = "s"  # inside a junction: l, r, s, t
    left_border: str = "none"
    right_border: str = "none"


@dataclass(frozen=True)
class SignalSite:
    """A signal head that never moves: row order equals the rows of SceneState.signals.

    ``lane`` is the approach lane whose end is its stop line; ``links`` are (traffic light id, link index) pairs.
    """

    id: int
    lane: str
    position: np.ndarray  # [3] lamp centre, map
    yaw: float  # facing direction
    stop_line: np.ndarray  # [2, 2]
    links: tuple[tuple[str, int], ...]
    junction: str


@dataclass(frozen=True)
class StopSite:
    """A stop sign: where it stands, which approach lane it governs and that lane's stop line."""

    id: int
    lane: str
    position: np.ndarray  # [2]
    yaw: float
    stop_line: np.ndarray  # [2, 2]
    junction: str


@dataclass(frozen=True)
class RoadMap:
    """A whole road network. ``net_file`` is the SUMO network it came from, ``offset`` [2] its netOffset:
    SUMO coordinates = map coordinates + offset. ``junctions`` maps an id to its outline polygon [N, 2]. ``stations`` are
    the roadside stations; they are not part of the network file (``world/roadside.py``)."""

    name: str
    net_file: str
    offset: np.ndarray
    lanes: dict[str, Lane]
    junctions: dict[str, np.ndarray]
    signals: tuple[SignalSite, ...]
    stops: tuple[StopSite, ...]
    stations: tuple[Station, ...] = ()

    @property
    def bounds(self) -> np.ndarray:
        """[[x_min, y_min], [x_max, y_max]] over all lane centres, metres."""
        every = np.concatenate([lane.centre for lane in self.lanes.values()])
        return np.stack([every.min(0), every.max(0)])
