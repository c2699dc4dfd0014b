"""Finds a map by what the user calls it: the default town, a town from a seed, a SUMO network or an OpenDRIVE file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.towns import MAP_ENDINGS, OPENDRIVE_ENDINGS, without_ending
from kd_planner_ros.world.map_files import check_content, opendrive_net, plain_net
from kd_planner_ros.world.netfile import read_net
from kd_planner_ros.world.roadside import place_stations, read_stations
from kd_planner_ros.world.town import town_file

DEFAULT_SEED = 5


def check_map(spec: str) -> None:
    """Refuse in a moment what ``load_map`` could not find or must not drive; nothing is converted.

    Raises:
        MapError: the file is missing, no map file of its kind, or has left-hand traffic; the seed is no number, or the kind unknown.
    """
    _require_known(spec)
    if spec.endswith(MAP_ENDINGS):
        check_content(Path(spec).expanduser(), opendrive=spec.endswith(OPENDRIVE_ENDINGS))


def _require_known(spec: str) -> None:
    if spec == "default":
        return
    if spec.startswith("generated:"):
        _seed(spec)
    elif not spec.endswith(MAP_ENDINGS):
        raise MapError(f"'default', 'generated:SEED', or a path ending in {', '.join(MAP_ENDINGS)}", repr(spec),
                       "name the map by its file, for example maps/Town05.net.xml")
    elif not Path(spec).expanduser().is_file():
        raise MapError(f"a map at {spec}", "no such file", "check the path")


def load_map(spec: str, stations: str = "") -> RoadMap:
    """The road network called ``spec``, with its roadside stations.

    Args:
        spec: ``default`` (the generated town everyone sees first), ``generated:SEED``, or the path of a SUMO
            ``.net.xml`` or an OpenDRIVE ``.xodr`` file, each also with ``.gz``.
        stations: a stations file (YAML or JSON); without one a station stands at each busy junction
            (``world/roadside.py``), in the same places whenever the map is loaded.

    Raises:
        MapError: the file is missing or broken, has left-hand traffic, the seed is no number, or the kind unknown.
        ConfigError: the stations file cannot be used, or a station stands outside the map.
    """
    road = _load(str(spec))
    return replace(road, stations=read_stations(stations, road) if stations else place_stations(road))


def _load(spec: str) -> RoadMap:
    _require_known(spec)
    if spec == "default":
        return read_net(town_file(DEFAULT_SEED), "default")
    if spec.startswith("generated:"):
        return read_net(town_file(_seed(spec)), spec)
    path = Path(spec).expanduser()
    file = opendrive_net(path) if spec.endswith(OPENDRIVE_ENDINGS) else plain_net(path)
    return read_net(file, without_ending(path.name), path)


def _seed(spec: str) -> int:
    text = spec.split(":", 1)[1]
    if not text.isdecimal():
        raise MapError("generated:SEED with a whole number from 0", repr(spec), "write for example generated:7")
    return int(text)
