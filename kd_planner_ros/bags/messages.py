"""rosbags' message classes: what ``wire/codec`` makes the messages of a recording from. Nothing of ROS is installed or
imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from kd_planner_ros.core.errors import BagError, SensorError

Record = TypeVar("Record")

CARLA_DEFINITIONS = {
    "carla_msgs/msg/CarlaEgoVehicleControl":
        "std_msgs/Header header\nfloat32 throttle\nfloat32 steer\nfloat32 brake\nbool hand_brake\nbool reverse\n"
        "int32 gear\nbool manual_gear_shift\n",
    "carla_msgs/msg/CarlaSpeedometer": "std_msgs/Header header\nfloat64 speed\n",
    "carla_msgs/msg/CarlaWorldInfo": "string map_name\nstring opendrive\n",
    "carla_msgs/msg/CarlaRoute": "std_msgs/Header header\nint8[] road_options\ngeometry_msgs/Pose[] poses\n",
}
"""For sqlite3 bags, which carry no definitions."""


@lru_cache
def typestore() -> Typestore:
    """Standard messages and the few of carla_msgs that a recording may hold."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in CARLA_DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


def make(kind: str, /, **fields: Any) -> Any:
    """A message of type ``kind`` such as ``std_msgs/msg/Header``."""
    return _classes()[kind](**fields)


@lru_cache
def _classes() -> Mapping[str, Any]:
    return dict(typestore().types)


def decoded(decode: Callable[[Any], Record], message: Any, topic: str) -> Record:
    """``decode(message)``.

    Raises:
        BagError: the message cannot be read; the topic is named.
    """
    try:
        return decode(message)
    except SensorError as error:
        raise BagError(f"{error.expected} on {topic}", error.got, error.remedy) from None
