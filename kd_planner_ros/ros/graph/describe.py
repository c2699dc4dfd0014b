"""The graph, described once: ``kd-planner drive`` starts it as processes, the launch files as launch actions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.profiles import Profile
from kd_planner_ros.ros.specs import node_specs
from kd_planner_ros.ros.specs.base import NodeSpec
from kd_planner_ros.runtime.paths import config_folder

PATIENT_PLAN_S, PATIENT_CONTROL_S = 4.0, 5.0


@dataclass(frozen=True)
class NodeProcess:
    """One node: its process and everything ROS must tell it. ``parameter_file`` comes first, ``parameters`` win."""

    name: str
    namespace: str
    module: str
    parameter_file: Path
    parameters: Mapping[str, Any]
    remappings: tuple[tuple[str, str], ...]

    def command(self, folder: Path) -> list[str]:
        """The command line of the node; ``folder`` receives its parameter file."""
        own = folder / f"{self.name}.yaml"
        own.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(self.parameters)}}))
        words = [sys.executable, "-m", self.module, "--ros-args", "-r", f"__ns:={self.namespace}",
                 "-r", f"__node:={self.name}", "--params-file", str(self.parameter_file), "--params-file", str(own)]
        for port, topic in self.remappings:
            words += ["-r", f"{port}:={topic}"]
        return words


@dataclass(frozen=True)
class GraphConfig:
    """What the graph is made of. ``world`` is builtin, carla (CARLA and its bridge run elsewhere) or none (a bag, or
    anything else that speaks the profile). ``world_parameters`` go to the built-in world alone. ``perceiver`` is the model of a
    perception node beside the planner; "" starts none.

    CARLA's bridge waits one second for a control, so beside it a plan is given up after 0.8 s (the nodes' defaults).
    The built-in world and a bag have time: there a slow machine slows the simulation down and does not stop the car.
    """

    profile: Profile
    planner: str
    plan_period_s: float
    world: str = "builtin"
    perceiver: str = ""
    device: str = "cpu"
    engine: str = "auto"
    models_dir: str = ""
    threads: int = 1
    lockstep: bool = True
    world_parameters: Mapping[str, Any] = field(default_factory=dict)


def describe(config: GraphConfig) -> list[NodeProcess]:
    """The nodes of the graph, in the order in which they are started.

    Raises:
        ConfigError: the profile gives a port of one of them no topic, or a parameter that the node does not have.
    """
    profile = config.profile
    common = {"role_name": profile.role_name, "carla_profile": profile.name, "carla_version": profile.carla_version}
    timed = {**common, "use_sim_time": True, "autostart": True}
    model = {**timed, "device": config.device, "engine": config.engine, "models_dir": config.models_dir, "threads": config.threads}
    model |= _lateness(config)
    running: dict[str, dict[str, Any]] = {"planner": {**model, "planner": config.planner}}
    if config.perceiver:
        running["perception"] = {**model, "perceiver": config.perceiver}
    running["controller"] = {**timed, "plan_period_s": config.plan_period_s, "lockstep": config.lockstep, **_patience(config)}
    if config.world == "builtin":
        running["world"] = {**common, "control_timeout_s": PATIENT_CONTROL_S, **config.world_parameters}
    return [_process(profile, node_specs()[name], parameters) for name, parameters in running.items()]


def _patience(config: GraphConfig) -> dict[str, float]:
    return {} if config.world == "carla" else {"plan_timeout_s": PATIENT_PLAN_S}


def _lateness(config: GraphConfig) -> dict[str, float]:
    """In lock-step the built-in world and a bag wait for a plan: only one that they give up is too late."""
    return {} if config.world == "carla" or config.lockstep is False else {"max_latency_s": PATIENT_PLAN_S}


def _process(profile: Profile, spec: NodeSpec, parameters: Mapping[str, Any]) -> NodeProcess:
    profile.require(spec)
    known = {one.name for one in fields(spec.params)} | {"use_sim_time"} if spec.params else set(parameters)
    if unknown := sorted(set(parameters) - known):
        raise ConfigError(f"parameters of node {spec.name}", ", ".join(unknown), f"declare them in ros/specs/{spec.name}.py")
    return NodeProcess(spec.name, profile.namespace, spec.module, config_folder() / "nodes" / f"{spec.name}.yaml", parameters,
                       tuple(profile.remappings()))
