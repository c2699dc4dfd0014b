"""Published maps' polygons and lines as the lines of a recording: where the road ends, and what lies near the way driven.

A border is where the road ends, as in MapTR and VAD, which take the outline of all road polygons together: the part of a polygon's outline
that has road on both sides is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.geometry.boxes import polygon_contains
from kd_planner_ros.geometry.polyline import resample

NEAR_M = 60.0
"""Lines further than this from the way driven are left out."""
STEP_M, BESIDE_M = 0.5, 0.3
"""Outlines are looked at in pieces so long; a piece is a border where so far beside it there is no road."""


def is_near(line: np.ndarray, way: np.ndarray) -> bool:
    """Whether ``line`` [P, 2] has two points and its bounds come within ``NEAR_M`` of one of ``way`` [K, 2]."""
    if len(line) < 2:
        return False
    gap = np.hypot(*np.maximum(np.maximum(line.min(0) - way, way - line.max(0)), 0.0).T)
    return bool(gap.min() <= NEAR_M)


def table_of(found: Sequence[tuple[LineKind, np.ndarray]]) -> np.ndarray:
    """MAP_LINE_DTYPE [P] of (kind, line [K, 2]) pairs."""
    rows = np.zeros(sum(len(line) for _, line in found), MAP_LINE_DTYPE)
    first = 0
    for number, (kind, line) in enumerate(found):
        part = rows[first:first + len(line)]
        part["line"], part["kind"], (part["x"], part["y"]) = number, int(kind), line.T
        first += len(line)
    return rows


def borders(ring: np.ndarray, others: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The runs [K, 2] of the closed outline ``ring`` [P, 2] of a road that lie beside none of the closed outlines ``others``; the whole
    ring where all of it does."""
    fine, beside = _beside(ring)
    outside = ~polygon_contains(ring[:-1], beside.reshape(-1, 2)).reshape(2, -1)
    taken = np.zeros(len(fine) - 1, bool)
    for other in _touching(ring, others):
        taken |= (polygon_contains(other[:-1], beside.reshape(-1, 2)).reshape(2, -1) & outside).any(0)
    if not taken.any():
        return [ring]
    first = int(taken.argmax())  # begin behind a piece that is no border, so that no run is cut where the ring begins
    return list(_runs(np.concatenate([fine[first:-1], fine[:first + 1]]), ~np.roll(taken, -first)))


def inner(line: np.ndarray, roads: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The runs [K, 2] of ``line`` [P, 2] that have one of the closed outlines ``roads`` on each side: dividers."""
    fine, beside = _beside(line)
    found = np.zeros((2, len(fine) - 1), bool)
    for road in _touching(line, roads):
        found |= polygon_contains(road[:-1], beside.reshape(-1, 2)).reshape(2, -1)
    return list(_runs(fine, found.all(0)))


def _beside(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(``line`` in pieces of ``STEP_M`` [N + 1, 2], the places right and left of each piece [2, N, 2])."""
    fine = resample(line, STEP_M)
    middle, step = (fine[1:] + fine[:-1]) / 2.0, np.diff(fine, axis=0)
    normal = step[:, ::-1] * [1.0, -1.0] / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    return fine, np.stack([middle + BESIDE_M * normal, middle - BESIDE_M * normal])


def _touching(line: np.ndarray, others: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    for other in others:
        if (other.max(0) >= line.min(0) - BESIDE_M).all() and (other.min(0) <= line.max(0) + BESIDE_M).all():
            yield other


def _runs(points: np.ndarray, chosen: np.ndarray) -> Iterator[np.ndarray]:
    """The runs of ``points`` [N + 1, 2] along the pieces that are ``chosen`` [N]."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(chosen.astype(int))) + 1, [len(chosen)]])
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        if chosen[start]:
            yield points[start:end + 1]
