"""Map lines of nuScenes' map expansion: dividers, borders of the road, crossings.

A border is where the road ends, as in MapTR and VAD, which take the outline of all road segments and lanes together: the part of a road
segment's outline that has road on both sides is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.geometry.boxes import polygon_contains
from kd_planner_ros.geometry.polyline import resample

NEAR_M = 60.0
"""Lines further than this from the way driven are left out."""
STEP_M, BESIDE_M = 0.5, 0.3
"""Outlines are looked at in pieces so long; a piece is a border where so far beside it there is no road."""


def read_lines(folder: Path, location: str, way: np.ndarray) -> np.ndarray | None:
    """MAP_LINE_DTYPE [P] of the lines near ``way`` [K, 2] (``map``): lane and road dividers, borders of the road, crossings. None
    without the file of ``location`` in ``maps/expansion``.

    Raises:
        BagError: the file is broken.
    """
    path = Path(folder) / "maps" / "expansion" / f"{location}.json"
    if not path.is_file():
        return None
    with reading(BagError, f"a map expansion of nuScenes in {path}", "fetch the map expansion anew"):
        tables = json.loads(path.read_text())
        nodes = {str(one["token"]): (float(one["x"]), float(one["y"])) for one in tables["node"]}
        found = [(kind, line) for kind, line in (*_lines(tables, nodes), *_borders(tables, nodes, way)) if _near(line, way)]
    rows = np.zeros(sum(len(line) for _, line in found), MAP_LINE_DTYPE)
    first = 0
    for number, (kind, line) in enumerate(found):
        part = rows[first:first + len(line)]
        part["line"], part["kind"], (part["x"], part["y"]) = number, int(kind), line.T
        first += len(line)
    return rows


def _lines(tables: Mapping[str, Any], nodes: Mapping[str, tuple[float, float]]) -> Iterator[tuple[LineKind, np.ndarray]]:
    lines = {str(one["token"]): one["node_tokens"] for one in tables["line"]}
    outlines = {str(one["token"]): one["exterior_node_tokens"] for one in tables["polygon"]}
    for layer in ("lane_divider", "road_divider"):
        for one in tables.get(layer, ()):
            yield LineKind.DIVIDER, np.array([nodes[token] for token in lines[one["line_token"]]]).reshape(-1, 2)
    for one in tables.get("ped_crossing", ()):
        yield LineKind.CROSSING, _closed(nodes, outlines[one["polygon_token"]])


def _closed(nodes: Mapping[str, tuple[float, float]], tokens: Sequence[str]) -> np.ndarray:
    return np.array([nodes[token] for token in (*tokens, *tokens[:1])]).reshape(-1, 2)


def _borders(tables: Mapping[str, Any], nodes: Mapping[str, tuple[float, float]], way: np.ndarray) -> Iterator[tuple[LineKind, np.ndarray]]:
    """The runs of the road segments' outlines, and of the outlines of their holes, that have road on one side alone."""
    polygons = {str(one["token"]): one for one in tables["polygon"]}
    roads = [polygons[one["polygon_token"]] for layer in ("road_segment", "lane") for one in tables.get(layer, ())
             if "polygon_token" in one]
    near = [(one, ring) for one in roads if _near(ring := _closed(nodes, one["exterior_node_tokens"]), way)]
    own = {str(polygons[one["polygon_token"]]["token"]) for one in tables.get("road_segment", ())}
    for one, ring in near:
        if str(one["token"]) in own:
            others = [other for polygon, other in near if polygon is not one]
            for run in _free(ring, others):
                yield LineKind.BOUNDARY, run
            for hole in one.get("holes", ()):
                yield LineKind.BOUNDARY, _closed(nodes, hole["node_tokens"])


def _free(ring: np.ndarray, others: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The runs [K, 2] of the closed outline ``ring`` beside which none of ``others`` is; the whole ring where all of it is free."""
    fine = resample(ring, STEP_M)
    if len(fine) < 2:
        return []
    middle, step = (fine[1:] + fine[:-1]) / 2.0, np.diff(fine, axis=0)
    normal = step[:, ::-1] * [1.0, -1.0] / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    beside = np.stack([middle + BESIDE_M * normal, middle - BESIDE_M * normal])
    outside = ~polygon_contains(ring[:-1], beside.reshape(-1, 2)).reshape(2, -1)
    taken = np.zeros(len(middle), bool)
    for other in others:
        if (other.max(0) >= ring.min(0) - BESIDE_M).all() and (other.min(0) <= ring.max(0) + BESIDE_M).all():
            inside = polygon_contains(other[:-1], beside.reshape(-1, 2)).reshape(2, -1)
            taken |= (inside & outside).any(0)
    if not taken.any():
        return [ring]
    first = int(taken.argmax())  # begin behind a piece that is no border, so that no run is cut where the ring begins
    fine, taken = np.concatenate([fine[first:-1], fine[:first + 1]]), np.roll(taken, -first)
    edges = np.flatnonzero(np.diff(taken.astype(int))) + 1
    starts = np.concatenate([[0], edges])
    return [fine[start:end + 1] for start, end in zip(starts, np.concatenate([edges, [len(taken)]]), strict=True) if not taken[start]]


def _near(line: np.ndarray, way: np.ndarray) -> bool:
    if len(line) < 2:
        return False
    gap = np.hypot(*np.maximum(np.maximum(line.min(0) - way, way - line.max(0)), 0.0).T)
    return bool(gap.min() <= NEAR_M)
