"""Finds a map by what the user calls it: the default town, a town from a seed, a SUMO network or an OpenDRIVE file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.world.netfile import read_net
from kd_planner_ros.world.roadside import place_stations, read_stations
from kd_planner_ros.world.sumo_tools import cached_file, run_tool
from kd_planner_ros.world.town import town_file

DEFAULT_SEED = 5


def check_map(spec: str) -> None:
    """Refuse at once what ``load_map`` could not find; a broken file shows only when it is read.

    Raises:
        MapError: the file is missing, the seed no number, or the kind unknown.
    """
    if spec == "default":
        return
    if spec.startswith("generated:"):
        _seed(spec)
    elif not spec.endswith((".xodr", ".net.xml")):
        raise MapError("'default', 'generated:SEED', or a path ending in .net.xml or .xodr", repr(spec),
                       "name the map by its file, for example maps/Town05.net.xml")
    elif not Path(spec).expanduser().is_file():
        raise MapError(f"a map at {spec}", "no such file", "check the path")


def load_map(spec: str, stations: str = "") -> RoadMap:
    """The road network called ``spec``, with its roadside stations.

    Args:
        spec: ``default`` (the generated town everyone sees first), ``generated:SEED``, or the path of a SUMO
            ``.net.xml`` or an OpenDRIVE ``.xodr`` file.
        stations: a stations file (YAML or JSON); without one a station stands at each busy junction
            (``world/roadside.py``), in the same places whenever the map is loaded.

    Raises:
        MapError: the file is missing or broken, the seed no number, or the kind unknown.
        ConfigError: the stations file cannot be used, or a station stands outside the map.
    """
    road = _load(str(spec))
    return replace(road, stations=read_stations(stations, road) if stations else place_stations(road))


def _load(spec: str) -> RoadMap:
    check_map(spec)
    if spec == "default":
        return read_net(town_file(DEFAULT_SEED), "default")
    if spec.startswith("generated:"):
        return read_net(town_file(_seed(spec)), spec)
    path = Path(spec).expanduser()
    if spec.endswith(".xodr"):
        return read_net(_convert(path), path.stem)
    return read_net(path, path.name.removesuffix(".net.xml"))


def _seed(spec: str) -> int:
    text = spec.split(":", 1)[1]
    if not text.isdecimal():
        raise MapError("generated:SEED with a whole number from 0", repr(spec), "write for example generated:7")
    return int(text)


def _convert(path: Path) -> Path:
    """The SUMO network made from an OpenDRIVE file, kept by the file's content."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MapError(f"an OpenDRIVE file at {path}", error.strerror or "no file", "check the path") from None
    return cached_file(b"xodr 1" + content, ".net.xml", lambda target: run_tool(
        "netconvert", "--opendrive-files", str(path.resolve()), "-o", str(target),
        "--no-turnarounds.except-deadend", "true", "--geometry.min-radius.fix", "false",
        "--opendrive.internal-shapes", "true"))
