"""The graph, described once: ``kd-planner drive`` starts it as processes, the launch files as launch actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.ros.graph.settings import SECTION, Section, known_parameters, read_parameter_file, values_for
from kd_planner_ros.ros.profiles import Profile
from kd_planner_ros.ros.specs import graph_specs
from kd_planner_ros.ros.specs.base import NodeSpec, hears_roadside
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.runtime.processes import module_command
from kd_planner_ros.wire.topics import BEHIND_GATEWAY

PATIENT_PLAN_S = 4.0


@dataclass(frozen=True)
class NodeProcess:
    """One node: its process and everything ROS must tell it.

    Its parameters come from ``defaults`` (what follows from the graph), then ``parameter_files`` (the package's, then the
    user's), then ``parameters`` (what the user gave by name, and what all nodes must agree on). Later ones win.
    """

    name: str
    namespace: str
    module: str
    executable: str
    defaults: Mapping[str, Any]
    parameter_files: tuple[Path, ...]
    parameters: Mapping[str, Any]
    remappings: tuple[tuple[str, str], ...]
    log_level: str = ""

    @property
    def full_name(self) -> str:
        """Its name in the graph, with the namespace."""
        return f"{self.namespace.rstrip('/')}/{self.name}"

    def effective(self) -> dict[str, Any]:
        """The value of every parameter that is set anywhere, as the node will get it."""
        sections = [section for path in self.parameter_files for section in read_parameter_file(path)]
        return {**self.defaults, **values_for(sections, self.full_name), **self.parameters}

    def write(self, folder: Path) -> list[Path]:
        """Its parameter files in the order in which ROS must read them; ``folder`` receives the two that are not there yet."""
        derived, own = folder / f"{self.name}_defaults.yaml", folder / f"{self.name}.yaml"
        for path, values in ((derived, self.defaults), (own, self.parameters)):
            write_text(path, yaml.safe_dump({"/**": {SECTION: dict(values)}}))
        return [*([derived] if self.defaults else []), *self.parameter_files, own]

    def command(self, folder: Path) -> list[str]:
        """The command line of the node; ``folder`` receives its parameter files."""
        words = [*module_command(self.module), "--ros-args", "-r", f"__ns:={self.namespace}", "-r", f"__node:={self.name}"]
        for path in self.write(folder):
            words += ["--params-file", str(path)]
        for port, topic in self.remappings:
            words += ["-r", f"{port}:={topic}"]
        return words + (["--log-level", self.log_level] if self.log_level else [])


@dataclass(frozen=True)
class GraphConfig:
    """What the graph is made of. ``world`` is builtin, carla (CARLA and its bridge run elsewhere) or none (a bag, or
    anything else that speaks the profile). ``perceiver`` is the model of a perception node beside the planner, ``fallback_planner`` that of
    a second planner; "" starts none. The planner lies in ``models_dir``, the others in ``perceiver_dir`` and ``fallback_dir``.
    ``perceiver_sensors``: the perceiver's sensors that are mounted under another name than the model's, with that name. ``asked`` holds the
    launch arguments, for the places of nodes that need more (``ros/specs``). ``car``: the box of the car that a recording is of.
    ``route_wait_s``: how long a planner that can do without a route waits for one.
    ``camera_mounts``: where its cameras are (``ros/mounts.py``).

    What is empty or None is left to the parameter files. ``params_file`` is the user's own. ``world_defaults`` and
    ``world_parameters`` go to the built-in world alone; the former give way to the files.

    CARLA's bridge waits one second for a control, so beside it a plan is given up after 0.8 s (the nodes' defaults).
    The built-in world and a replay in lock-step have time: there a slow machine slows the simulation down and does not stop the car.
    Whatever else sends the sensors, such as a vehicle or ``ros2 bag play``, does not wait.
    """

    profile: Profile
    planner: str
    plan_period_s: float
    world: str = "builtin"
    perceiver: str = ""
    device: str = ""
    engine: str = ""
    models_dir: str = ""
    perceiver_dir: str = ""
    perceiver_sensors: Mapping[str, str] = field(default_factory=dict)
    fallback_planner: str = ""
    fallback_dir: str = ""
    fallback_period_s: float = 0.0
    threads: int | None = None
    car: Car | None = None
    route_wait_s: float | None = None
    camera_mounts: str = ""
    lockstep: bool | None = None
    use_sim_time: bool | None = None
    log_level: str = ""
    params_file: Path | None = None
    world_defaults: Mapping[str, Any] = field(default_factory=dict)
    world_parameters: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)

    def said(self, node: str, parameter: str) -> Any:
        """What the parameter files, the package's and the user's, say of ``parameter`` of ``node``; None: nothing."""
        return values_for(site_sections(node, self.params_file), f"{self.profile.namespace}/{node}").get(parameter)


def describe(config: GraphConfig) -> list[NodeProcess]:
    """The nodes of the graph, in the order in which they are started.

    Raises:
        ConfigError: the profile gives a port of one of them no topic, or a parameter that the node does not have.
    """
    shared, derived = _shared(config), _derived(config)
    return [_process(config, spec, shared, derived) for spec in graph_specs() if spec.place is not None and spec.place.runs(config)]


def _shared(config: GraphConfig) -> dict[str, Any]:
    """What was given for all nodes, by parameter; each node gets those that it has."""
    profile = config.profile
    return _given({"role_name": profile.role_name, "carla_profile": profile.name, "carla_version": profile.carla_version,
                   "use_sim_time": config.use_sim_time, "device": config.device, "engine": config.engine, "threads": config.threads,
                   "lockstep": config.lockstep, "route_wait_s": config.route_wait_s,
                   "tell_roadside": True if config.world == "none" and config.lockstep else None})


def _derived(config: GraphConfig) -> dict[str, Any]:
    """What follows from the graph for all nodes and gives way to the parameter files."""
    waits = {"plan_timeout_s": PATIENT_PLAN_S, "max_latency_s": PATIENT_PLAN_S} if _waits(config) else {}  # later ones are given up
    heard = {"roadside_topics": BEHIND_GATEWAY} if hears_roadside(config) else {}
    return {"use_sim_time": True, "autostart": True, **waits, **heard}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _waits(config: GraphConfig) -> bool:
    """Whether the world and the controller wait for the plan of a tick: ours, unless told otherwise, and a replay that says so."""
    lockstep = config.said("controller", "lockstep") if config.lockstep is None else config.lockstep
    return lockstep is not False and (config.world == "builtin" or config.lockstep is True)


def _process(config: GraphConfig, spec: NodeSpec, shared: Mapping[str, Any], derived: Mapping[str, Any]) -> NodeProcess:
    profile, place = config.profile, spec.place
    assert place is not None, f"node {spec.name} has no place in the graph"
    profile.require(spec)
    known = known_parameters(spec)
    common = known if place.clocked else known - {"use_sim_time"}
    defaults, parameters = place.defaults(config), _given(place.parameters(config))
    if unknown := sorted({*defaults, *parameters} - known):
        raise ConfigError(f"parameters of node {spec.name}", ", ".join(unknown), f"declare them in ros/specs/{spec.name}.py")
    files = [node_file(spec.name), *([config.params_file] if config.params_file else [])]
    defaults = {**{name: value for name, value in derived.items() if name in common}, **defaults}
    parameters = {**{name: value for name, value in shared.items() if name in common}, **parameters}
    own = {name: profile.topics.get(topic, topic) for name, topic in place.remaps(config).items()}
    remappings = {**dict(profile.remappings()), **dict(spec.remaps), **own}
    return NodeProcess(spec.name, profile.namespace, spec.module, spec.executable, defaults, tuple(files), parameters,
                       tuple(remappings.items()), config.log_level)


def node_file(name: str) -> Path:
    """The package's own parameter file of node ``name``."""
    return config_folder() / "nodes" / f"{name}.yaml"


def site_sections(name: str, params_file: Path | None) -> list[Section]:
    """The sections of node ``name``'s parameter files: the package's, then the user's."""
    return [*read_parameter_file(node_file(name)), *(read_parameter_file(params_file) if params_file else [])]
