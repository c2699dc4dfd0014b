"""Launch actions out of the one description of the graph. Imported by launch/*.launch.py only: it needs launch_ros."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, LogInfo, RegisterEventHandler, SetEnvironmentVariable
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch_ros.actions import LifecycleNode, Node

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.carla_objects import write_objects
from kd_planner_ros.ros.graph.describe import GraphConfig, NodeProcess, describe
from kd_planner_ros.ros.graph.environment import require_graph, transport_environment
from kd_planner_ros.ros.graph.rigs import perceiver_facts, rig_to_mount
from kd_planner_ros.ros.params import SHOW_ROUTE
from kd_planner_ros.ros.profiles import load_profile
from kd_planner_ros.ros.specs.planner import PlannerParams
from kd_planner_ros.runtime.facts import own_folder, planner_facts, resolve_planner

_COMMON = (
    ("planner", "auto", "folder of models/, a path to one, constant_velocity, or auto: the best shipped model", None),
    ("role_name", "", "CARLA role name of the ego vehicle, part of every topic; empty: the profile's", None),
    ("carla_profile", "carla_bridge", "outside system: topic names and message types, a file of config/profiles/ or a path to one", None),
    ("device", "cpu", "device of the network: cpu, cuda or cuda:N", None),
    ("engine", "auto", "inference engine", ["auto", "torch", "openvino", "onnxruntime"]),
    ("models_dir", "", "folder of models; empty: the package's own", None),
)
_DRIVE = (
    ("world", "builtin", "builtin: start the built-in world; carla: CARLA and its bridge run elsewhere; none: a bag",
     ["builtin", "carla", "none"]),
    ("carla_version", "", "CARLA version, shown in the diagnostics; all versions are read alike; empty: the profile's", None),
    ("perception", "false", "true: run a perception node beside the planner", ["true", "false"]),
    ("perceiver", "auto", "with perception:=true: folder of models/, a path to one, or auto: the first perceiver among the models", None),
    ("threads", str(PlannerParams.threads), "threads of the inference engine", None),
    ("sensors_file", "", "where to write the sensor file for carla_spawn_objects; empty: a temporary folder", None),
)
_BUILTIN = (
    ("map", "default", "built-in world: default, generated:SEED, or a path to a .net.xml or .xodr file, also with .gz", None),
    ("route", SHOW_ROUTE, "built-in world: number of a default route (0 to 999), a route file, or FILE:ID for one of it", None),
    ("stations", "", "built-in world: stations file (YAML or JSON) in place of the map's own roadside stations", None),
    ("seed", "0", "built-in world: seed of traffic, walkers and scenarios", None),
    ("vehicles", "", "built-in world: vehicles on the map; empty: config/nodes/world.yaml's", None),
    ("walkers", "", "built-in world: walkers on the map; empty: config/nodes/world.yaml's", None),
    ("scenarios", "", "built-in world: scenario actors, such as a pedestrian stepping out; empty: config/nodes/world.yaml's",
     ["", "true", "false"]),
    ("weather", "benchmark", "built-in world: benchmark, an id from 0 to 20, or a name such as WetNoon", None),
    ("time", "0", "built-in world: simulated seconds to drive; 0: to the end of the route", None),
    ("run_dir", "", "built-in world: folder for statistics, telemetry, plans and pictures; empty: none", None),
)
_REPLAY = (
    ("bag", None, "recording to play: folder of a rosbag2 recording (mcap or sqlite3)", None),
    ("rate", "0", "times real time; 0: lock-step, as fast as the planner answers", None),
)
_TRAIN = (
    ("recipe", "", "YAML file with settings, sections and stages, as 'kd-planner train --recipe' reads it; empty: none", None),
    ("bags", "", "recordings, or folders of recordings, separated by spaces; empty: the recipe's", None),
    ("name", "", "name of the model; weights and card go to <models_dir>/<name>/; empty: the recipe's, else tcp_student", None),
    ("params_file", "", "YAML with further parameters of the trainer node; empty: the defaults", None),
    ("args", "", "further parameters of the trainer node, NAME:=VALUE separated by spaces, e.g. size:=7.6m epochs:=2.0", None),
    ("processes", "1", "processes that train together on this machine, through torchrun: one for each GPU", None),
    ("autostart", "true", "start at once; false: wait for a lifecycle manager", ["true", "false"]),
)


def _declare(table: tuple) -> list[DeclareLaunchArgument]:
    actions = []
    for name, default, text, choices in table:
        more = {"choices": choices} if choices else {}
        actions.append(DeclareLaunchArgument(name, default_value=default, description=text, **more))
    return actions


def drive_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of drive.launch.py, each with its text."""
    return _declare(_DRIVE[:1] + _COMMON + _DRIVE[1:] + _BUILTIN)


def replay_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of replay.launch.py."""
    return _declare(_REPLAY + _COMMON)


def train_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of train.launch.py."""
    return _declare(_TRAIN)


def _values(context: Any, table: tuple) -> dict[str, str]:
    return {name: context.launch_configurations[name] for name, *_ in table}


