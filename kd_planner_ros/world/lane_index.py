"""Which driving lane is where: nearest-lane queries over a whole road network in microseconds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.road import Lane, RoadMap

_CELL_M = 8.0
_PIECE_M = 4.0


class LaneHit(NamedTuple):
    """The lane nearest to a point: the lane, distance to its centre line in metres, the centre line's heading in
    radians there and the distance in metres from the lane's start."""

    lane: Lane
    distance_m: float
    yaw: float
    arc_m: float


class LaneIndex:
    """All driving lanes of ``road`` (junctions' inner lanes too) as short segments in an 8 m grid.

    Raises:
        MapError: the network has no driving lane.
    """

    def __init__(self, road: RoadMap):
        self.lanes = [lane for lane in road.lanes.values() if lane.kind == "driving" and len(lane.centre) > 1]
        if not self.lanes:
            raise MapError("a road network with driving lanes", f"none in {road.name!r}", "choose another map")
        pieces = [_pieces(lane, row) for row, lane in enumerate(self.lanes)]
        self._start, self._along, self._arc, self._lane = (np.concatenate(column) for column in zip(*pieces, strict=True))
        self._length_sq = np.maximum((self._along ** 2).sum(1), 1e-9)
        self._yaw = np.arctan2(self._along[:, 1], self._along[:, 0])
        self._half_width = np.array([lane.width for lane in self.lanes])[self._lane] / 2.0
        self._cells = self._fill_cells()

    def _fill_cells(self) -> dict[tuple[int, int], np.ndarray]:
        """Cell -> indices of the segments whose middle lies in it or in one of its eight neighbours."""
        middle = np.floor((self._start + self._along / 2.0) / _CELL_M).astype(np.int64)
        around = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
        keys = (middle[:, None, :] + around[None]).reshape(-1, 2)
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        keys = keys[order]
        cuts = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
        groups = np.split(order // 9, cuts)
        firsts = np.concatenate([[0], cuts])
        return {(int(keys[f, 0]), int(keys[f, 1])): group for f, group in zip(firsts, groups, strict=True)}

    def nearest(self, x: float, y: float, yaw: float | None = None) -> LaneHit | None:
        """The lane nearest to (x, y) by centre-line distance, or None if none lies within about 8 m.

        With ``yaw`` lanes that point more than 90 degrees away from it are passed over unless no other is near.
        """
        found = self._distances(x, y)
        if found is None:
            return None
        rows, fraction, distance_sq = found
        if yaw is not None:
            distance_sq = distance_sq + 1e4 * (np.cos(self._yaw[rows] - yaw) < 0.0)
        best = int(distance_sq.argmin())
        row = rows[best]
        arc = self._arc[row] + fraction[best] * float(np.sqrt(self._length_sq[row]))
        distance = float(np.sqrt(distance_sq[best] % 1e4))
        return LaneHit(self.lanes[self._lane[row]], distance, float(self._yaw[row]), float(arc))

    def outside_by(self, x: float, y: float) -> float:
        """How far in metres (x, y) lies outside the nearest driving lane's edge; negative inside, inf far away."""
        found = self._distances(x, y)
        if found is None:
            return float("inf")
        rows, _, distance_sq = found
        return float((np.sqrt(distance_sq) - self._half_width[rows]).min())

    def _distances(self, x: float, y: float):
        rows = self._cells.get((int(x // _CELL_M), int(y // _CELL_M)))
        if rows is None:
            return None
        rx, ry = x - self._start[rows, 0], y - self._start[rows, 1]
        ax, ay = self._along[rows, 0], self._along[rows, 1]
        fraction = np.clip((rx * ax + ry * ay) / self._length_sq[rows], 0.0, 1.0)
        return rows, fraction, (rx - fraction * ax) ** 2 + (ry - fraction * ay) ** 2


def _pieces(lane: Lane, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The lane cut into segments of at most 4 m: starts [K, 2], vectors [K, 2], arc at each start [K], ``row`` [K]."""
    steps = np.diff(np.asarray(lane.centre, float), axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    parts = np.maximum(1, np.ceil(lengths / _PIECE_M).astype(int))
    segment = np.repeat(np.arange(len(parts)), parts)
    within = np.arange(len(segment)) - np.repeat(np.cumsum(parts) - parts, parts)
    fraction = within / parts[segment]
    start = lane.centre[segment] + fraction[:, None] * steps[segment]
    arc = np.concatenate([[0.0], np.cumsum(lengths)])[segment] + fraction * lengths[segment]
    return start, steps[segment] / parts[segment][:, None], arc, np.full(len(segment), row)
