"""The trainer's settings as ROS parameters: the options of 'kd-planner train', with the same names, defaults and texts."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import TrainConfig

HIDDEN = ("progress",)
"""A node has no progress bar: it publishes its progress."""


def declare_training(node: Any) -> TrainConfig:
    """Declare every setting of a training run on ``node`` and give back their values.

    Paths are strings, "" for none; ``bags`` is a string array. All are read-only: a run has one recipe.

    Raises:
        ConfigError: no recordings named, a value of the wrong type or outside what the setting allows.
    """
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.parameter import Parameter

    values = {}
    for one in fields(TrainConfig):
        if one.name in HIDDEN:
            continue
        name, default = one.metadata.get("flag", one.name), parameter_default(one)
        descriptor = ParameterDescriptor(description=one.metadata["help"].replace("%%", "%"), read_only=True)
        descriptor.additional_constraints = ", ".join(one.metadata.get("choices", ()))
        try:
            if one.name == "bags":  # an empty array would have no type
                given = node.declare_parameter(name, Parameter.Type.STRING_ARRAY, descriptor).value
            else:
                given = node.declare_parameter(name, default, descriptor).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(f"parameter {name} of type {type(default).__name__}", " ".join(str(error).split()),
                              "correct the YAML or the argument") from None
        values[one.name] = _value(one, given)
    if not values["bags"]:
        raise ConfigError("recordings in parameter bags", "none", "give bags:='[/path/to/recordings]'")
    return TrainConfig(**values, progress=False)


def parameter_default(one: Field) -> Any:
    """What ROS takes as the default of a setting: a path is a string, no path an empty one."""
    if one.name == "bags":
        return []
    return str(one.default or "") if "Path" in str(one.type) else one.default


def _value(one: Field, given: Any) -> Any:
    if one.name == "bags":
        return tuple(Path(text) for text in given or () if text)
    if "Path" in str(one.type):
        return Path(given) if given else None
    return given
