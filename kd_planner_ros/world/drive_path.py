"""What the expert knows about its route beforehand: a smooth line, its bends, its speed limits, and the stop lines on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, resample, yaws_along

STEP_M = 0.5
CRUISE_MPS, SLOWEST_MPS = 6.5, 2.5
LATERAL_MPS2, BRAKING_MPS2 = 1.8, 1.5
_SMOOTH_POINTS = 5
_BEND_POINTS = 4
_BEYOND_M = 40.0
_LONGEST_CHANGE_M = 20.0


@dataclass(frozen=True)
class Gate:
    """A stop line on the route: ``arc_m`` where the route crosses it, ``row`` of its signal or stop site."""

    arc_m: float
    row: int
    kind: str  # signal | stop


class DrivePath:
    """The route as a smooth line every 0.5 m, prolonged straight on beyond its end so that one can look ahead there.

    ``points`` [N, 2], ``arc_m`` [N], ``yaws`` [N], ``curvature`` [N] (1/m, left positive), ``limit_mps`` [N]: the speed
    that keeps lateral acceleration below 1.8 m/s^2 in this and, braking at 1.5 m/s^2, in all later bends. ``gates``:
    stop lines in order; ``changes`` [C, 2]: arc from and to of each lane change.
    """

    def __init__(self, road: RoadMap, route: Route, cruise_mps: float = CRUISE_MPS):
        line = _smooth(resample(np.asarray(route.points, float), STEP_M))
        end = line[-1] - line[-2]
        beyond = np.arange(1, int(_BEYOND_M / STEP_M) + 1)[:, None] * end / max(np.hypot(*end), 1e-6) * STEP_M
        self.end_m = float(arc_lengths(line)[-1])
        self.points = np.concatenate([line, line[-1] + beyond])
        self.arc_m = arc_lengths(self.points)
        self.yaws = np.unwrap(yaws_along(self.points))
        self.curvature = _bend(self.yaws, self.arc_m)
        self.limit_mps = _speed_limits(self.curvature, self.arc_m, cruise_mps)
        self.gates = _gates(road, self)
        marked = route.arc_m[np.isin(route.commands, (Command.CHANGE_LANE_LEFT, Command.CHANGE_LANE_RIGHT))]
        # Only a change's first and last point are marked, and the last of one may be the first of the next.
        self.changes = np.array([(a, b) for a, b in pairwise(marked) if b - a < _LONGEST_CHANGE_M]).reshape(-1, 2)

    def locate(self, x: float, y: float, near_m: float) -> tuple[float, float]:
        """(arc, offset) in metres of the point of the line nearest to (x, y), looked for from 4 m before to 12 m beyond
        ``near_m``, so that a route that crosses itself is followed in order; offset positive to the left."""
        first = max(0, int((near_m - 4.0) / STEP_M))
        last = min(len(self.points) - 1, int((near_m + 12.0) / STEP_M) + 2)
        points = self.points[first:last + 1]
        row = int(((points - (x, y)) ** 2).sum(axis=1).argmin()) + first
        yaw = self.yaws[row]
        dx, dy = x - self.points[row, 0], y - self.points[row, 1]
        along, aside = dx * np.cos(yaw) + dy * np.sin(yaw), dy * np.cos(yaw) - dx * np.sin(yaw)
        return float(self.arc_m[row] + np.clip(along, -2.0, 2.0)), float(aside)

    def at(self, arc_m: np.ndarray) -> np.ndarray:
        """Poses [..., 3] (x, y, yaw) at arcs [...]."""
        xy = at_arc(self.points, self.arc_m, arc_m)
        return np.concatenate([xy, np.interp(arc_m, self.arc_m, self.yaws)[..., None]], axis=-1)


def _smooth(line: np.ndarray) -> np.ndarray:
    """Moving average over 2.5 m; the ends stay. A bend of 6 m radius is cut by less than 0.05 m."""
    if len(line) <= _SMOOTH_POINTS:
        return line
    half = _SMOOTH_POINTS // 2
    padded = np.concatenate([line[:1] - np.arange(half, 0, -1)[:, None] * (line[1] - line[0]), line,
                             line[-1:] + np.arange(1, half + 1)[:, None] * (line[-1] - line[-2])])
    total = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    return (total[_SMOOTH_POINTS:] - total[:-_SMOOTH_POINTS]) / _SMOOTH_POINTS


def _bend(yaws: np.ndarray, arc_m: np.ndarray) -> np.ndarray:
    """Curvature over a chord of 4 m."""
    row = np.arange(len(yaws))
    before, after = np.maximum(row - _BEND_POINTS, 0), np.minimum(row + _BEND_POINTS, len(yaws) - 1)
    return (yaws[after] - yaws[before]) / np.maximum(arc_m[after] - arc_m[before], 1e-6)


def _speed_limits(curvature: np.ndarray, arc_m: np.ndarray, cruise_mps: float) -> np.ndarray:
    limit = np.clip(np.sqrt(LATERAL_MPS2 / np.maximum(np.abs(curvature), 1e-4)), SLOWEST_MPS, cruise_mps)
    for row in range(len(limit) - 2, -1, -1):
        reach = np.sqrt(limit[row + 1] ** 2 + 2.0 * BRAKING_MPS2 * (arc_m[row + 1] - arc_m[row]))
        limit[row] = min(limit[row], reach)
    return limit


def _gates(road: RoadMap, path: DrivePath) -> list[Gate]:
    found = []
    for kind, sites in (("signal", road.signals), ("stop", road.stops)):
        for row, site in enumerate(sites):
            lane = road.lanes[site.lane]
            yaw = float(np.arctan2(*(lane.centre[-1] - lane.centre[-2])[::-1]))
            found += [Gate(arc, row, kind) for arc in _crossings(path, site.stop_line, yaw, lane.width)]
    return sorted(found, key=lambda gate: gate.arc_m)


def _crossings(path: DrivePath, stop_line: np.ndarray, yaw: float, width: float) -> list[float]:
    """Arcs where the line passes over the stop line in driving direction."""
    middle = stop_line.mean(axis=0)
    rel = path.points - middle
    along = rel[:, 0] * np.cos(yaw) + rel[:, 1] * np.sin(yaw)
    aside = np.abs(rel[:, 1] * np.cos(yaw) - rel[:, 0] * np.sin(yaw))
    aligned = np.abs(wrap_angle(path.yaws - yaw)) < 0.8
    rows = np.flatnonzero((along[:-1] < 0.0) & (along[1:] >= 0.0) & (aside[1:] < 0.5 * width + 0.2) & aligned[1:])
    return [float(path.arc_m[row] - along[row]) for row in rows if path.arc_m[row] <= path.end_m]
