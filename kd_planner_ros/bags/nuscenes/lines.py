"""Map lines of nuScenes' map expansion: dividers, borders of the road, crossings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.outlines import borders, is_near, table_of
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.outputs import LineKind


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
        return table_of([(kind, line) for kind, line in (*_lines(tables, nodes), *_borders(tables, nodes, way)) if is_near(line, way)])


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
    near = [(one, ring) for one in roads if is_near(ring := _closed(nodes, one["exterior_node_tokens"]), way)]
    own = {str(polygons[one["polygon_token"]]["token"]) for one in tables.get("road_segment", ())}
    for one, ring in near:
        if str(one["token"]) in own:
            others = [other for polygon, other in near if polygon is not one]
            for run in borders(ring, others):
                yield LineKind.BOUNDARY, run
            for hole in one.get("holes", ()):
                yield LineKind.BOUNDARY, _closed(nodes, hole["node_tokens"])
