"""The sensor file of carla_spawn_objects, made from a planner's rig, and read back by the built-in world.

One file tells CARLA and the built-in world what to mount, so a planner cannot be fed by sensors it did not declare.
Poses are in ROS convention, angles in DEGREES, as that file has them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, RoadsideWish, SensorRig, Station

CAMERA, LIDAR = "sensor.camera.rgb", "sensor.lidar.ray_cast"
PSEUDO = ("sensor.pseudo.odom", "sensor.pseudo.speedometer", "sensor.pseudo.tf")
ALWAYS = (*PSEUDO, "sensor.other.imu", "sensor.other.gnss")
"""Kinds that the built-in world sends whether or not a file names them."""
_PSEUDO_IDS = {"sensor.pseudo.odom": "odometry", "sensor.pseudo.speedometer": "speedometer", "sensor.pseudo.tf": "tf"}
_LIDAR_NAMES = {  # LidarSpec field -> CARLA attribute
    "channels": "channels", "range_m": "range", "rotation_hz": "rotation_frequency",
    "points_per_second": "points_per_second", "upper_fov_deg": "upper_fov", "lower_fov_deg": "lower_fov",
    "attenuation_per_m": "atmosphere_attenuation_rate", "dropoff_general": "dropoff_general_rate",
    "dropoff_intensity_limit": "dropoff_intensity_limit", "dropoff_zero_intensity": "dropoff_zero_intensity",
    "noise_m": "noise_stddev",
}
_OWN = "kd_planner_ros"
"""Our own part of the file, which carla_spawn_objects does not read: CARLA refuses attributes that it does not know. It
holds the seconds between two samples of each sensor; CARLA sends every tick (its sensor_tick skips frames, so it is 0)."""


def to_objects(rig: SensorRig, role_name: str, vehicle: str = "vehicle.tesla.model3", stations: Sequence[Station] = ()) -> dict[str, Any]:
    """The sensor file's content: the ego with every sensor of ``rig``, and for CARLA to spawn the cameras of ``stations``, with a sensor of
    all road users, out of which their object lists are cut. The built-in world takes its stations from the map; it reads here which views
    ``rig`` asks for."""
    mounted = [_camera(spec) for spec in rig.cameras] + [_lidar(spec) for spec in rig.lidars]
    mounted += [{"type": kind, "id": _PSEUDO_IDS[kind]} for kind in PSEUDO]
    mounted += [{"type": "sensor.other.imu", "id": "imu", "spawn_point": _spawn(Pose())},
                {"type": "sensor.other.gnss", "id": "gnss", "spawn_point": _spawn(Pose())}]
    roadside = [_camera(replace(spec, id=f"{one.id}/{spec.id}")) for one in stations for spec in one.cameras]
    roadside += [{"type": "sensor.pseudo.objects", "id": "objects"}] if stations else []
    own: dict[str, Any] = {"period_s": {spec.id: spec.period_s for spec in (*rig.cameras, *rig.lidars)}}
    if rig.roadside is not None:
        own["roadside"] = asdict(rig.roadside)
    return {"objects": [{"type": vehicle, "id": role_name, "sensors": mounted}, *roadside], _OWN: own}


def from_objects(data: dict[str, Any], role_name: str) -> SensorRig:
    """The rig in a sensor file's content. Sensors of kinds that the built-in world lacks are left out and reported; those of roadside
    stations are the map's business.

    Raises:
        ConfigError: no object of this role, or a sensor without a needed attribute.
    """
    with reading(ConfigError, "a sensor file of carla_spawn_objects", "make it with 'kd-planner models sensors' or see "
                 "docs/guides/use_with_carla.md"):
        objects = data["objects"]
        ego = next((one for one in objects if one["id"] == role_name and "sensors" in one), None)
        if ego is None:
            raise ConfigError(f"an object with id {role_name!r} in the sensor file",
                              ", ".join(one["id"] for one in objects) or "none",
                              "make it with 'kd-planner models sensors MODEL --role-name NAME'")
        periods = data.get(_OWN, {}).get("period_s", {})
        cameras, lidars = _sensors(ego["sensors"], periods)
        wish = data.get(_OWN, {}).get("roadside")
        return SensorRig(cameras, lidars, roadside=None if wish is None else RoadsideWish(**wish))


def write_objects(path: Path, rig: SensorRig, role_name: str, stations: Sequence[Station] = ()) -> None:
    """Write the sensor file of ``rig``, with the cameras of ``stations`` as its top-level sensors."""
    write_text(path, json.dumps(to_objects(rig, role_name, stations=stations), indent=2) + "\n")


def read_objects(path: Path, role_name: str) -> SensorRig:
    """The rig in the sensor file at ``path``.

    Raises:
        ConfigError: no such file, no JSON, or not a sensor file.
    """
    if not path.is_file():
        raise ConfigError("a sensor file", f"no file {path}", "correct objects_definition_file")
    with reading(ConfigError, f"JSON in {path}", "correct the file"):
        data = json.loads(path.read_text())
    return from_objects(data, role_name)


def _spawn(pose: Pose) -> dict[str, float]:
    return {"x": pose.x, "y": pose.y, "z": pose.z, "roll": math.degrees(pose.roll),
            "pitch": math.degrees(pose.pitch), "yaw": math.degrees(pose.yaw)}


def _pose(spawn: dict[str, Any]) -> Pose:
    x, y, z, yaw, pitch, roll = (float(spawn.get(key, 0.0)) for key in ("x", "y", "z", "yaw", "pitch", "roll"))
    return Pose(x, y, z, math.radians(yaw), math.radians(pitch), math.radians(roll))


def _camera(spec: CameraSpec) -> dict[str, Any]:
    return {"type": CAMERA, "id": spec.id, "spawn_point": _spawn(spec.pose), "image_size_x": spec.width,
            "image_size_y": spec.height, "fov": spec.fov_deg, "sensor_tick": 0.0}


def _lidar(spec: LidarSpec) -> dict[str, Any]:
    own = {name: getattr(spec, field) for field, name in _LIDAR_NAMES.items()}
    return {"type": LIDAR, "id": spec.id, "spawn_point": _spawn(spec.pose), **own, "sensor_tick": 0.0}


def _sensors(objects: list[dict[str, Any]],
             periods: dict[str, float]) -> tuple[tuple[CameraSpec, ...], tuple[LidarSpec, ...]]:
    period = next(field.default for field in fields(CameraSpec) if field.name == "period_s")
    cameras, lidars = [], []
    for one in objects:
        if one["type"] == CAMERA:
            cameras.append(CameraSpec(one["id"], _pose(one["spawn_point"]), int(one["image_size_x"]),
                                      int(one["image_size_y"]), float(one["fov"]),
                                      float(periods.get(one["id"], period))))
        elif one["type"] == LIDAR:
            own = {field: type(getattr(LidarSpec, field))(one[name])
                   for field, name in _LIDAR_NAMES.items() if name in one}
            lidars.append(LidarSpec(one["id"], _pose(one["spawn_point"]), **own,
                                    period_s=float(periods.get(one["id"], period))))
        elif one["type"] not in ALWAYS:
            report(f"sensor {one['id']} ({one['type']}) of the sensor file is left out: the built-in world has {CAMERA}, {LIDAR}, "
                   "imu and gnss")
    return tuple(cameras), tuple(lidars)
