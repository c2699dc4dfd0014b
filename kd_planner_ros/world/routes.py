"""Routes: those of a file (``route_files.py``) planned over lanes, or drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.world.lane_graph import LaneGraph, LanePoint, Leg
from kd_planner_ros.world.route_files import LeftOut, RouteFile, RouteSpec, of_another_town
from kd_planner_ros.world.route_shape import lay_route

OFF_MAP_M = 60.0  # CARLA projects from any distance, and Short's made-up waypoints lie up to 58 m from a lane
BESIDE_LANE_M = 3.5  # a key point farther from every lane's centre than a lane is wide is reported
SLACK_M, WIDE_SLACK_M = 4.0, 12.0  # other lanes tried beside the nearest one; the wide one where those lead nowhere
SLACK_COST = 20.0  # metres of driving that one metre farther from the key point is worth


@dataclass(frozen=True)
class MovedPoint:
    """A key point that lies off every lane and was taken to the nearest one, ``distance_m`` away."""

    route: str
    row: int
    distance_m: float


@dataclass(frozen=True)
class PlannedRoutes:
    """The routes of a file that lead over a map, those that do not, and the key points that had to be moved."""

    file: Path
    map_name: str
    routes: tuple[Route, ...]
    left_out: tuple[LeftOut, ...]
    moved: tuple[MovedPoint, ...]

    def sentences(self) -> list[str]:
        """What a user should know before these routes are driven: one line for each town whose routes are left out, for each other
        route that is, and for the key points that were moved."""
        towns: dict[str, list[str]] = {}
        for one in self.left_out:
            if one.town:
                towns.setdefault(one.town, []).append(one.name)
        lines = [f"{self.file}: {len(names)} routes of {town} are left out on {self.map_name}: {', '.join(names)}"
                 for town, names in towns.items()]
        lines += [f"route {one.name} is left out: {one.reason}" for one in self.left_out if not one.town]
        if self.moved:
            far = max(self.moved, key=lambda point: point.distance_m)
            routes = len({point.route for point in self.moved})
            lines.append(f"{self.file}: {len(self.moved)} key points of {routes} routes were moved to the nearest lane, the farthest by "
                         f"{far.distance_m:.1f} m (route {far.route}, key point {far.row})")
        return lines


def plan_routes(road: RoadMap, file: RouteFile, ids: Collection[str] = (), snap: bool = False,
                graph: LaneGraph | None = None) -> PlannedRoutes:
    """Plan the routes of ``file`` over ``road``, each judged by itself: one that does not fit is left out with its reason.

    Args:
        ids: where given, only these routes; each of them must fit.
        snap: take key points to the nearest lane however far away it is.
        graph: that of ``road``, where the caller has one.

    Raises:
        RouteError: no route fits, or one of ``ids`` is not in the file or does not fit.
    """
    known = {one.name: one.reason for one in file.left_out} | dict.fromkeys((spec.name for spec in file.routes), "")
    if missing := [name for name in ids if name not in known]:
        raise RouteError(f"routes of {file.path}: {_some([*known])}", ", ".join(missing), "correct the ids")
    graph = graph or LaneGraph(road)
    planned: list[tuple[RouteSpec, Route]] = []
    left_out = [one for one in file.left_out if not ids]
    if broken := [known[name] for name in ids if known[name]]:
        raise RouteError(f"route {next(name for name in ids if known[name])} as it was asked for", broken[0],
                         "ask for other routes, or correct the file")
    for spec in file.routes:
        if ids and spec.name not in ids:
            continue
        try:
            planned.append((spec, plan_route(road, spec, graph, snap)))
        except RouteError as error:
            if ids or len(file.routes) + len(file.left_out) == 1:
                raise
            left_out.append(LeftOut(spec.name, str(error), of_another_town(spec, road.name)))
    if not planned:
        raise RouteError(f"a route of {file.path} that leads over {road.name}", f"none of {len(left_out)}; the first: {left_out[0].reason}",
                         "use the map that the routes were made for")
    moved = [MovedPoint(spec.name, row, distance) for spec, _ in planned
             for row, distance in enumerate(_off_lane(graph, spec)) if distance > BESIDE_LANE_M]
    return PlannedRoutes(file.path, road.name, tuple(route for _, route in planned), tuple(left_out), tuple(moved))


def _some(names: list[str], most: int = 20) -> str:
    """``names`` for a sentence: at most ``most`` of them."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _off_lane(graph: LaneGraph, spec: RouteSpec) -> list[float]:
    """Distance in metres of each key point from the centre of the nearest lane."""
    return [graph.near(x, y, 0.0)[0].distance_m for x, y, _ in spec.key_points.tolist()]


def plan_route(road: RoadMap, spec: RouteSpec, graph: LaneGraph | None = None, snap: bool = False) -> Route:
    """The dense plan through the key points of ``spec``, 1 m apart, along lanes as CARLA's planner does it.

    Every key point goes to its nearest lane, or to one up to 4 m farther where the nearest leads a long way round
    (files give made-up yaws and goals, so yaw is not used). ``graph`` may hand in the searched graph of ``road``; ``snap`` allows any
    distance.

    Raises:
        RouteError: the route is for another of CARLA's towns, a key point is more than 60 m from every lane (without ``snap``), or no
            way leads from one key point to the next.
    """
    graph = graph or LaneGraph(road)
    if of_another_town(spec, road.name):
        raise RouteError(f"the map {spec.town} for route {spec.name}", road.name,
                         f"load {spec.town}, or choose routes of {road.name}")
    ways: list[tuple[float, LanePoint, list[Leg]]] = []
    for row, (x, y, _) in enumerate(spec.key_points):
        places = graph.near(x, y, SLACK_M)
        if places[0].distance_m > OFF_MAP_M and not snap:
            raise RouteError(f"key point {row} of route {spec.name} on the roads of {road.name}",
                             f"({x:.1f}, {y:.1f}), {places[0].distance_m:.1f} m from the nearest lane",
                             "use the map that the route was made for, or --snap to take it to that lane all the same")
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
    return Route(spec.name, spec.town or road.name, points, yaws, commands, spec.key_points[:, :2].copy(), spec.weathers, spec.scenarios)


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
