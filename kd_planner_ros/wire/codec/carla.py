"""Ground truth as CARLA's ROS bridge sends it: objects and traffic lights, in ``map`` axes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState

KINDS = {4: ActorKind.PEDESTRIAN, 5: ActorKind.BICYCLE, 6: ActorKind.CAR, 7: ActorKind.TRUCK, 8: ActorKind.MOTORCYCLE,
         9: ActorKind.CAR, 10: ActorKind.STATIC}
"""derived_object_msgs/Object's classification; signs and what is unknown are left out."""


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


def _yaw(q: Any) -> float:
    return math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))
