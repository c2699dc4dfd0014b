"""The lines of a map around a car."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import MapLines
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, resample

FINE_M = 1.0
"""Lines are cut at the edge of the range to about this."""


def lines_around(rows: np.ndarray, ego: Pose, range_m: float, points: int) -> MapLines:
    """The pieces of the lines ``rows`` (MAP_LINE_DTYPE) that lie within ``range_m`` of ``ego``, the nearest first.

    Args:
        points: P, number of points of each piece, evenly spaced from its beginning to its end.

    Returns:
        Points in ``base_link``; every score is 1. A line that leaves the circle and comes back gives two pieces.
    """
    places = to_base(np.stack([rows["x"], rows["y"]], axis=-1), ego).reshape(-1, 2)
    borders = np.flatnonzero(np.diff(rows["line"])) + 1 if len(rows) else np.zeros(0, int)
    found: list[tuple[float, int, np.ndarray]] = []
    for kind, line in zip(np.split(rows["kind"], borders), np.split(places, borders), strict=True):
        if len(line) < 2 or (line.min(0) > range_m).any() or (line.max(0) < -range_m).any():
            continue
        found += [(float(np.hypot(*piece.T).min()), int(kind[0]), piece) for piece in _inside(line, range_m)]
    found.sort(key=lambda one: one[0])
    out = [at_arc(piece, arc := arc_lengths(piece), np.linspace(0.0, arc[-1], points)) for _, _, piece in found]
    return MapLines(np.array(out, np.float32).reshape(len(out), points, 2), np.array([kind for _, kind, _ in found], np.uint8),
                    np.ones(len(out), np.float32))


def _inside(line: np.ndarray, range_m: float) -> list[np.ndarray]:
    """The runs [K >= 2, 2] of ``line`` within ``range_m`` of the origin."""
    fine = resample(line, FINE_M)
    near = np.hypot(fine[:, 0], fine[:, 1]) <= range_m
    edges = np.flatnonzero(np.diff(near.astype(int))) + 1
    runs = [run for run, inside in zip(np.split(fine, edges), np.split(near, edges), strict=True) if inside[0]]
    return [run for run in runs if len(run) >= 2]
