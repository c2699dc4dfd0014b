"""Map lines of nuScenes' map expansion: dividers, borders of the road, crossings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.road import MAP_LINE_DTYPE

NEAR_M = 60.0
"""Lines further than this from the way driven are left out."""


def read_lines(folder: Path, location: str, way: np.ndarray) -> np.ndarray | None:
    """MAP_LINE_DTYPE [P] of the lines near ``way`` [K, 2] (``map``): lane and road dividers, outlines of road segments, crossings. None
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
        found = [(kind, line) for kind, line in _lines(tables, nodes) if _near(line, way)]
    rows = np.zeros(sum(len(line) for _, line in found), MAP_LINE_DTYPE)
    first = 0
    for number, (kind, line) in enumerate(found):
        part = rows[first:first + len(line)]
        part["line"], part["kind"], (part["x"], part["y"]) = number, int(kind), line.T
        first += len(line)
    return rows


def _lines(tables: Mapping[str, Any], nodes: Mapping[str, tuple[float, float]]) -> Iterator[tuple[LineKind, np.ndarray]]:
    lines = {str(one["token"]): one["node_tokens"] for one in tables["line"]}
    polygons = {str(one["token"]): one["exterior_node_tokens"] for one in tables["polygon"]}
    for layer in ("lane_divider", "road_divider"):
        for one in tables.get(layer, ()):
            yield LineKind.DIVIDER, np.array([nodes[token] for token in lines[one["line_token"]]]).reshape(-1, 2)
    for layer, kind in (("road_segment", LineKind.BOUNDARY), ("ped_crossing", LineKind.CROSSING)):
        for one in tables.get(layer, ()):
            outline = [nodes[token] for token in polygons[one["polygon_token"]]]
            yield kind, np.array([*outline, outline[0]]).reshape(-1, 2)


def _near(line: np.ndarray, way: np.ndarray) -> bool:
    if len(line) < 2:
        return False
    gap = np.hypot(*np.maximum(np.maximum(line.min(0) - way, way - line.max(0)), 0.0).T)
    return bool(gap.min() <= NEAR_M)
