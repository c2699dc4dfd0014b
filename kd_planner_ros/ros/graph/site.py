"""What a user's parameter file says of the graph as a whole: profile, role and models, which are needed before a node has a name.

``drive.launch.py`` and ``replay`` ask here, so that one rule holds: what was given by name wins over the file, the file over defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.graph.describe import NodeProcess, site_sections
from kd_planner_ros.ros.graph.settings import read_parameter_file, values_for
from kd_planner_ros.ros.profiles import Profile, load_profile
from kd_planner_ros.runtime.facts import resolve_planner

AGREED = ("carla_profile", "role_name", "carla_version")
"""Parameters that all nodes of a graph share."""


class Site:
    """What was given by name, and what the parameter files say where nothing was.

    Args:
        given: values by parameter name; "" was not given.
        params_file: the user's parameter file.
    """

    def __init__(self, given: Mapping[str, str], params_file: Path | None):
        self._given, self._file = given, params_file

    def value(self, name: str, node: str = "planner", namespace: str = "") -> str:
        """Parameter ``name`` of ``node``; "" where it was neither given nor stands in a file. Without a namespace only sections for
        any node count, as ``/**``.

        Raises:
            ConfigError: the file's value is no text.
        """
        value = self._given.get(name) or values_for(site_sections(node, self._file), f"{namespace}/{node}").get(name, "")
        if not isinstance(value, str):
            raise ConfigError(f"parameter {name} of node {node}: str", repr(value), "correct the YAML or the argument")
        return value

    def profile(self, role_name: str = "") -> Profile:
        """The profile with its role, or with ``role_name``."""
        name, role, version = (self.value(one) for one in AGREED)
        return load_profile(name or "carla_bridge", role_name or role, version)

    def planner(self, profile: Profile) -> tuple[str, str]:
        """(planner with ``auto`` resolved, its models_dir)."""
        return resolve_planner(*self._model("planner", "planner", profile))

    def perceiver(self, profile: Profile) -> tuple[str, str]:
        """(perceiver, its models_dir) of the perception node; ``auto`` is left as it is."""
        name, models_dir = self._model("perceiver", "perception", profile)
        return self._given.get("perceiver") or self.value("model", "perception", profile.namespace) or name, models_dir

    def fallback_planner(self, profile: Profile) -> tuple[str, str]:
        """(fallback planner, its models_dir); ("", "") where none was asked for."""
        name = self._given.get("fallback_planner", "")
        return (name, self.value("models_dir", "fallback_planner", profile.namespace)) if name else ("", "")

    def _model(self, name: str, node: str, profile: Profile) -> tuple[str, str]:
        return self.value(name, node, profile.namespace) or "auto", self.value("models_dir", node, profile.namespace)

    def require_agreed(self, nodes: Sequence[NodeProcess]) -> None:
        """Refuse what the file says of profile, role or version for some of ``nodes`` alone: all use the same.

        Raises:
            ConfigError: it names the parameter, the node and the file.
        """
        own = read_parameter_file(self._file) if self._file else []
        for node in nodes:
            said = values_for(own, node.full_name)
            for name in AGREED:
                if name in said and said[name] != values_for(own, "/planner").get(name):
                    raise ConfigError(f"{name} of all nodes, below '/**', in {self._file}", f"{said[name]!r} for {node.full_name}",
                                      "move it to the section '/**'")

    def require(self, node: NodeProcess, name: str, value: object, decided_by: str) -> None:
        """Refuse a file that sets parameter ``name`` of ``node`` to something else than ``value``, which ``decided_by`` fixes.

        Raises:
            ConfigError: it names the parameter, the node and the file.
        """
        said = values_for(read_parameter_file(self._file), node.full_name).get(name, value) if self._file else value
        if said != value:
            raise ConfigError(f"{name}: {str(value).lower()} for {node.full_name}, as {decided_by} asks for", f"{said!r} in {self._file}",
                              "remove it from the file")


def in_namespace(profile: Profile, namespace: str) -> Profile:
    """``profile`` in ``namespace`` instead of its own; "" leaves it."""
    return replace(profile, namespace=namespace) if namespace else profile
