"""From the world node's parameters to a started world."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.towns import town_of
from kd_planner_ros.ros.specs.world import WorldParams

if TYPE_CHECKING:
    from kd_planner_ros.world.route_files import RouteFile
    from kd_planner_ros.world.routes import PlannedRoutes

DEFAULT_ROUTES = 10
MOST_ROUTES = 1000
"""Default routes are drawn one after the other: the last of a thousand takes seconds."""


def choose_route(road: RoadMap, choice: str, snap: bool = False) -> Route:
    """The route that ``choice`` names: a number (of the default routes the evaluation drives too), hidden or hidden:NUMBER (of its routes
    with a hidden hazard), FILE (its first route that lies on the map), or FILE:ID. Key points that had to be moved are reported; ``snap``
    allows any distance.

    Raises:
        RouteError: no such file, no such route in it, one that does not lie on the map, or a map without stations or places for hazards.
    """
    from kd_planner_ros.evaluation.drives import EVALUATION_ROUTE_SEED
    from kd_planner_ros.world.hidden_routes import hidden_routes
    from kd_planner_ros.world.routes import default_routes, plan_routes

    if (hidden := _hidden_number(choice)) is not None:
        return hidden_routes(road, EVALUATION_ROUTE_SEED, hidden + 1)[hidden]
    if _is_number(choice):
        number = _number(choice)
        try:
            return default_routes(road, EVALUATION_ROUTE_SEED, max(DEFAULT_ROUTES, number + 1))[number]
        except RouteError as error:
            raise RouteError(f"a default route number {number} on {road.name}", f"{error.got} of {number + 1} that must be drawn for it",
                             "give a smaller number with --route, a route file, or a larger map") from None
    file, name = _file_and_id(choice, road.name)
    planned = plan_routes(road, file, (name,), snap) if name else _first_planned(road, file, snap)
    for sentence in planned.sentences():
        report(sentence)
    return planned.routes[0]


def _is_number(choice: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", choice) is not None


def _hidden_number(choice: str) -> int | None:
    """N of ``hidden:N``, 0 of ``hidden``; None of any other route."""
    from kd_planner_ros.world.hidden_routes import HIDDEN

    name, colon, number = choice.partition(":")
    if name != HIDDEN:
        return None
    if not colon:
        return 0
    if not _is_number(number):
        raise RouteError(f"{HIDDEN}:NUMBER", choice, "correct --route")
    return _number(number)


def _number(choice: str) -> int:
    if not 0 <= int(choice) < MOST_ROUTES:
        raise RouteError(f"the number of a default route from 0 to {MOST_ROUTES - 1}", choice, "correct --route")
    return int(choice)


def _first_planned(road: RoadMap, file: RouteFile, snap: bool) -> PlannedRoutes:
    """The file's first route that leads over the map."""
    from kd_planner_ros.world.routes import plan_routes

    for number, spec in enumerate(file.routes):
        try:
            planned = plan_routes(road, file, (spec.name,), snap)
        except RouteError:
            continue
        if number:
            report(f"{file.path}: route {spec.name} is driven; the {number} before it do not lead over {road.name}")
        return planned
    return plan_routes(road, file, (), snap)  # tells that none does, and why


def _file_and_id(choice: str, map_name: str) -> tuple[RouteFile, str]:
    """The route file that ``choice`` names, and the id of the one route wanted of it; "" for its first.

    Raises:
        RouteError: no such file or route, or that route is for another of CARLA's towns than the map called ``map_name`` shows.
    """
    from kd_planner_ros.world.route_files import of_another_town, read_route_file

    path, _, name = choice.rpartition(":") if not Path(choice).is_file() else (choice, "", "")
    file = read_route_file(Path(path or choice))
    found = [spec for spec in file.routes if name in ("", spec.name)]
    if not found:
        raise RouteError(f"a route out of {', '.join(spec.name for spec in file.routes)} in {path}",
                         repr(name), "correct the id after the colon")
    towns = [of_another_town(spec, map_name) for spec in found]
    if all(towns):
        raise RouteError(f"the map {towns[0]} for " + (f"route {name} of {file.path}" if name else f"the routes of {file.path}"),
                         town_of(map_name), f"give --map of {towns[0]}, or a route of {town_of(map_name)}")
    return file, name


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
    if _is_number(params.route):
        _number(params.route)
    elif _hidden_number(params.route) is None:
        _file_and_id(params.route, params.map)


def loading_sentence(params: WorldParams) -> str:
    """What the world does before its first tick. Kernels are compiled where none is kept: that takes minutes on a busy machine."""
    from kd_planner_ros.world.render.jit import has_kernels

    return f"loading map {params.map}" + ("" if has_kernels() else ", and compiling the renderer, once")


def begin_sentence(params: WorldParams) -> str:
    """What begins, for the console and the diagnostics."""
    return f"driving: map {params.map}, route {params.route}, seed {params.seed}, planner {params.planner_name or 'not named'}"


def end_sentence(params: WorldParams, facts: Mapping[str, Any]) -> str:
    """What came of the drive with the facts of ``RouteMonitor.result``: outcome, scores and run folder."""
    from kd_planner_ros.evaluation.score import outcome, route_record

    record = route_record(facts, seed=params.seed)
    folder = f"run folder {Path(params.run_dir).resolve()}" if params.run_dir else "no run folder"
    return (f"finished: {outcome(record.status)}, route {record.score_route:.1f} %, driving score {record.score_composed:.1f}, "
            f"{len(facts['events'])} infractions; {folder}")


def make_world(params: WorldParams, rig: SensorRig) -> tuple[Any, Route, SceneState, Weather]:
    """A started world, its route, its first scene and the weather in it.

    Raises:
        MapError, RouteError, ConfigError: what cannot be used.
    """
    from kd_planner_ros.evaluation.drives import choose_weathers
    from kd_planner_ros.world.maps import load_map
    from kd_planner_ros.world.simulation import World

    choose_weathers(params.weather)
    road = load_map(params.map, params.stations)
    route = choose_route(road, params.route, params.snap)
    weather = choose_weathers(params.weather, route)[0]
    world = World(road, rig, vehicles=params.vehicles, walkers=params.walkers, scenarios=params.scenarios)
    scene = world.start(route, params.seed, weather)
    return world, route, scene, scene.weather
