"""The trainer's settings as ROS parameters: the options of 'kd-planner train', with the same names, defaults and texts.

Options of networks and methods have dotted names (``tcp.input_height``, ``plankd.rank_loss``). ``recipe`` names a YAML file whose
values are the parameters' defaults, so that every parameter that is given wins over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import yaml

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.renamed import TRAINING, refuse_renamed
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.recipes import dotted, option_sections, read_recipe, train_config

HIDDEN = ("progress", "sections", "stages", "start_without")
"""A node has no progress bar: it publishes its progress. Sections are dotted parameters; stages stand in a recipe."""
RECIPE = "recipe"
NODE_PARAMETERS = ("autostart", "leave_when_done", "use_sim_time", "start_type_description_service")
"""Parameters of the trainer node that are no settings of training."""
RECIPE_TEXT = "YAML file with settings, sections and stages, as 'kd-planner train --recipe' reads it; empty: none"


def training_parameters() -> Iterator[tuple[str, Field]]:
    """(name, field) of every parameter that is a setting of training."""
    yield from ((one.name, one) for one in fields(TrainConfig) if one.name not in HIDDEN)
    for section, options in option_sections().items():
        yield from ((f"{section}.{one.name}", one) for one in fields(options))


def declare_training(node: Any) -> TrainConfig:
    """Declare every setting of a training run on ``node`` and give back their values.

    Paths are strings, "" for none; ``bags`` is a string array. All are read-only: a run has one recipe.

    Raises:
        ConfigError: no recordings named, an old name, a value of the wrong type or outside what the setting allows.
    """
    _refuse_old(node)
    path = _declare(node, RECIPE, "", RECIPE_TEXT)
    recipe = read_recipe(Path(path)) if path else {}
    values = {}
    for name, one in training_parameters():
        default = parameter_default(one)
        value = _declare(node, name, _as_parameter(recipe[name], default) if name in recipe else default,
                         one.metadata["help"].replace("%%", "%"), ", ".join(map(str, one.metadata.get("choices", ()))))
        if name in recipe or value != default:
            values[name] = value
    values["bags"] = tuple(text for text in values.get("bags") or () if text)
    if not values["bags"]:
        raise ConfigError("recordings in parameter bags", "none", "give bags:='[/path/to/recordings]'")
    return _config(values, recipe, path)


def checked_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` of the trainer node's parameters by name, each of the type that the node takes, checked as the node checks them. A number
    or a truth value may come as text.

    Raises:
        ConfigError: an unknown or old name, or a value that the setting refuses.
    """
    defaults = {name: parameter_default(one) for name, one in training_parameters()}
    own = {name: _read(value, defaults.get(name)) for name, value in values.items() if name not in NODE_PARAMETERS}
    path = str(own.pop(RECIPE, "") or "")
    settings = dotted(own, "the trainer node's parameters")
    config = train_config(settings, read_recipe(Path(path)) if path else {}, path or "the trainer node's parameters", progress=False)
    if not config.bags:
        raise ConfigError("recordings in parameter bags", "none", "give bags:='[/path/to/recordings]'")
    rest = {name: value for name, value in values.items() if name in NODE_PARAMETERS}
    return {**rest, **({RECIPE: path} if path else {}),
            **{name: _as_parameter(value, defaults[name]) for name, value in settings.items()}}


def _read(value: Any, default: Any) -> Any:
    """Text as the number or truth value that it holds, where ``default`` is one."""
    if not isinstance(value, str) or not isinstance(default, (bool, int, float)):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value  # refused with the other settings, by name


def _config(values: Mapping[str, Any], recipe: Mapping[str, Any], path: str) -> TrainConfig:
    """Of the recipe's values those that a parameter changes are left to ``values``; the others keep the recipe's type."""
    changed = {name: value for name, value in values.items()
               if name not in recipe or _as_parameter(recipe[name], value) != value}
    return train_config(changed, recipe, path or "the trainer node's parameters", progress=False)


def _declare(node: Any, name: str, default: Any, text: str, constraints: str = "") -> Any:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.parameter import Parameter

    descriptor = ParameterDescriptor(description=text, read_only=True, additional_constraints=constraints)
    kind = Parameter.Type.STRING_ARRAY if default == [] else default  # an empty array would have no type
    try:
        return node.declare_parameter(name, kind, descriptor).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ConfigError(f"parameter {name} of type {type(default).__name__}", " ".join(str(error).split()),
                          "correct the YAML or the argument") from None


def _refuse_old(node: Any) -> None:
    """Refuse parameters that are given under the name they once had."""
    from rcl_interfaces.msg import ParameterDescriptor

    given = []
    for name in TRAINING:
        if node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True)).value is not None:
            given.append(name)
        node.undeclare_parameter(name)
    refuse_renamed(given, TRAINING, "the trainer node's parameters")


def parameter_default(one: Field) -> Any:
    """What ROS takes as the default of a setting: a path is a string, no path an empty one."""
    if one.default is MISSING:
        return []
    return str(one.default or "") if "Path" in str(one.type) else one.default


def _as_parameter(value: Any, default: Any) -> Any:
    """``value`` of a recipe as a parameter whose type ``default`` has."""
    if isinstance(default, (list, tuple)):
        return [str(one) for one in ([value] if isinstance(value, (str, Path)) else value)]
    if isinstance(default, float) and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            return value  # refused with the other settings, by name
    if isinstance(default, str):
        return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)
    return value
