"""The map's lines around a route as one table: dividers, boundaries, crossings, lane centres, stop lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.road import MAP_LINE_DTYPE, Lane, RoadMap
from kd_planner_ros.geometry.polyline import offset_line

WITHIN_M = 120.0
SAME_M = 1.0  # the double line between two directions belongs to both: it counts once
_LEFT = {"broken": LineKind.DIVIDER, "double": LineKind.DIVIDER, "solid": LineKind.BOUNDARY}


def map_lines(road: RoadMap, points: np.ndarray, within_m: float = WITHIN_M) -> np.ndarray:
    """MAP_LINE_DTYPE rows of every line that has a point within ``within_m`` of one of ``points`` [N, 2] (``map``).

    A line keeps the corners that the network has; crossings are closed outlines (first point = last point).
    """
    sparse = np.asarray(points, float)[:: max(1, len(points) // 400), :2]
    rows: list[np.ndarray] = []
    for kind, line in _lines(road):
        if np.min(np.hypot(*(line[:, None] - sparse[None]).transpose(2, 0, 1))) <= within_m:
            row = np.zeros(len(line), MAP_LINE_DTYPE)
            row["line"], row["kind"], row["x"], row["y"] = len(rows), kind, line[:, 0], line[:, 1]
            rows.append(row)
    return np.concatenate(rows) if rows else np.zeros(0, MAP_LINE_DTYPE)


def _lines(road: RoadMap) -> Iterator[tuple[LineKind, np.ndarray]]:
    doubles: list[np.ndarray] = []
    for name in sorted(road.lanes):
        lane = road.lanes[name]
        if lane.kind == "crossing":
            yield LineKind.CROSSING, _outline(lane)
        elif lane.kind == "driving":
            yield LineKind.CENTRE, lane.centre
            yield from _borders(lane, doubles)
    for site in (*road.signals, *road.stops):
        yield LineKind.STOP, np.asarray(site.stop_line, float)


def _borders(lane: Lane, doubles: list[np.ndarray]) -> Iterator[tuple[LineKind, np.ndarray]]:
    """The line left of the lane, and the one right of it where no lane of the same direction lies there."""
    if lane.left_border in _LEFT:
        line = offset_line(lane.centre, lane.width / 2)
        middle = line[[0, -1]].mean(0)
        if lane.left_border != "double" or all(np.hypot(*(middle - other)) > SAME_M for other in doubles):
            doubles += [middle] if lane.left_border == "double" else []
            yield _LEFT[lane.left_border], line
    if lane.right_border == "solid":
        yield LineKind.BOUNDARY, offset_line(lane.centre, -lane.width / 2)


def _outline(lane: Lane) -> np.ndarray:
    left, right = offset_line(lane.centre, lane.width / 2), offset_line(lane.centre, -lane.width / 2)
    return np.concatenate([left, right[::-1], left[:1]])
