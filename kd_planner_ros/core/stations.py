"""Roadside stations as plain data, and back: the content of a stations file and of the world's topic of stations."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.foreign import read_yaml
from kd_planner_ros.core.sensors import CameraSpec, Station

STATION_CAMERA_PERIOD_S = 0.1
_STATION_KEYS = ("id", "x", "y", "z", "yaw_deg", "range_m", "cameras")
_CAMERA_KEYS = ("id", "x", "y", "z", "yaw_deg", "pitch_deg", "roll_deg", "width", "height", "fov_deg", "period_s")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*$")


def stations_to_data(stations: Iterable[Station]) -> dict[str, Any]:
    """What a stations file holds: numbers and strings alone, poses in ``map``, angles in degrees."""
    return {"stations": [{**_pose_data(one.pose, ("yaw",)), "id": one.id, "range_m": one.range_m, "cameras": [
        {**_pose_data(camera.pose, ("yaw", "pitch", "roll")), "id": camera.id, "width": camera.width, "height": camera.height,
         "fov_deg": camera.fov_deg, "period_s": camera.period_s} for camera in one.cameras]} for one in stations]}


def read_stations_file(path: Path | str) -> tuple[Station, ...]:
    """The stations in the YAML or JSON file at ``path``.

    Raises:
        ConfigError: no such file, neither YAML nor JSON, or as ``stations_from_data``.
    """
    if not Path(path).is_file():
        raise ConfigError(f"a stations file at {path}", "a folder" if Path(path).is_dir() else "no such file", "check the path")
    return stations_from_data(read_yaml(Path(path), what="YAML or JSON"), str(path))


def stations_from_data(data: Any, source: str) -> tuple[Station, ...]:
    """The stations in a file's content. A camera's x, y and yaw_deg are the station's where it names none.

    Args:
        source: what errors call the content, for example the file's path.

    Raises:
        ConfigError: a key that is missing or unknown, a value of another type, two stations or two cameras of one id.
    """
    entries = data.get("stations") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        raise ConfigError(f"a list 'stations' in {source}", type(data).__name__ if entries is None else type(entries).__name__,
                          "see 'Stations file' in docs/ros.md")
    stations = tuple(_station(entry, f"{source}, station {number}") for number, entry in enumerate(entries))
    _require_distinct([one.id for one in stations], f"stations of different ids in {source}")
    return stations


def _station(entry: Any, where: str) -> Station:
    _check_keys(entry, _STATION_KEYS, ("id", "x", "y"), where)
    name = _identifier(entry["id"], where)
    where = f"{where.rsplit(' ', 1)[0]} '{name}'"
    place = _pose(entry, {}, where)
    cameras = entry.get("cameras", [])
    if not isinstance(cameras, list):
        raise ConfigError(f"a list 'cameras' in {where}", type(cameras).__name__, "correct it")
    specs = tuple(_camera(one, entry, f"{where}, camera {number}") for number, one in enumerate(cameras))
    _require_distinct([spec.id for spec in specs], f"cameras of different ids in {where}")
    return Station(name, place, specs, range_m=_number(entry, "range_m", 150.0, where, above=0.0))


def _camera(entry: Any, station: Mapping[str, Any], where: str) -> CameraSpec:
    _check_keys(entry, _CAMERA_KEYS, ("id", "z", "width", "height"), where)
    width, height = (_number(entry, name, 0.0, where, above=0.0) for name in ("width", "height"))
    if width % 1 or height % 1:
        raise ConfigError(f"whole numbers of pixels in {where}", f"{width:g} x {height:g}", "correct width and height")
    fov_deg = _number(entry, "fov_deg", 90.0, where, above=0.0)
    if fov_deg >= 180.0:
        raise ConfigError(f"fov_deg below 180 in {where}", f"{fov_deg:g}", "correct fov_deg")
    return CameraSpec(_identifier(entry["id"], where), _pose(entry, station, where), int(width), int(height), fov_deg,
                      _number(entry, "period_s", STATION_CAMERA_PERIOD_S, where, above=0.0))


def _pose(entry: Mapping[str, Any], default: Mapping[str, Any], where: str) -> Pose:
    x, y, yaw = (_number(entry, key, _number(default, key, 0.0, where), where) for key in ("x", "y", "yaw_deg"))
    z, pitch, roll = (_number(entry, key, 0.0, where) for key in ("z", "pitch_deg", "roll_deg"))
    return Pose(x, y, z, math.radians(yaw), math.radians(pitch), math.radians(roll))


def _pose_data(pose: Pose, angles: tuple[str, ...]) -> dict[str, float]:
    return {"x": pose.x, "y": pose.y, "z": pose.z, **{f"{name}_deg": math.degrees(getattr(pose, name)) for name in angles}}


def _number(entry: Mapping[str, Any], key: str, default: float, where: str, above: float = -math.inf) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= above:
        raise ConfigError(f"a number for '{key}' in {where}" + (f" above {above:g}" if math.isfinite(above) else ""), repr(value),
                          f"correct '{key}'")
    return float(value)


def _identifier(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise ConfigError(f"an id of letters, digits and _ in {where}", repr(value), "correct 'id': topics are named after it")
    return value


def _check_keys(entry: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"keys and values in {where}", type(entry).__name__, "correct it")
    if unknown := sorted(set(map(str, entry)) - set(known)):
        raise ConfigError(f"keys out of {', '.join(known)} in {where}", ", ".join(unknown), "correct the key")
    if missing := [key for key in needed if key not in entry]:
        raise ConfigError(f"{', '.join(needed)} in {where}", f"no {', '.join(missing)}", "add them")


def _require_distinct(names: list[str], expected: str) -> None:
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(expected, f"'{doubled[0]}' twice", "rename one")
