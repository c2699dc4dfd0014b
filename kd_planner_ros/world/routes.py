"""Routes: read from the benchmark's XML files, planned over lanes, or drawn from a seed."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.world.lane_graph import LaneGraph, LanePoint, Leg
from kd_planner_ros.world.route_shape import lay_route

OFF_MAP_M = 60.0  # CARLA projects from any distance, and Short's made-up waypoints lie up to 58 m from a lane
SLACK_M, WIDE_SLACK_M = 4.0, 12.0  # other lanes tried beside the nearest one; the wide one where those lead nowhere
SLACK_COST = 20.0  # metres of driving that one metre farther from the key point is worth


@dataclass(frozen=True)
class RouteSpec:
    """A route as its file has it: ``key_points`` [K, 3] are x, y (``map``, metres) and yaw (radians,
    counter-clockwise)."""

    name: str
    town: str
    key_points: np.ndarray


def read_routes(path: Path | str) -> list[RouteSpec]:
    """The routes of a leaderboard XML file, in its order; CARLA's (x, y, yaw) become (x, -y, -yaw) in ``map``.

    Raises:
        RouteError: the file is missing, no XML, has no routes, or a route lacks its id or two waypoints.
    """
    path = Path(path)
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise RouteError(f"a route file at {path}", error.strerror or "no file", "check the path") from None
    except ElementTree.ParseError as error:
        raise RouteError(f"XML in {path}", str(error), "restore the route file") from None
    specs = [_read_one(path, node) for node in root.iter("route")]
    if not specs:
        raise RouteError(f"<route> elements in {path}", "none", "use a leaderboard route file")
    return specs


def _read_one(path: Path, node: ElementTree.Element) -> RouteSpec:
    name = node.get("id")
    if name is None:
        raise RouteError(f"an id on every <route> in {path}", "a route without one", "add id=\"...\"")
    points = []
    for way in node.findall("waypoint"):
        try:
            x, y, yaw = float(way.get("x", "")), float(way.get("y", "")), float(way.get("yaw") or 0.0)
        except ValueError:
            raise RouteError(f"numbers in the waypoints of route {name} in {path}", str(way.attrib),
                             "correct the file") from None
        if not all(map(math.isfinite, (x, y, yaw))):
            raise RouteError(f"finite waypoints in route {name} of {path}", str(way.attrib), "correct the file")
        points.append((x, -y, math.remainder(-math.radians(yaw), 2.0 * math.pi)))
    if len(points) < 2:
        raise RouteError(f"two waypoints or more in route {name} of {path}", str(len(points)), "add waypoints")
    return RouteSpec(name, node.get("town", ""), np.array(points))


def plan_route(road: RoadMap, spec: RouteSpec, graph: LaneGraph | None = None) -> Route:
    """The dense plan through the key points of ``spec``, 1 m apart, along lanes as CARLA's planner does it.

    Every key point goes to its nearest lane, or to one up to 4 m farther where the nearest leads a long way round
    (files give made-up yaws and goals, so yaw is not used). ``graph`` may hand in the searched graph of ``road``.

    Raises:
        RouteError: the route is for another of CARLA's towns, a key point is more than 60 m from every lane, or no way
            leads from one key point to the next.
    """
    graph = graph or LaneGraph(road)
    if spec.town != road.name and all(re.fullmatch(r"Town\d+(HD)?", name) for name in (spec.town, road.name)):
        raise RouteError(f"the map {spec.town} for route {spec.name}", road.name,
                         f"load {spec.town}, or choose routes of {road.name}")
    ways: list[tuple[float, LanePoint, list[Leg]]] = []
    for row, (x, y, _) in enumerate(spec.key_points):
        places = graph.near(x, y, SLACK_M)
        if places[0].distance_m > OFF_MAP_M:
            raise RouteError(f"key point {row} of route {spec.name} on the roads of {road.name}",
                             f"({x:.1f}, {y:.1f}), {places[0].distance_m:.1f} m from the nearest lane",
                             "use the map that the route was made for")
        extra = [SLACK_COST * (place.distance_m - places[0].distance_m) for place in places]
        if row == 0:
            ways = [(cost, place, []) for cost, place in zip(extra, places, strict=True)]
            continue
        before, ways = ways, _onward(graph, ways, places, extra)
        if not ways:
            places = graph.near(x, y, WIDE_SLACK_M)
            ways = _onward(graph, before, places, [SLACK_COST * (p.distance_m - places[0].distance_m) for p in places])
        if not ways:
            raise RouteError(f"a road connection to key point {row} of route {spec.name} on {road.name}", "no connected lanes",
                             "use the map that the route was made for")
    legs = min(ways, key=lambda way: way[0])[2]
    points, yaws, commands = lay_route(graph, legs)
    if len(points) < 3:
        raise RouteError(f"route {spec.name} to lead somewhere", "equal start and goal",
                         "move its waypoints")
    return Route(spec.name, spec.town or road.name, points, yaws, commands, spec.key_points[:, :2].copy())


def _onward(graph: LaneGraph, ways: list, places: list[LanePoint], extra: list[float]) -> list:
    """Extends the cheapest ways to each of ``places``. Searching from each way apart keeps their pasts apart."""
    best: dict[int, tuple[float, LanePoint, list[Leg]]] = {}
    for cost, place, past in ways:
        for row, (total, legs) in graph.search([(cost, place)], places).items():
            total += extra[row]
            if row not in best or total < best[row][0]:
                best[row] = (total, places[row], past + legs)
    return [best[row] for row in sorted(best)]


def default_routes(road: RoadMap, seed: int, count: int, min_m: float = 150.0, max_m: float = 450.0) -> list[Route]:
    """``count`` routes drawn from ``seed``, each with at least one junction; the same seed gives the same routes.

    Raises:
        RouteError: the map is too small for routes of that length, or the lengths are out of order.
    """
    if not 0.0 <= min_m <= max_m:
        raise RouteError("routes of at least min-m and at most max-m metres, 0 <= min-m <= max-m",
                         f"min-m {min_m:g} and max-m {max_m:g}", "give --min-m and --max-m in order")
    rng = np.random.default_rng([seed, 0x726F757465])
    graph = LaneGraph(road)
    starts = sorted(name for name, lane in graph.lanes.items() if not lane.junction and graph.lengths[name] > 30.0)
    routes: list[Route] = []
    for _ in range(60 * count):
        if len(routes) == count or not starts:
            break
        spec = _wander(graph, starts, rng, rng.uniform(min_m, max_m), f"{seed}-{len(routes)}", road.name)
        if spec is None:
            continue
        route = plan_route(road, spec, graph)
        if min_m <= route.length_m <= max_m and np.isin(route.commands, (1, 2, 3)).any():
            routes.append(route)
    if len(routes) < count:
        raise RouteError(f"{count} routes of {min_m:.0f} to {max_m:.0f} m on {road.name}", f"{len(routes)} found",
                         "ask for fewer or shorter routes, or use a larger map")
    return routes


def _wander(graph: LaneGraph, starts: list[str], rng: np.random.Generator, wanted_m: float, name: str,
            town: str) -> RouteSpec | None:
    """A random walk over lanes that never enters a street twice, as key points in the middle of its streets."""
    lane = starts[rng.integers(len(starts))]
    arc = float(rng.uniform(0.1, 0.5)) * graph.lengths[lane]
    stations, driven, seen = [(lane, arc)], -arc, set()
    while driven + graph.lengths[lane] < wanted_m:
        driven += graph.lengths[lane]
        seen.add(graph.lanes[lane].edge)
        onward = [s for s in graph.successors[lane] if graph.lanes[s].edge not in seen and graph.lanes[s].turn != "t"]
        if not onward:
            return None
        lane = onward[rng.integers(len(onward))]
        if not graph.lanes[lane].junction:
            stations.append((lane, 0.5 * graph.lengths[lane]))
    if graph.lanes[lane].junction:
        return None
    stations[-1:] = [(lane, wanted_m - driven)] if len(stations) > 1 else [stations[0], (lane, wanted_m - driven)]
    points = [_place(graph, *station) for station in stations]
    return RouteSpec(name, town, np.array(points))


def _place(graph: LaneGraph, lane: str, arc_m: float) -> tuple[float, float, float]:
    arcs, centre = graph.arcs[lane], graph.lanes[lane].centre
    row = int(np.clip(np.searchsorted(arcs, arc_m), 1, len(arcs) - 1))
    step = centre[row] - centre[row - 1]
    return (float(np.interp(arc_m, arcs, centre[:, 0])), float(np.interp(arc_m, arcs, centre[:, 1])),
            math.atan2(step[1], step[0]))
