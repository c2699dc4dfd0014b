"""A map's driving lanes and a route on it, ready to be cut out around a place."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.evaluation.pdm.scene import Street
from kd_planner_ros.world.lane_index import LaneIndex

BACK_M = 20.0
WINDOW = (5, 40)
"""Points of the route before and after the last nearest one among which the next is looked for."""


class StreetMap:
    """The lanes of ``road``; those of the edges that ``route`` follows are its own."""

    def __init__(self, road: RoadMap, route: Route):
        lanes = [lane for lane in road.lanes.values() if lane.kind == "driving" and len(lane.centre) > 1]
        index = LaneIndex(road)
        hits = (index.nearest(float(x), float(y), float(yaw)) for (x, y), yaw in zip(route.points, route.yaws, strict=True))
        edges = {hit.lane.edge for hit in hits if hit is not None}
        self._centres = [np.asarray(lane.centre, float) for lane in lanes]
        self._half_widths = np.array([lane.width for lane in lanes]) / 2.0
        self._own = np.array([lane.edge in edges for lane in lanes], bool)
        self._boxes = _bounds(self._centres)
        self._junctions = [np.asarray(outline, float) for outline in road.junctions.values()]
        self._junction_boxes = _bounds(self._junctions)
        self._route, self._arc = np.asarray(route.points, float), route.arc_m

    def around(self, place: np.ndarray, reach_m: float) -> Street:
        """The lanes and junctions that come within ``reach_m`` of ``place`` [2] along both axes."""
        rows = np.flatnonzero(_near(self._boxes, place, reach_m))
        junctions = tuple(self._junctions[row] for row in np.flatnonzero(_near(self._junction_boxes, place, reach_m)))
        return Street(tuple(self._centres[row] for row in rows), self._half_widths[rows], self._own[rows], junctions)

    def along(self, places: np.ndarray) -> np.ndarray:
        """How far along the route [N] the car is at each of ``places`` [N, 2], in order of time; a route that comes back to a street is
        not mistaken for its earlier part."""
        row, found = 0, []
        for place in places:
            first = max(row - WINDOW[0], 0)
            piece = self._route[first:row + WINDOW[1]]
            row = first + int(np.hypot(*(piece - place).T).argmin())
            found.append(self._arc[row])
        return np.array(found)

    def route_near(self, arc_m: float, reach_m: float) -> np.ndarray:
        """The route's line from ``BACK_M`` behind ``arc_m`` to ``reach_m`` ahead of it, two points at least."""
        first, last = np.searchsorted(self._arc, [arc_m - BACK_M, arc_m + reach_m])
        first = min(int(first), len(self._arc) - 2)
        return self._route[first:max(int(last) + 1, first + 2)]


def _bounds(lines: list[np.ndarray]) -> np.ndarray:
    """[N, 4]: lowest x and y, highest x and y."""
    return np.array([[*line.min(axis=0), *line.max(axis=0)] for line in lines], float).reshape(-1, 4)


def _near(boxes: np.ndarray, place: np.ndarray, reach_m: float) -> np.ndarray:
    return (boxes[:, :2] <= place + reach_m).all(axis=1) & (boxes[:, 2:] >= place - reach_m).all(axis=1)
