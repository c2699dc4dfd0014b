"""ROS parameter files, read as a node reads them, so that a graph can be checked before its nodes start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.params import suits, wanted
from kd_planner_ros.ros.specs.base import NodeSpec

SECTION = "ros__parameters"
PATTERN = "see config/nodes/ for a pattern"
EVERY_NODE = ("use_sim_time", "start_type_description_service")
"""Parameters that rclpy declares on each node, beside ``qos_overrides``."""


@dataclass(frozen=True)
class Section:
    """One ``ros__parameters`` block: the nodes that it is for, as written in the file, and its values by dotted name."""

    nodes: str
    values: Mapping[str, Any]

    @property
    def written(self) -> str:
        """``nodes`` as the file has it: a key in it, or several joined by slashes."""
        return self.nodes.removeprefix("/")

    def fits(self, node: str) -> bool:
        """Whether it is for the node of the full name ``node``: ``*`` stands for one word, ``**`` for any number, as in rcl."""
        words = [word for word in self.nodes.split("/") if word]
        one = {"*": r"/\w+", "**": r"(/\w+)*"}
        return re.fullmatch("".join(one.get(word, "/" + re.escape(word)) for word in words), node) is not None


def read_parameter_file(path: Path) -> list[Section]:
    """The sections of a ROS parameter file, in order.

    Raises:
        ConfigError: no such file, no YAML, or a structure that ROS refuses.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"a parameter file at {path}", error.strerror or "nothing", "correct params_file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"YAML in {path}", " ".join(str(error).split()), "correct the file") from None
    found = list(_sections("", data, path))
    if not found:
        raise ConfigError(f"NODE: {SECTION}: NAME: VALUE in {path}", "none", PATTERN)
    return found


def _sections(node: str, data: Any, path: Path) -> Iterator[Section]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"NODE: {SECTION}: NAME: VALUE in {path}", f"{type(data).__name__} at {node or 'its top'}", PATTERN)
    for key, value in data.items():
        if key == SECTION:
            yield Section(node, dict(_flat("", value, path)))
        else:
            yield from _sections(f"{node}/{key}", value, path)


def _flat(prefix: str, data: Any, path: Path) -> Iterator[tuple[str, Any]]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"names and values below {SECTION} in {path}", repr(data), PATTERN)
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value, path)
        else:
            yield f"{prefix}{name}", value


def values_for(sections: Sequence[Section], node: str) -> dict[str, Any]:
    """The values that the node of the full name ``node`` gets; those of later sections win."""
    return {name: value for section in sections if section.fits(node) for name, value in section.values.items()}


def refuse_unknown(sections: Sequence[Section], nodes: Mapping[str, frozenset[str]], path: Path) -> None:
    """Refuse what ROS would pass over in silence: a section for no node of the graph, a parameter that no node of its section has.

    Args:
        nodes: names of each node's parameters, by the node's full name.

    Raises:
        ConfigError: it names the section or the parameter.
    """
    for section in sections:
        fitting = [names for node, names in nodes.items() if section.fits(node)]
        if not fitting:
            raise ConfigError(f"sections for the nodes {', '.join(nodes)} in {path}",
                              f"'{section.written}', which is none of them",
                              "write '/**' for all nodes, or '/**/NAME' for one")
        unknown = [name for name in section.values
                   if not name.startswith("qos_overrides.") and not any(_holds(names, name) for names in fitting)]
        if unknown:
            raise ConfigError(f"parameters that the nodes of section '{section.written}' have in {path}", ", ".join(unknown),
                              "correct the name; docs/reference/parameters.md lists them all")


def _holds(names: frozenset[str], name: str) -> bool:
    """Whether ``name`` is one of ``names``, or completes one that ends with a dot."""
    return name in names or any(name.startswith(one) for one in names if one.endswith("."))


def known_parameters(spec: NodeSpec) -> frozenset[str]:
    """Names of all parameters of a node; those that a model completes end with a dot."""
    own = (one.name for one in fields(spec.params)) if spec.params else ()
    return frozenset({*own, *(family[0] for family in spec.families), *EVERY_NODE})


def checked_parameters(spec: NodeSpec, values: Mapping[str, Any]) -> Any:
    """The parameters of a node with ``values``, those of other nodes left out.

    Raises:
        ConfigError: a value of another type, outside its range or not among its choices; it names node and parameter.
    """
    kind = spec.params
    assert kind is not None, f"node {spec.name} declares no parameters of its own"
    params = kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})
    for one in fields(kind):
        value = getattr(params, one.name)
        if not suits(one, value):
            raise ConfigError(f"parameter {one.name} of node {spec.name}: {wanted(one)}", repr(value),
                              "correct the YAML or the argument")
    return params
