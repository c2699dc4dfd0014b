"""Reads route files of CARLA's leaderboard: 1.0 (``<waypoint>``), 2.0 and Bench2Drive (``<waypoints>``, ``<weathers>``, ``<scenarios>``).

A file is judged route by route: what is wrong with one route leaves that one out, with its reason.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import KdPlannerError, RouteError
from kd_planner_ros.core.route import RouteScenario
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.towns import town_of

WEATHER_FIELDS = {"cloudiness": "cloudiness", "precipitation": "precipitation", "precipitation_deposits": "puddles",
                  "wind_intensity": "wind", "sun_azimuth_angle": "sun_azimuth_deg", "sun_altitude_angle": "sun_altitude_deg",
                  "fog_density": "fog_density", "fog_distance": "fog_distance", "wetness": "wetness"}
"""CARLA's names of the weather's numbers, and ours."""
PER_CENT = ("cloudiness", "precipitation", "precipitation_deposits", "wind_intensity", "fog_density", "wetness", "route_percentage")
READ = ("waypoint", "waypoints", "weather", "weathers", "scenarios")
LARGEST_M, LARGEST_BYTES = 1e6, 64 * 2**20


@dataclass(frozen=True)
class RouteSpec:
    """A route as its file has it: ``key_points`` [K, 3] are x, y (``map``, metres) and yaw (radians,
    counter-clockwise). ``weathers`` and ``scenarios`` as in ``core.route.Route``; ``unread`` names what else the file says."""

    name: str
    town: str
    key_points: np.ndarray
    weathers: tuple[tuple[float, Weather], ...] = ()
    scenarios: tuple[RouteScenario, ...] | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A route that is not driven, and why. ``town`` is set where the route belongs to another town than the map."""

    name: str
    reason: str
    town: str = ""


@dataclass(frozen=True)
class RouteFile:
    """The routes of one file, in its order, and those that cannot be read."""

    path: Path
    routes: tuple[RouteSpec, ...]
    left_out: tuple[LeftOut, ...] = field(default=())


