"""ETSI's collective perception message (CPM, TS 103 324 v2.1.1) as etsi_its_cpm_ts_msgs has it, read as an object list.

The message knows nothing of ``map``: its objects lie east and north of its reference position, which for a roadside station is the foot of
the mast. It carries no signature either: whoever reads it must know that the on-board unit has checked it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind

CPM = "etsi_its_cpm_ts_msgs/msg/CollectivePerceptionMessage"
PERCEIVED_OBJECTS = 5
"""Id of the container with the objects."""
ITS_EPOCH_UNIX_MS = 1_072_915_200_000
"""2004-01-01T00:00:00 UTC."""
LEAP_MS = 5_000
"""Leap seconds since then; ITS time counts them, Unix time does not. The last one was at the end of 2016."""
_FAR_CM = (-131_072, 131_071)
_NO_SPEED, _NO_ANGLE, _NO_SIZE, _NO_CONFIDENCE = 16_383, 3_600, 255, 101
_VEHICLE, _VRU, _GROUP = 0, 1, 2
_VEHICLES = {1: ActorKind.PEDESTRIAN, 2: ActorKind.BICYCLE, 3: ActorKind.MOTORCYCLE, 4: ActorKind.MOTORCYCLE, 6: ActorKind.BUS,
             7: ActorKind.TRUCK, 8: ActorKind.TRUCK, 9: ActorKind.TRUCK, 10: ActorKind.TRUCK, 11: ActorKind.BUS, 12: ActorKind.BICYCLE,
             13: ActorKind.STATIC, 14: ActorKind.TRUCK, 15: ActorKind.STATIC}
"""TrafficParticipantType; a car and what is not known are cars."""
_VRUS = (ActorKind.PEDESTRIAN, ActorKind.BICYCLE, ActorKind.MOTORCYCLE, ActorKind.STATIC)
_USUAL_M = {ActorKind.PEDESTRIAN: (0.5, 0.5, 1.7), ActorKind.CAR: (4.5, 1.9, 1.6), ActorKind.TRUCK: (8.0, 2.5, 3.2),
            ActorKind.BUS: (12.0, 2.5, 3.2), ActorKind.MOTORCYCLE: (2.2, 0.8, 1.5), ActorKind.BICYCLE: (1.8, 0.6, 1.7),
            ActorKind.STATIC: (1.0, 1.0, 1.0)}
"""Length, width, height of what comes without."""
OUT_OF_RANGE, NO_ID = "objects out of the message's range", "objects without an id"
NO_VELOCITY, NO_SIZE = "objects without velocity", "objects without size"


class Perceived(NamedTuple):
    """What one message says.

    Attributes:
        station: its sender's id.
        stamp_ns: the reference time, Unix time in ns; every object was moved on to it by its own velocity.
        rows: ACTOR_DTYPE [N] in ``map``.
        notes: objects that were left out (out of range, or without an id: nobody could tell them from another in the next message), and
            those that lacked something: no velocity counts as standing, no size as the usual one.
    """

    station: int
    stamp_ns: int
    rows: np.ndarray
    notes: Counter[str]


def unix_ns(its_ms: int) -> int:
    """Unix time in ns of an ITS timestamp (milliseconds since 2004, leap seconds counted), right since 2017."""
    return (its_ms + ITS_EPOCH_UNIX_MS - LEAP_MS) * 1_000_000


def perceived_of(message: Any, place: Pose) -> Perceived:
    """The objects of a CPM whose reference position is at ``place`` in ``map``; the yaw of ``place`` is the direction of east."""
    notes: Counter[str] = Counter()
    rows = [row for one in _objects(message) if (row := _row(one, place, notes)) is not None]
    reference_ms = int(message.payload.management_container.reference_time.value)
    return Perceived(int(message.header.station_id.value), unix_ns(reference_ms), np.array(rows, ACTOR_DTYPE), notes)


def _objects(message: Any) -> Iterator[Any]:
    for container in message.payload.cpm_containers.value.array:
        if int(container.container_id.value) == PERCEIVED_OBJECTS:
            yield from container.container_data_perceived_object_container.perceived_objects.array


def _row(one: Any, place: Pose, notes: Counter[str]) -> tuple[Any, ...] | None:
    east_cm, north_cm = (int(axis.value.value) for axis in (one.position.x_coordinate, one.position.y_coordinate))
    if east_cm in _FAR_CM or north_cm in _FAR_CM:
        notes[OUT_OF_RANGE] += 1
        return None
    if not one.object_id_is_present:
        notes[NO_ID] += 1
        return None
    kind = _kind(one)
    speed_east, speed_north = _velocity(one, notes)
    length, width, height = _size(one, kind, notes)
    late_s = int(one.measurement_delta_time.value) / 1000.0  # of the measurement, after the reference time
    east, north = east_cm / 100.0 - speed_east * late_s, north_cm / 100.0 - speed_north * late_s
    c, s = math.cos(place.yaw), math.sin(place.yaw)
    up = int(one.position.z_coordinate.value.value) / 100.0 - height / 2.0 if one.position.z_coordinate_is_present else 0.0
    yaw = _heading(one, speed_east, speed_north) + place.yaw
    x, y = place.x + c * east - s * north, place.y + s * east + c * north
    vx, vy = c * speed_east - s * speed_north, s * speed_east + c * speed_north
    return int(one.object_id.value), kind, 0, x, y, place.z + up, math.remainder(yaw, 2.0 * math.pi), length, width, height, vx, vy, 0


def _kind(one: Any) -> ActorKind:
    """The class of the highest confidence; STATIC where there is none."""
    if not one.classification_is_present or not len(one.classification.array):
        return ActorKind.STATIC
    found = max(one.classification.array, key=lambda known: int(known.confidence.value) % _NO_CONFIDENCE).object_class
    if int(found.choice) == _VEHICLE:
        return _VEHICLES.get(int(found.vehicle_sub_class.value), ActorKind.CAR)
    if int(found.choice) == _VRU:
        return _VRUS[min(int(found.vru_sub_class.choice), len(_VRUS) - 1)]
    return ActorKind.PEDESTRIAN if int(found.choice) == _GROUP else ActorKind.STATIC


def _velocity(one: Any, notes: Counter[str]) -> tuple[float, float]:
    """(east, north) in m/s."""
    if one.velocity_is_present:
        given = one.velocity
        if int(given.choice):
            parts = (int(given.cartesian_velocity.x_velocity.value.value), int(given.cartesian_velocity.y_velocity.value.value))
            if _NO_SPEED not in parts:
                return parts[0] / 100.0, parts[1] / 100.0
        else:
            polar = given.polar_velocity
            speed, angle = polar.velocity_magnitude.speed_value.value, polar.velocity_direction.value.value
            if int(speed) < _NO_SPEED and int(angle) < _NO_ANGLE:
                turn = math.radians(int(angle) / 10.0)
                return int(speed) / 100.0 * math.cos(turn), int(speed) / 100.0 * math.sin(turn)
    notes[NO_VELOCITY] += 1
    return 0.0, 0.0


def _heading(one: Any, speed_east: float, speed_north: float) -> float:
    """Radians from east, counter-clockwise: the box's, else the velocity's."""
    if one.angles_is_present and int(one.angles.z_angle.value.value) < _NO_ANGLE:
        return math.radians(int(one.angles.z_angle.value.value) / 10.0)
    return math.atan2(speed_north, speed_east)


def _size(one: Any, kind: ActorKind, notes: Counter[str]) -> tuple[float, float, float]:
    usual, found = _USUAL_M[kind], []
    for axis, default in zip("xyz", usual, strict=True):
        known = getattr(one, f"object_dimension_{axis}_is_present")
        value = int(getattr(one, f"object_dimension_{axis}").value.value) if known else _NO_SIZE
        found.append(value / 10.0 if value < _NO_SIZE else default)
        notes[NO_SIZE] += axis == "x" and value >= _NO_SIZE
    return found[0], found[1], found[2]
