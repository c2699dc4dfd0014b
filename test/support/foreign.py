"""Hand-made message classes of packages that are not on PyPI, from the fields of their definitions. Where a package is installed the
tests that use this module run with the real classes too (``makers``)."""

from __future__ import annotations

from functools import lru_cache

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

DEFINITIONS = {
    "derived_object_msgs/msg/Object":
        "std_msgs/Header header\nuint32 id\nuint8 detection_level\nbool object_classified\ngeometry_msgs/Pose pose\n"
        "geometry_msgs/Twist twist\ngeometry_msgs/Accel accel\ngeometry_msgs/Polygon polygon\nshape_msgs/SolidPrimitive shape\n"
        "uint8 classification\nuint8 classification_certainty\nuint32 classification_age\n",
    "derived_object_msgs/msg/ObjectArray": "std_msgs/Header header\nderived_object_msgs/Object[] objects\n",
    "carla_msgs/msg/CarlaBoundingBox": "geometry_msgs/Vector3 center\ngeometry_msgs/Vector3 size\n",
    "carla_msgs/msg/CarlaTrafficLightStatus": "uint32 id\nuint8 state\n",
    "carla_msgs/msg/CarlaTrafficLightStatusList": "carla_msgs/CarlaTrafficLightStatus[] traffic_lights\n",
    "carla_msgs/msg/CarlaTrafficLightInfo":
        "uint32 id\ngeometry_msgs/Pose transform\ncarla_msgs/CarlaBoundingBox trigger_volume\n",
    "carla_msgs/msg/CarlaTrafficLightInfoList": "carla_msgs/CarlaTrafficLightInfo[] traffic_lights\n",
}


@lru_cache
def store():
    """A typestore of the standard messages and ``DEFINITIONS``."""
    found = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in DEFINITIONS.items():
        found.register(get_types_from_msg(text, name))
    return found


def make(kind, /, **fields):
    """A message of a hand-made class; every field must be given, as by name so in number."""
    return store().types[kind](**fields)


def makers(*kinds):
    """Parameters for a test: the hand-made classes, and the installed ones where all of ``kinds`` can be imported."""
    def real(kind, /, **fields):
        from kd_planner_ros.ros.messages import find_type
        from kd_planner_ros.ros.messages import make as rclpy_make
        for one in kinds:
            if find_type(one) is None:
                pytest.skip(f"{one.split('/')[0]} is not installed: source a workspace that has it built")
        return rclpy_make(kind, **fields)

    return [pytest.param(make, id="hand-made"), pytest.param(real, id="installed")]


def wire(message):
    """``message`` after serialisation and back: each value fits its field."""
    kind = getattr(message, "__msgtype__", None)
    return message if kind is None else store().deserialize_cdr(store().serialize_cdr(message, kind), kind)
