"""What a graph that hears roadside stations needs beside its nodes: keys, the stations' place, and sensors of theirs in the world."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import RoadsideWish, SensorRig, Station
from kd_planner_ros.core.stations import read_stations_file
from kd_planner_ros.ros.messages import find_type
from kd_planner_ros.ros.pose_text import pose_text
from kd_planner_ros.ros.specs.v2x_station import BRIDGE_OBJECTS
from kd_planner_ros.wire.codec.carla import OBJECTS

STATIONS_HEARD = 2
EARLY_S, KEPT_S = 3_600.0, 30 * 86_400.0
"""Keys for one drive hold from an hour before it for a month."""


@dataclass(frozen=True)
class Roadside:
    """What follows from the argument ``v2x``.

    Attributes:
        asked: the launch arguments, with ``v2x_allowed``, ``v2x_private``, ``v2x_stations``, ``v2x_run_dir`` and ``v2x_bridge_objects``
            (the topic of CARLA's road users; "": nobody tells them) for the nodes.
        stations: those for CARLA to spawn; the built-in world has its own.
        heard: whether there is a gateway.
    """

    asked: Mapping[str, Any]
    stations: tuple[Station, ...] = ()
    heard: bool = field(default=False)

    def asked_with(self, rig: SensorRig) -> Mapping[str, Any]:
        """``asked``, with the first LiDAR of ``rig`` for the gateway where there is one: ``v2x_lidar`` and ``v2x_lidar_pose``."""
        if not (self.heard and rig.lidars):
            return self.asked
        return {**self.asked, "v2x_lidar": rig.lidars[0].id, "v2x_lidar_pose": pose_text(rig.lidars[0].pose)}

    def rig(self, rig: SensorRig) -> SensorRig:
        """``rig``, with views and object lists of the nearest stations where they are heard."""
        if not self.heard:
            return rig
        wish = rig.roadside or RoadsideWish()
        return replace(rig, roadside=replace(wish, views=max(wish.views, STATIONS_HEARD), objects=True))


def prepare_roadside(asked: Mapping[str, Any], world: str, map_name: str, stations: str, run_dir: str, folder: Path) -> Roadside:
    """What the graph of ``world`` (builtin, carla, none) needs to hear roadside stations. Without keys of the user's own, stations of the
    built-in world's map get new ones in ``folder``, for this drive alone.

    Raises:
        ConfigError: no stations file or no keys where the world is not the built-in one, or what cannot be used.
    """
    if asked.get("v2x") != "true":
        if given := [name for name in ("v2x_keys", "v2x_stations") if asked.get(name)]:
            raise ConfigError(f"{', '.join(given)} with v2x alone", "v2x false", "give v2x, or leave it out")
        return Roadside(asked)
    file, keys = asked.get("v2x_stations") or "", asked.get("v2x_keys") or ""
    if world != "builtin" and not (file and keys):
        raise ConfigError(f"v2x_stations and v2x_keys with v2x and world {world}", f"v2x_stations {file!r}, v2x_keys {keys!r}",
                          "write a stations file and make keys with 'kd-planner v2x keys'")
    known = read_stations_file(file) if file else ()
    parts = _own_keys(Path(keys).absolute()) if keys else _new_keys(known or _of_map(map_name, stations), folder)
    place = {"v2x_allowed": str(parts / "allowed"), "v2x_private": str(parts / "private"), "v2x_run_dir": run_dir,
             "v2x_stations": str(Path(file).absolute()) if file else ""}
    place["v2x_bridge_objects"] = BRIDGE_OBJECTS if world == "carla" and find_type(OBJECTS) is not None else ""
    return Roadside({**asked, **place}, known if world == "carla" else (), True)


def carla_notes(roadside: Roadside) -> list[str]:
    """What a user of CARLA is told before the graph starts."""
    if not roadside.heard or roadside.asked["v2x_bridge_objects"]:
        return []
    return ["roadside stations send pictures alone: derived_object_msgs, in which CARLA's bridge tells the road users, is not installed; "
            "source the workspace of the bridge"]


def _own_keys(folder: Path) -> Path:
    if not (folder / "allowed").is_dir():
        raise ConfigError(f"a folder 'allowed' in v2x_keys {folder}", "none", "make it with 'kd-planner v2x keys'")
    return folder


def _of_map(name: str, file: str) -> tuple[Station, ...]:
    from kd_planner_ros.world.maps import load_map

    found = load_map(name, file).stations
    if not found:
        raise ConfigError(f"roadside stations on map {name}", "none", "give a stations file, or leave v2x out")
    return found


def _new_keys(stations: tuple[Station, ...], folder: Path) -> Path:
    from kd_planner_ros.v2x.key_files import make_keys

    now_s = time.time()
    make_keys(folder / "v2x_keys", stations, now_s - EARLY_S, now_s + KEPT_S)
    return folder / "v2x_keys"
