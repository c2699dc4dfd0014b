"""How a ROS parameter is declared: default, type, description, range. The parameters of each node are in ``ros/specs``.

A node gets a frozen dataclass built from its parameters and never asks ROS for one again. Field ``plan_timeout_s`` is parameter
``plan_timeout_s``. ``config/nodes/*.yaml`` holds a site's choices; a test compares each file with the dataclass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields

Params = TypeVar("Params")
SHOW_ROUTE = "6"
"""Of the ten default routes: a minute and a half behind other cars, with turns and red lights, which the shipped student drives without
a mistake. docs/benchmarks/driving.md has the scores of all ten."""


def param(default: Any, text: str, *, low: float | None = None, high: float | None = None,
          choices: Sequence[str] = ()) -> Any:
    """A dataclass field that is a ROS parameter."""
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": tuple(choices)})


@dataclass(frozen=True)
class CommonParams:
    """Parameters of every node of the graph."""

    role_name: str = param("ego_vehicle", "CARLA role name of the ego vehicle; part of every topic name")
    carla_profile: str = param("carla_bridge", "profile of the outside system: a file of config/profiles/, or a path to one")
    carla_version: str = param("0.9.13", "CARLA version, shown in the diagnostics; topics and recordings of all versions are read alike")
    unseen_after_s: float = param(5.0, "wall time after which a topic that never came is named in the diagnostics, s",
                                  low=0.5, high=60.0)


@dataclass(frozen=True)
class ModelParams(CommonParams):
    """Parameters of a node that runs a model."""

    models_dir: str = param("", "folder of models; empty is the package's own")
    device: str = param("cpu", "device of the network: cpu, cuda, cuda:N")
    engine: str = param("auto", "inference engine", choices=("auto", "torch", "openvino", "onnxruntime"))
    threads: int = param(1, "threads of the inference engine; on small machines more threads slow the node down",
                         low=1, high=64)
    autostart: bool = param(False, "configure and activate without a lifecycle manager")
    roadside_topics: str = param("/carla", "what the topics of roadside stations begin with: /carla as they are sent, /v2x behind a "
                                           "gateway", choices=("/carla", "/v2x"))
    tell_roadside: bool = param(False, "publish the diagnostics at once with each message of a roadside station: a replay in lock-step "
                                       "waits for them")
    max_skew_s: float = param(0.025, "largest difference between the stamps of one set's sensors, s",
                              low=0.001, high=1.0)
    max_focal_error: float = param(0.05, "difference of focal length or principal point between camera_info and the model from which "
                                         "it is an error, share", low=0.001, high=10.0)
    max_mount_error_m: float = param(0.2, "distance between a sensor in tf_static or tf and in the model from which it is an error, m",
                                     low=0.001, high=100.0)
    max_mount_error_deg: float = param(3.0, "angle between a sensor in tf_static or tf and in the model from which it is an error, degrees",
                                       low=0.01, high=180.0)
    max_latency_s: float = param(0.0, "processing time above which a result is late and a warning, wall time, s; 0: the model's period",
                                 low=0.0, high=60.0)
    max_late_results: int = param(10, "late results in a row from which the lateness is an error", low=1, high=10_000)


def declare(node: Any, kind: type[Params]) -> Params:
    """Declare all parameters of dataclass ``kind`` on ``node`` and give back their values. All are read-only: a change
    needs a restart, so that a run has one set of values.

    Raises:
        ConfigError: a value of the wrong type, outside its range or not among its choices.
    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    values = {}
    for one in fields(kind):
        text, low, high, choices = (one.metadata[key] for key in ("text", "low", "high", "choices"))
        descriptor = ParameterDescriptor(description=text, read_only=True)
        if choices:
            descriptor.additional_constraints = f"one of {', '.join(choices)}"
        if isinstance(one.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        elif isinstance(one.default, int) and not isinstance(one.default, bool):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        try:
            values[one.name] = node.declare_parameter(one.name, one.default, descriptor).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(f"parameter {one.name}: {wanted(one)}", _cause(error), "correct the YAML or the argument"
                              ) from None
        if choices and values[one.name] not in choices:
            raise ConfigError(f"parameter {one.name}: {wanted(one)}", repr(values[one.name]),
                              "correct the YAML or the argument")
    for name, meant in misspelt(getattr(node, "_parameter_overrides", {}), values).items():
        node.get_logger().warning(f"parameter {name} is not one of this node and changes nothing: is {meant} meant?")
    return kind(**values)


def misspelt(given: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Names of ``given`` that are not among the ``known`` parameters and look like one, which is the value. Others are let pass: one
    parameter file serves several nodes, and ROS has parameters of its own."""
    near = {name: get_close_matches(name, known, 1, 0.8) for name in given if name not in known}
    return {name: found[0] for name, found in near.items() if found}


def checked(kind: type[Params], values: Mapping[str, Any]) -> Params:
    """Parameters ``kind`` with ``values``, without a node.

    Raises:
        ConfigError: a value outside its range or not among its choices.
    """
    params = kind(**values)
    check_fields(params)
    return params


def suits(one: dataclasses.Field, value: Any) -> bool:
    """Whether ROS takes ``value`` for the parameter: of the default's own type (no integer for a float), in its range, a choice."""
    if type(value) is not type(one.default):
        return False
    low, high, choices = (one.metadata[key] for key in ("low", "high", "choices"))
    return (low is None or low <= value <= high) and (not choices or value in choices)


def wanted(one: dataclasses.Field) -> str:
    """What a parameter's value may be, in words."""
    if one.metadata["choices"]:
        return f"one of {', '.join(one.metadata['choices'])}"
    kind = type(one.default).__name__
    low, high = one.metadata["low"], one.metadata["high"]
    return kind if low is None else f"{kind} in [{low:g}, {high:g}]"


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())
