"""From the world node's parameters to a started world."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.specs.world import WorldParams

if TYPE_CHECKING:
    from kd_planner_ros.world.routes import RouteSpec

DEFAULT_ROUTES = 10
MOST_ROUTES = 1000
"""Default routes are drawn one after the other: the last of a thousand takes seconds."""


def choose_route(road: RoadMap, choice: str) -> Route:
    """The route that ``choice`` names: a number (of the default routes the evaluation drives too), FILE, or FILE:ID.

    Raises:
        RouteError: no such file, no such route in it, or one that does not lie on the map.
    """
    from kd_planner_ros.evaluation.drives import EVALUATION_ROUTE_SEED
    from kd_planner_ros.world.routes import default_routes, plan_route

    if choice.isdecimal():
        number = _number(choice)
        try:
            return default_routes(road, EVALUATION_ROUTE_SEED, max(DEFAULT_ROUTES, number + 1))[number]
        except RouteError as error:
            raise RouteError(f"a default route number {number} on {road.name}", f"{error.got} of {number + 1} that must be drawn for it",
                             "give a smaller number with --route, a route file, or a larger map") from None
    return plan_route(road, _spec(choice))


def _number(choice: str) -> int:
    if int(choice) >= MOST_ROUTES:
        raise RouteError(f"the number of a default route from 0 to {MOST_ROUTES - 1}", choice, "correct --route")
    return int(choice)


def _spec(choice: str) -> RouteSpec:
    from kd_planner_ros.world.routes import read_routes

    file, _, name = choice.rpartition(":") if not Path(choice).is_file() else (choice, "", "")
    specs = read_routes(Path(file or choice))
    for spec in specs:
        if name in ("", spec.name):
            return spec
    raise RouteError(f"a route out of {', '.join(spec.name for spec in specs)} in {file}", repr(name),
                     "correct the id after the colon")


def check_world(params: WorldParams) -> None:
    """Refuse in a moment what ``make_world`` would refuse once the map is loaded; only a route off the map is found later. The map is
    loaded for stations of the user's own alone: they must stand on it.

    Raises:
        MapError, RouteError, ConfigError: what cannot be used.
    """
    from kd_planner_ros.evaluation.drives import choose_weathers
    from kd_planner_ros.world.maps import check_map, load_map
    from kd_planner_ros.world.roadside import read_stations

    choose_weathers(params.weather)
    check_map(params.map)
    if params.stations:
        read_stations(params.stations, load_map(params.map))
    (_number if params.route.isdecimal() else _spec)(params.route)


def make_world(params: WorldParams, rig: SensorRig) -> tuple[Any, Route, SceneState, Weather]:
    """A started world, its route, its first scene and the weather.

    Raises:
        MapError, RouteError, ConfigError: what cannot be used.
    """
    from kd_planner_ros.evaluation.drives import choose_weathers
    from kd_planner_ros.world.maps import load_map
    from kd_planner_ros.world.simulation import World

    weather = choose_weathers(params.weather)[0]
    road = load_map(params.map, params.stations)
    route = choose_route(road, params.route)
    world = World(road, rig, vehicles=params.vehicles, walkers=params.walkers, scenarios=params.scenarios)
    return world, route, world.start(route, params.seed, weather), weather
