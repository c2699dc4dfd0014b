"""Where a car stands on the road at each instant: in which lanes, in a junction, on the road at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.evaluation.pdm.motion import Motion
from kd_planner_ros.evaluation.pdm.scene import Street
from kd_planner_ros.geometry.boxes import corners, polygon_contains

EDGE_M = 0.05
"""A corner counts as on the road up to this far beside it: maps are that exact."""


@dataclass(frozen=True)
class Areas:
    """Over T + 1 instants, bool each.

    ``off_road``: a corner of the car lies outside every driving lane and every junction. ``astride``: corners lie in more than one lane
    and no lane holds all four. ``oncoming``: the centre is outside every lane of the route's direction and outside every junction.
    ``centre_in_junction``, ``rear_in_junction``: of the centre and of the rear axle.
    """

    off_road: np.ndarray
    astride: np.ndarray
    oncoming: np.ndarray
    centre_in_junction: np.ndarray
    rear_in_junction: np.ndarray


def areas_of(motion: Motion, street: Street) -> Areas:
    """The areas of the drive ``motion`` on ``street``."""
    count = len(motion.poses)
    feet = corners(motion.boxes).reshape(-1, 2)
    inside, beside = _lanes_of(feet, street)
    on_road = beside | in_any(feet, street.junctions)
    per_lane = inside.reshape(count, 4, -1).sum(axis=1)
    astride = ((per_lane > 0).sum(axis=1) > 1) & (per_lane < 4).all(axis=1)
    centre = in_any(motion.poses[:, :2], street.junctions)
    own = tuple(line for line, taken in zip(street.centres, street.on_route, strict=True) if taken)
    _, with_route = _lanes_of(motion.poses[:, :2], Street(own, street.half_widths[street.on_route], np.ones(len(own), bool), ()))
    rear = in_any(motion.rear_axles, street.junctions)
    return Areas(~on_road.reshape(count, 4).all(axis=1), astride, ~with_route & ~centre, centre, rear)


def in_any(points: np.ndarray, polygons: tuple[np.ndarray, ...]) -> np.ndarray:
    """Whether each of ``points`` [M, 2] lies in one of ``polygons``, bool [M]."""
    found = np.zeros(len(points), bool)
    low, high = points.min(axis=0), points.max(axis=0)
    for polygon in polygons:
        if (polygon.max(axis=0) >= low).all() and (polygon.min(axis=0) <= high).all():
            found |= polygon_contains(polygon, points)
    return found


def _lanes_of(points: np.ndarray, street: Street) -> tuple[np.ndarray, np.ndarray]:
    """(whether each of ``points`` [M, 2] lies in each lane [M, L], whether it lies in or within ``EDGE_M`` beside any [M]).

    A lane ends square in the first answer and round in the second: the wedges where lanes that follow each other bend are road.
    """
    if not street.centres:
        return np.zeros((len(points), 0), bool), np.zeros(len(points), bool)
    inside, beside = [], np.zeros(len(points), bool)
    for line, half in zip(street.centres, street.half_widths, strict=True):
        distance, beyond = _to_line(points, line)
        inside.append((distance <= half) & ~beyond)
        beside |= distance <= half + EDGE_M
    return np.stack(inside, axis=1), beside


def _to_line(points: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each of ``points`` [M, 2] to ``line`` [P, 2], and whether its nearest point is an end that it lies beyond."""
    start, along = line[:-1], np.diff(line, axis=0)
    length_sq = np.maximum((along**2).sum(axis=1), 1e-12)
    rel = points[:, None] - start[None]
    raw = (rel * along).sum(axis=2) / length_sq
    gap = rel - np.clip(raw, 0.0, 1.0)[..., None] * along
    distance_sq = (gap**2).sum(axis=2)
    nearest = distance_sq.argmin(axis=1)
    row = np.arange(len(points))
    part = raw[row, nearest]
    slack = 1e-9
    beyond = ((nearest == 0) & (part < -slack)) | ((nearest == len(along) - 1) & (part > 1.0 + slack))
    return np.sqrt(distance_sq[row, nearest]), beyond
