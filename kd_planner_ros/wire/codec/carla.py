"""Ground truth as CARLA's ROS bridge sends it: objects and traffic lights, in ``map`` axes, read and written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.wire.codec.base import Make, header, pose, vector

OBJECTS = "derived_object_msgs/msg/ObjectArray"
LIGHT_STATES, LIGHT_INFOS = "carla_msgs/msg/CarlaTrafficLightStatusList", "carla_msgs/msg/CarlaTrafficLightInfoList"
_TRACKED, _CERTAIN, _BOX = 1, 255, 1

KINDS = {4: ActorKind.PEDESTRIAN, 5: ActorKind.BICYCLE, 6: ActorKind.CAR, 7: ActorKind.TRUCK, 8: ActorKind.MOTORCYCLE,
         9: ActorKind.CAR, 10: ActorKind.STATIC}
"""derived_object_msgs/Object's classification; signs and what is unknown are left out."""

_CLASSES = {ActorKind.PEDESTRIAN: 4, ActorKind.BICYCLE: 5, ActorKind.CAR: 6, ActorKind.TRUCK: 7, ActorKind.BUS: 7, ActorKind.MOTORCYCLE: 8,
            ActorKind.STATIC: 10}


def actors_from_objects(objects: Iterable[Any]) -> np.ndarray:
    """ACTOR_DTYPE [N] of CARLA's objects (derived_object_msgs/Object, or anything with its fields), ``map`` axes.

    Signs and objects of unknown class are left out. Poses are the boxes' centres, as the bridge has them.
    """
    rows = []
    for one in objects:
        kind = KINDS.get(int(one.classification))
        if kind is None:
            continue
        p, v, size = one.pose.position, one.twist.linear, list(one.shape.dimensions)
        length, width, height = (size + [0.0, 0.0, 0.0])[:3]
        yaw = _yaw(one.pose.orientation)
        rows.append((int(one.id), kind, 0, p.x, p.y, p.z, yaw, length, width, height, v.x, v.y, 0))
    return np.array(rows, ACTOR_DTYPE)


def signals_from_lights(statuses: Iterable[Any], infos: Iterable[Any]) -> np.ndarray:
    """SIGNAL_DTYPE [S] of CARLA's lights: CarlaTrafficLightStatus (id, state) and CarlaTrafficLightInfo (id, transform,
    trigger_volume with centre and size relative to it). The stop line is the trigger volume's cross line."""
    states = {int(one.id): int(one.state) for one in statuses}
    rows = []
    for one in infos:
        p, yaw = one.transform.position, _yaw(one.transform.orientation)
        c, s = math.cos(yaw), math.sin(yaw)
        centre, half = one.trigger_volume.center, one.trigger_volume.size.y / 2.0
        x, y = p.x + c * centre.x - s * centre.y, p.y + s * centre.x + c * centre.y
        state = min(states.get(int(one.id), LightState.OFF), LightState.OFF)
        rows.append((int(one.id), state, p.x, p.y, p.z, yaw, x + s * half, y - c * half, x - s * half, y + c * half))
    return np.array(rows, SIGNAL_DTYPE)


def object_array(make: Make, actors: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """ACTOR_DTYPE [N] as derived_object_msgs/ObjectArray. The message has no bus (it is a truck there), no lights and no seed."""
    return make(OBJECTS, header=header(make, stamp_ns, frame), objects=[_object(make, row, stamp_ns, frame) for row in actors])


def _object(make: Make, row: np.void, stamp_ns: int, frame: str) -> Any:
    still = vector(make, 0.0, 0.0, 0.0)
    empty = make("geometry_msgs/msg/Polygon", points=[])
    shape = make("shape_msgs/msg/SolidPrimitive", type=_BOX, polygon=empty,
                 dimensions=np.array([row["length"], row["width"], row["height"]], float))
    return make("derived_object_msgs/msg/Object", header=header(make, stamp_ns, frame), id=int(row["id"]) & 0xFFFFFFFF,
                detection_level=_TRACKED, object_classified=True,
                pose=pose(make, Pose(float(row["x"]), float(row["y"]), float(row["z"]), float(row["yaw"]))),
                twist=make("geometry_msgs/msg/Twist", linear=vector(make, row["vx"], row["vy"], 0.0), angular=still),
                accel=make("geometry_msgs/msg/Accel", linear=still, angular=still), polygon=empty, shape=shape,
                classification=_CLASSES[ActorKind(int(row["kind"]))], classification_certainty=_CERTAIN, classification_age=0)


def light_states(make: Make, signals: np.ndarray, stamp_ns: int = 0, frame: str = "") -> Any:
    """The states of SIGNAL_DTYPE [S] as carla_msgs/CarlaTrafficLightStatusList, which has no header."""
    return make(LIGHT_STATES, traffic_lights=[
        make("carla_msgs/msg/CarlaTrafficLightStatus", id=int(row["id"]) & 0xFFFFFFFF, state=int(row["state"])) for row in signals])


def light_infos(make: Make, signals: np.ndarray, stamp_ns: int = 0, frame: str = "") -> Any:
    """The places of SIGNAL_DTYPE [S] as carla_msgs/CarlaTrafficLightInfoList; the trigger volume is a metre deep on the stop line."""
    return make(LIGHT_INFOS, traffic_lights=[_light_info(make, row) for row in signals])


def _light_info(make: Make, row: np.void) -> Any:
    x, y, z, yaw = (float(row[name]) for name in ("x", "y", "z", "yaw"))
    x0, y0, x1, y1 = (float(row[name]) for name in ("stop_x0", "stop_y0", "stop_x1", "stop_y1"))
    dx, dy, c, s = (x0 + x1) / 2.0 - x, (y0 + y1) / 2.0 - y, math.cos(yaw), math.sin(yaw)
    volume = make("carla_msgs/msg/CarlaBoundingBox", center=vector(make, c * dx + s * dy, c * dy - s * dx, -z),
                  size=vector(make, 1.0, math.hypot(x1 - x0, y1 - y0), 2.0))
    return make("carla_msgs/msg/CarlaTrafficLightInfo", id=int(row["id"]) & 0xFFFFFFFF, transform=pose(make, Pose(x, y, z, yaw)),
                trigger_volume=volume)


def _yaw(q: Any) -> float:
    return math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))