def read_route_file(path: Path | str) -> RouteFile:
    """The routes of a leaderboard XML file; CARLA's (x, y, yaw) become (x, -y, -yaw) in ``map``.

    Raises:
        RouteError: the file is missing, no XML, has no routes, or none that can be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise RouteError(f"a route file of at most {LARGEST_BYTES >> 20} MiB at {path}", "a larger one", "use a leaderboard route file")
        root = ElementTree.fromstring(content)
    except OSError as error:
        raise RouteError(f"a route file at {path}", error.strerror or "no file", "check the path") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise RouteError(f"XML in {path}", str(error), "restore the route file") from None
    routes: dict[str, RouteSpec] = {}
    failed: list[tuple[str, KdPlannerError]] = []
    for number, node in enumerate(root.iter("route")):
        name = (node.get("id") or "").strip()
        try:
            if name in routes:
                raise RouteError(f"one route {name} in {path}", "a second one with this id", "give it another id")
            routes[name] = _read_one(path, name, node)
        except RouteError as error:
            failed.append((name or f"number {number + 1}", error))
    if not routes and not failed:
        raise RouteError(f"<route> elements in {path}", f"<{root.tag}> without any", "use a leaderboard route file")
    if not routes:
        raise failed[0][1]
    return RouteFile(path, tuple(routes.values()), tuple(LeftOut(name, str(error)) for name, error in failed))


def of_another_town(spec: RouteSpec, map_name: str) -> str:
    """The town of ``spec`` where it is one of CARLA's and the map called ``map_name`` shows another of them or a generated town; else "":
    a map file of any other name may be a copy of the town."""
    town, shown = town_of(spec.town), town_of(map_name)
    known = re.fullmatch(r"Town\d+|default|generated.*", shown)
    return town if town != shown and known and re.fullmatch(r"Town\d+", town) else ""


def _read_one(path: Path, name: str, node: ElementTree.Element) -> RouteSpec:
    if not name:
        raise RouteError(f"an id on every <route> in {path}", "a route without one", "add id=\"...\"")
    places = node.findall("waypoints/position") or node.findall("waypoint")
    if len(places) < 2:
        raise RouteError(f"two waypoints or more in route {name} of {path}", str(len(places)), "add waypoints")
    points = [_place(way, f"the waypoints of route {name} in {path}") for way in places]
    for row, way in enumerate(places):
        if way.get("yaw") is None:  # 2.0 gives none: towards the next key point
            (x0, y0, _), (x1, y1, _) = points[min(row, len(points) - 2)], points[min(row, len(points) - 2) + 1]
            points[row] = points[row][0], points[row][1], math.atan2(y1 - y0, x1 - x0)
    weathers = tuple(_weather(way, f"the weathers of route {name} in {path}")
                     for way in [*node.findall("weathers/weather"), *node.findall("weather")])
    listed = node.find("scenarios")
    scenarios = None if listed is None else tuple(
        _scenario(one, number, f"scenario {number} of route {name} in {path}") for number, one in enumerate(listed.findall("scenario")))
    unread = [child.tag for child in node if child.tag not in READ]
    unread += [key for way in node.iter("weather") for key in way.attrib if key not in (*WEATHER_FIELDS, "route_percentage")]
    return RouteSpec(name, node.get("town", ""), np.array(points), weathers, scenarios, tuple(dict.fromkeys(unread)))


def _numbers(node: ElementTree.Element, names: tuple[str, ...], where: str) -> list[float]:
    """The attributes ``names`` as finite numbers; those that are missing are 0."""
    values = []
    for name in names:
        text = node.get(name) or "0"
        try:
            value = float(text)
        except ValueError:
            raise RouteError(f"a number as {name} in {where}", repr(text), "correct the file") from None
        if not math.isfinite(value):
            raise RouteError(f"finite numbers in {where}", f"{name} {text}", "correct the file")
        values.append(value)
    return values


def _place(node: ElementTree.Element, where: str) -> tuple[float, float, float]:
    """x, y, yaw in ``map``."""
    if node.get("x") is None or node.get("y") is None:
        raise RouteError(f"x and y in {where}", str(node.attrib), "correct the file")
    x, y, yaw = _numbers(node, ("x", "y", "yaw"), where)
    if max(abs(x), abs(y)) > LARGEST_M:
        raise RouteError(f"places within {LARGEST_M:.0f} m of the origin in {where}", str(node.attrib), "correct the file")
    return x, -y, math.remainder(-math.radians(yaw), 2.0 * math.pi)


def _weather(node: ElementTree.Element, where: str) -> tuple[float, Weather]:
    """Share of the route and the weather there. CARLA's own default of every number that is missing is 0."""
    numbers = dict(zip(WEATHER_FIELDS, _numbers(node, tuple(WEATHER_FIELDS), where), strict=True))
    percentage, = _numbers(node, ("route_percentage",), where)
    for name in PER_CENT:
        if not 0.0 <= (value := {**numbers, "route_percentage": percentage}[name]) <= 100.0:
            raise RouteError(f"{name} from 0 to 100 in {where}", f"{value:g}", "correct the file")
    if abs(numbers["sun_altitude_angle"]) > 90.0:
        raise RouteError(f"sun_altitude_angle from -90 to 90 in {where}", f"{numbers['sun_altitude_angle']:g}", "correct the file")
    return percentage / 100.0, Weather(name="Route", **{WEATHER_FIELDS[name]: value for name, value in numbers.items()})


def _scenario(node: ElementTree.Element, number: int, where: str) -> RouteScenario:
    kind = (node.get("type") or "").strip()
    if not kind:
        raise RouteError(f"a type in {where}", str(node.attrib), "correct the file")
    trigger = node.find("trigger_point")
    x, y = (math.nan, math.nan) if trigger is None else _place(trigger, where)[:2]
    settings = tuple((child.tag, " ".join(f"{key}={value}" for key, value in child.attrib.items()).removeprefix("value="))
                     for child in node if child.tag != "trigger_point")
    return RouteScenario(node.get("name") or f"{kind}_{number}", kind, x, y, settings)
