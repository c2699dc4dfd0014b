"""What route files hold: each route with its scenarios, planned where there is a map, and what is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import MapError, RouteError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.towns import map_file, town_of
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.route_files import LeftOut, RouteFile, RouteSpec, read_route_file
from kd_planner_ros.world.route_scenarios import OFF, PLAYED, asked_scenarios
from kd_planner_ros.world.routes import plan_routes

Roads = dict[str, tuple[tuple[RoadMap, LaneGraph] | None, str]]
"""By town: its map with the lanes' graph, or None and why there is none."""


def list_routes(places: Sequence[Path], map_name: str = "", maps_dir: Path | None = None, snap: bool = False) -> dict[str, Any]:
    """JSON-ready facts about the routes of all files of ``places`` (files, or folders of .xml files).

    Args:
        map_name: the map that all routes are planned on, as ``load_map`` takes it; without it and ``maps_dir`` nothing is planned.
        maps_dir: a folder with a map for each town. Routes of a town that it lacks are left out.

    ``playable`` and ``not_supported`` count the scenarios of the routes that are not left out.

    A file that cannot be read, and a map of ``maps_dir`` likewise, are left out with the reason.

    Raises:
        RouteError: a folder holds no route file, or none of the files can be read.
        MapError: the map ``map_name`` cannot be read, or ``maps_dir`` is no folder.
    """
    if maps_dir is not None and not maps_dir.is_dir():
        raise MapError(f"a folder of maps at {maps_dir}", "a file" if maps_dir.exists() else "no such folder", "correct --maps-dir")
    result: dict[str, Any] = {"routes": [], "left_out": [], "read": 0, "planned": 0, "maps": bool(map_name or maps_dir)}
    roads: Roads = {}
    playable: Counter[str] = Counter()
    other: Counter[str] = Counter()
    files, result["left_out"] = _files(places)
    for file in files:
        left_out, routes = list(file.left_out), file.routes
        result["read"] += len(routes)
        for spec in routes:
            road, why = _road(spec, map_name, maps_dir, roads)
            row = _row(file, spec)
            result["routes"].append(row)
            if result["maps"]:
                why = why or _plan(row, road, file, spec, snap)
                result["planned"] += not why
                if why:
                    left_out.append(LeftOut(spec.name, why))
                    continue
            for scenario in spec.scenarios or ():
                (playable if scenario.kind in PLAYED else other)[scenario.kind] += 1
        result["left_out"] += [{"file": str(file.path), "route": one.name, "reason": one.reason} for one in left_out]
    return result | {"playable": dict(sorted(playable.items())), "not_supported": dict(sorted(other.items()))}


def _files(places: Sequence[Path]) -> tuple[list[RouteFile], list[dict[str, str]]]:
    """The route files of ``places``, and those that cannot be read, as rows of ``left_out`` without a route."""
    found, bad, first = [], [], None
    for place in places:
        paths = sorted(place.glob("*.xml")) if place.is_dir() else [place]
        if not paths:
            raise RouteError(f"route files (.xml) in {place}", "none", "name a folder that holds some, or a file")
        for path in paths:
            try:
                found.append(read_route_file(path))
            except RouteError as error:
                first = first or error
                bad.append({"file": str(path), "route": "", "reason": str(error)})
    if first and not found:
        raise first
    return found, bad


def _road(spec: RouteSpec, map_name: str, maps_dir: Path | None, roads: Roads) -> tuple[tuple[RoadMap, LaneGraph] | None, str]:
    """The map for ``spec`` with its lanes' graph, made once; None and why where there is none."""
    key = map_name or town_of(spec.town)
    if key not in roads:
        spot = map_name or (map_file(maps_dir, key) if maps_dir else None)
        try:
            roads[key] = (((road := load_map(str(spot))), LaneGraph(road)), "") if spot else (
                None, f"no map of {spec.town or 'its town'} in {maps_dir}")
        except MapError as error:
            if map_name:
                raise
            roads[key] = None, str(error)
    return roads[key]


def _row(file: RouteFile, spec: RouteSpec) -> dict[str, Any]:
    steps = np.diff(spec.key_points[:, :2], axis=0)
    kinds = Counter(scenario.kind for scenario in spec.scenarios or ())
    notes = [f"not read: {', '.join(spec.unread)}"] if spec.unread else []
    return {"file": str(file.path), "route": spec.name, "town": spec.town, "key_m": float(np.hypot(*steps.T).sum()), "route_m": None,
            "weathers": len(spec.weathers), "scenarios": dict(sorted(kinds.items())), "notes": notes}


def _plan(row: dict[str, Any], road: tuple[RoadMap, LaneGraph] | None, file: RouteFile, spec: RouteSpec, snap: bool) -> str:
    """Plan the route and put what came of it into its ``row``; why it cannot be planned, "" where it can."""
    assert road is not None, "a map, or why there is none"
    try:
        planned = plan_routes(road[0], file, (spec.name,), snap, road[1])
    except RouteError as error:
        return str(error)
    row["route_m"] = planned.routes[0].length_m
    row["notes"] += planned.sentences()
    row["notes"] += [f"scenario {one.scenario.name} lies off the route and is not played" for one in asked_scenarios(planned.routes[0])
                     if one.status == OFF]
    return ""
