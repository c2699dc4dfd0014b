"""Profiles: one YAML per outside system, with its adapter, its defaults and the real names of topics."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import require_types
from kd_planner_ros.core.foreign import read_yaml, reading
from kd_planner_ros.ros.specs import known_ports
from kd_planner_ros.ros.specs.base import NodeSpec
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.wire.topics import require_role_name


@dataclass(frozen=True)
class Profile:
    """An outside system with its role name filled in; ``topics`` maps a port to its real name. ``name`` is what
    ``load_profile`` finds the profile by: a name of config/profiles/, or an absolute path."""

    name: str
    adapter: str
    role_name: str
    carla_version: str
    namespace: str
    topics: dict[str, str]

    def remappings(self) -> list[tuple[str, str]]:
        """(name in the code, real name) for every port whose names differ."""
        return [(port, topic) for port, topic in self.topics.items() if port != topic]

    def require(self, node: NodeSpec) -> None:
        """Refuse a profile that gives a port of ``node`` no topic; ports of nodes that do not run may be left out.

        Raises:
            ConfigError: it names the ports.
        """
        missing = [port.name for port in node.ports if port.mapped and port.name not in self.topics]
        if missing:
            raise ConfigError(f"a topic for each port of node {node.name} in profile {self.name}", f"none for {', '.join(missing)}",
                              "add them under 'topics', as config/profiles/carla_bridge.yaml has them")


@dataclass(frozen=True)
class _Keys:
    """Keys of a profile's file, by their types."""

    adapter: str
    role_name: str
    carla_version: str | float
    namespace: str
    topics: dict[str, str]
    extends: str


def load_profile(name: str, role_name: str = "", carla_version: str = "") -> Profile:
    """Profile ``name`` of config/profiles/ (or a path to a YAML file); empty arguments keep the profile's defaults.

    Raises:
        ConfigError: no such profile, no YAML, a key that is missing, a port that no node has, or a role name that no topic can have.
    """
    data, path = _read(name)
    if base := data.get("extends"):
        common, _ = _read(base)
        data = {**common, **data, "topics": {**common.get("topics", {}), **data.get("topics", {})}}
    missing = [key for key in ("adapter", "role_name", "carla_version", "namespace", "topics")
               if key not in data]
    if missing:
        raise ConfigError(f"every key in {path}", f"no {', '.join(missing)}", "take config/profiles/carla_bridge.yaml as a pattern")
    if unknown := sorted(set(data["topics"]) - set(known_ports())):
        raise ConfigError(f"known ports in {path}", ", ".join(unknown), f"use {', '.join(known_ports())}")
    role = require_role_name(role_name or data["role_name"])
    with reading(ConfigError, f"topics and namespace with {{role_name}} as their only name in braces in {path}", "correct the topic"):
        filled = {port: str(topic).format(role_name=role) for port, topic in data["topics"].items()}
        namespace = "/" + data["namespace"].format(role_name=role).strip("/")
    return Profile(path.stem if name == path.stem else str(path), data["adapter"], role, carla_version or str(data["carla_version"]),
                   namespace, filled)


def _read(name: str) -> tuple[dict[str, Any], Path]:
    folder = config_folder() / "profiles"
    path = Path(name).absolute() if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ConfigError(f"a profile out of {known}, or a path to a YAML file", repr(name),
                          "correct --carla-profile (carla_profile of a launch file)")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"keys and values in {path}", type(data).__name__, "correct the file")
    require_types(_Keys, data, str(path))
    return data, path


def make_adapter(profile: str, role_name: str, carla_version: str) -> Any:
    """The adapter that ``profile`` names: class ``Adapter`` of the module of that name in ``ros/adapters``."""
    module = importlib.import_module(f"kd_planner_ros.ros.adapters.{load_profile(profile).adapter}")
    return module.Adapter(role_name, carla_version)
