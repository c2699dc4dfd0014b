"""rosbags' message classes: what ``wire/codec`` makes the messages of a recording from. Nothing of ROS is installed or
imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from kd_planner_ros.core.errors import BagError, KdPlannerError, SensorError
from kd_planner_ros.core.foreign import cause

Record = TypeVar("Record")
Field = tuple[str, str]
"""Name and form of a field: number, text, message, or several of them."""

CARLA_DEFINITIONS = {
    "carla_msgs/msg/CarlaEgoVehicleControl":
        "std_msgs/Header header\nfloat32 throttle\nfloat32 steer\nfloat32 brake\nbool hand_brake\nbool reverse\n"
        "int32 gear\nbool manual_gear_shift\n",
    "carla_msgs/msg/CarlaSpeedometer": "std_msgs/Header header\nfloat64 speed\n",
    "carla_msgs/msg/CarlaWorldInfo": "string map_name\nstring opendrive\n",
    "carla_msgs/msg/CarlaRoute": "std_msgs/Header header\nint8[] road_options\ngeometry_msgs/Pose[] poses\n",
    "carla_msgs/msg/CarlaTrafficLightStatus": "uint32 id\nuint8 state\n",
    "carla_msgs/msg/CarlaTrafficLightStatusList": "carla_msgs/CarlaTrafficLightStatus[] traffic_lights\n",
    "carla_msgs/msg/CarlaBoundingBox": "geometry_msgs/Vector3 center\ngeometry_msgs/Vector3 size\n",
    "carla_msgs/msg/CarlaTrafficLightInfo":
        "uint32 id\ngeometry_msgs/Pose transform\ncarla_msgs/CarlaBoundingBox trigger_volume\n",
    "carla_msgs/msg/CarlaTrafficLightInfoList": "carla_msgs/CarlaTrafficLightInfo[] traffic_lights\n",
    "derived_object_msgs/msg/Object":
        "std_msgs/Header header\nuint32 id\nuint8 detection_level\nbool object_classified\ngeometry_msgs/Pose pose\n"
        "geometry_msgs/Twist twist\ngeometry_msgs/Accel accel\ngeometry_msgs/Polygon polygon\nshape_msgs/SolidPrimitive shape\n"
        "uint8 classification\nuint8 classification_certainty\nuint32 classification_age\n",
    "derived_object_msgs/msg/ObjectArray": "std_msgs/Header header\nderived_object_msgs/Object[] objects\n",
}
"""For sqlite3 bags, which carry no definitions: every type that is read and is not among ROS's common ones."""
STORES = (Stores.ROS2_HUMBLE, Stores.ROS2_FOXY)
"""Distributions whose common types differ (shape_msgs/SolidPrimitive has a polygon from Humble on): a bag without definitions is of
the first one whose types its messages fit."""


@lru_cache
def typestore(of: Stores = STORES[0]) -> Typestore:
    """The standard messages of one distribution and those of CARLA's bridge that are read."""
    store = get_typestore(of)
    for name, text in CARLA_DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


@lru_cache
def known_fields(of: Stores = STORES[0]) -> Mapping[str, frozenset[Field]]:
    """The fields of every type in ``typestore``."""
    return {kind: fields_of(fields) for kind, (_, fields) in typestore(of).fielddefs.items()}


def fields_of(fields: Iterable[tuple[str, Any]]) -> frozenset[Field]:
    """``rosbags``' fields of a type as name and form: numbers of all kinds are one form, and so are nested types of all names."""
    return frozenset((name, _form(kind)) for name, kind in fields)


def _form(kind: tuple[Any, Any]) -> str:
    if kind[0] == Nodetype.BASE:
        return "text" if "string" in kind[1][0] else "number"
    return "message" if kind[0] == Nodetype.NAME else f"{_form(kind[1][0])}s"


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
    except KdPlannerError:
        raise
    except Exception as error:  # noqa: BLE001 - a type with fields of the right names and others in them raises many kinds
        kind = getattr(message, "__msgtype__", type(message).__name__)
        raise BagError(f"a message that can be read on {topic}", f"one of type {kind} ({cause(error)})",
                       "remap the topic to a node that publishes the bridge's type, and record again") from None