def node_action(spec: NodeProcess) -> Node:
    """``spec`` as a launch action: the same process that ``kd-planner drive`` starts."""
    kind = Node if spec.name == "world" else LifecycleNode
    return kind(executable=sys.executable, arguments=["-m", spec.module], name=spec.name, namespace=spec.namespace,
                parameters=[str(spec.parameter_file), dict(spec.parameters)], remappings=list(spec.remappings),
                output="screen", additional_env={"PYTHONUNBUFFERED": "1"}, sigterm_timeout="2", sigkill_timeout="2")


def drive_actions(context: Any) -> list[Any]:
    """The graph of drive.launch.py. When one node of it ends, the launch ends: no car without a controller."""
    require_graph()
    a = _values(context, _DRIVE + _COMMON + _BUILTIN)
    if a["world"] != "builtin" and (given := [name for name, default, *_ in _BUILTIN if a[name] != default]):
        raise ConfigError(f"{', '.join(given)} with world:=builtin alone", f"world:={a['world']}", "leave it out, or start "
                          "the built-in world")
    planner, models_dir = resolve_planner(a["planner"], a["models_dir"])
    facts = planner_facts(planner, models_dir)
    profile = load_profile(a["carla_profile"], a["role_name"], a["carla_version"])
    perceiver, seen = perceiver_facts(a["perceiver"] if a["perception"] == "true" else "", models_dir)
    rig = rig_to_mount(facts.rig, seen.rig if seen else None, pictures=a["world"] == "builtin")
    sensors = Path(a["sensors_file"] or Path(tempfile.mkdtemp(prefix="kd_planner_ros_")) / "sensors.json")
    write_objects(sensors, rig, profile.role_name)
    world = {"objects_definition_file": str(sensors), "map": a["map"], "stations": a["stations"], "route": a["route"],
             "seed": _int(a, "seed"),
             "weather": a["weather"], "max_time_s": _float(a, "time"), "run_dir": a["run_dir"],
             "planner_name": facts.name, "planner_folder": own_folder(planner, models_dir), "planner_device": a["device"],
             "planner_engine": a["engine"]}
    world |= {name: _int(a, name) for name in ("vehicles", "walkers") if a[name]}
    world |= {"scenarios": a["scenarios"] == "true"} if a["scenarios"] else {}
    nodes = describe(GraphConfig(profile, planner, 1.0 / facts.rate_hz, world=a["world"], perceiver=perceiver,
                                 device=a["device"], engine=a["engine"], models_dir=models_dir, threads=_int(a, "threads"),
                                 world_parameters=world))
    notes = [LogInfo(msg=f"sensor file for carla_spawn_objects: {sensors}")] if a["world"] == "carla" else []
    return [*_transport(rig), *notes, *_together([node_action(spec) for spec in nodes])]


def replay_actions(context: Any) -> list[Any]:
    """The graph without a world, and the process that plays the bag and scores the plans."""
    a = _values(context, _REPLAY + _COMMON)
    command = [sys.executable, "-m", "kd_planner_ros.cli.main", "replay", "--bag", a["bag"], "--planner", a["planner"],
               "--rate", a["rate"], "--device", a["device"], "--engine", a["engine"], "--json"]
    for option in ("role_name", "carla_profile", "models_dir"):
        if a[option]:
            command += ["--" + option.replace("_", "-"), a[option]]
    return _together([ExecuteProcess(cmd=command, output="screen")])


def train_actions(context: Any) -> list[Any]:
    """The trainer node, or one of them with helpers under torchrun."""
    a = _values(context, _TRAIN)
    count = _int(a, "processes")
    launcher = [] if count == 1 else ["-m", "torch.distributed.run", f"--nproc-per-node={count}"]
    given = [f"autostart:={a['autostart']}", *(f"{name}:='{a[name]}'" for name in ("recipe", "name") if a[name]), *a["args"].split()]
    given += [f"bags:={json.dumps(a['bags'].split())}"] if a["bags"] else []
    words = [word for one in given for word in ("-p", one)] + (["--params-file", a["params_file"]] if a["params_file"] else [])
    command = [sys.executable, *launcher, "-m", "kd_planner_ros.ros.nodes.trainer_node", "--ros-args", *words]
    return _together([ExecuteProcess(cmd=command, output="screen", sigterm_timeout="40", sigkill_timeout="40")])


def _transport(rig: SensorRig) -> list[Any]:
    """Large sensors need more of Fast DDS's shared memory, where they are sent (docs/ros.md)."""
    return [SetEnvironmentVariable(name, value) for name, value in transport_environment(rig).items()]


def _together(actions: list[Any]) -> list[Any]:
    """``actions``, and a handler for each: when the first of them ends, the launch ends. A second shutdown event would be
    an error of launch_ros."""
    ended: list[Any] = []

    def end(event: Any, context: Any) -> list[Any]:
        ended.append(event)
        if len(ended) > 1 or context.is_shutdown:
            return []
        return [EmitEvent(event=Shutdown(reason="a part of the graph has ended"))]

    return [*(RegisterEventHandler(OnProcessExit(target_action=action, on_exit=end)) for action in actions), *actions]


def _int(values: dict[str, str], name: str) -> int:
    return int(_number(values, name, int))


def _float(values: dict[str, str], name: str) -> float:
    return float(_number(values, name, float))


def _number(values: dict[str, str], name: str, kind: type) -> float:
    try:
        return kind(values[name])
    except ValueError:
        raise ConfigError(f"{name}: {kind.__name__}", repr(values[name]), "correct the launch argument") from None
