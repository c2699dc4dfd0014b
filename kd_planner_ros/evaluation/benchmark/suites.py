"""A suite with its files: a map and its routes, or recordings; where the files are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.bags.source import find_sources
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.towns import map_file
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec
from kd_planner_ros.evaluation.seen_maps import recorded_parts
from kd_planner_ros.runtime.paths import SHARED

DRAWN = ("default", "hidden")
"""Routes that are drawn from a seed, in place of a route file."""


@dataclass(frozen=True)
class Suite:
    """``map`` and ``routes`` as ``evaluate closed-loop`` takes them, ``bags`` as ``evaluate open-loop`` and ``dense`` do;
    ``town`` names the map, or the maps with spaces between, that no model may have been trained on ("" where the routes alone are
    held out); those of its recordings come to it (``recorded_in``)."""

    name: str
    map: str
    routes: str
    town: str
    bags: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def find_suite(spec: BenchmarkSpec, name: str = "", maps_dir: Path | None = None, routes_dir: Path | None = None,
               recordings_dir: Path = Path("recordings")) -> Suite:
    """The suite ``name`` of ``spec`` (default: the first one) with its files.

    Raises:
        ConfigError: an unknown name, or a file that is not there: the error says which option to give.
    """
    name = name or next(iter(spec.suites))
    if name not in spec.suites:
        raise ConfigError(f"a suite out of {', '.join(spec.suites)}", repr(name), "correct --suite")
    found = spec.suites[name]
    if found.bags:
        bags = Path(recordings_dir) / found.bags
        if not bags.is_dir():
            raise ConfigError(f"recordings in {bags}", "no such folder", "give --recordings-dir with the folder above it")
        return Suite(name, "", "", found.held_out or "", str(bags), found.options)
    free_map = found.map == "default" or found.map.startswith("generated:")
    town = found.held_out if found.held_out is not None else "" if free_map else found.map
    rest = [one.name for one in spec.suites.values() if one.map == one.routes == "default"]
    free = f", or take --suite {rest[0]}, which needs no files" if rest else ""
    maps, files = Path(maps_dir or SHARED / "maps"), Path(routes_dir or SHARED / "routes")
    map_path = found.map if free_map else _require(map_file(maps, found.map), f"a map of {found.map}", maps, "--maps-dir", free)
    routes = found.routes if found.routes in DRAWN else _require(files / found.routes, found.routes, files, "--routes-dir", free)
    return Suite(name, map_path, routes, town, "", found.options)


def recorded_in(suite: Suite, role_name: str = "", camera: Sequence[str] = ()) -> set[tuple[str, str]]:
    """(town, part of a published split, "" where there is none) of the recordings of ``suite``; empty for a suite that drives, and where
    what lies there cannot be read as recordings, which the measurement then refuses. Recordings that do not name their map are told on
    stderr: whether a model was trained on those is not known."""
    if not suite.bags:
        return set()
    try:
        return recorded_parts(find_sources([Path(suite.bags)], role_name, camera), suite.bags)
    except BagError:
        return set()


def route_names(suite: Suite, count: int) -> list[str]:
    """Ids of the routes of a suite that drives; ``count`` is the number of routes that are drawn where it has no route file.

    Raises:
        RouteError, MapError: its files cannot be used.
    """
    from kd_planner_ros.evaluation.drives import EVALUATION_ROUTE_SEED
    from kd_planner_ros.world.hidden_routes import HIDDEN, hidden_routes
    from kd_planner_ros.world.maps import load_map
    from kd_planner_ros.world.route_files import read_route_file
    from kd_planner_ros.world.routes import default_routes

    if suite.routes not in DRAWN:
        file = read_route_file(suite.routes)
        return [one.name for one in (*file.routes, *file.left_out)]
    seed = suite.options.get("route_seed", EVALUATION_ROUTE_SEED)
    draw = hidden_routes if suite.routes == HIDDEN else default_routes
    return [route.name for route in draw(load_map(suite.map), seed, count)]


def _require(path: Path | None, what: str, place: Path, option: str, otherwise: str) -> str:
    if path is None or not path.is_file():
        raise ConfigError(f"{what} in {place}", "no such file", f"give {option} with its folder{otherwise}")
    return str(path)
