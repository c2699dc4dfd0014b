"""What a launch file asks before it starts anything: which processes, with which files and environment, and whether all can be used.

``ros2 launch`` runs in the ROS system's own Python, which may lack this package's requirements: pip installs them into the
environment that colcon was run from. So a launch file runs the installed executable ``describe_graph``, whose Python is that one.
FOLDER/request.json holds the arguments, FOLDER/answer.json what to start; a request that is refused gets one line and status 2.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from kd_planner_ros.core.errors import ConfigError, KdPlannerError
from kd_planner_ros.core.folders import require_undriven
from kd_planner_ros.networks.planner import PLANNER
from kd_planner_ros.ros.carla_objects import write_objects
from kd_planner_ros.ros.graph.arguments import BUILTIN
from kd_planner_ros.ros.graph.checks import check_nodes
from kd_planner_ros.ros.graph.describe import GraphConfig, NodeProcess, describe
from kd_planner_ros.ros.graph.environment import require_graph, transport_environment
from kd_planner_ros.ros.graph.rigs import perceiver_facts, perceiver_words, rig_to_mount
from kd_planner_ros.ros.graph.roadside import carla_notes, prepare_roadside
from kd_planner_ros.ros.graph.settings import SECTION, read_parameter_file, values_for
from kd_planner_ros.ros.graph.site import Site, in_namespace
from kd_planner_ros.ros.params import ModelParams
from kd_planner_ros.ros.profiles import Profile
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.runtime.facts import ModelFacts, own_folder, planner_facts, tell_same_fallback

REQUEST, ANSWER = "request.json", "answer.json"
TRUE_FALSE = {"true": True, "false": False}
Answer = dict[str, Any]


def prepare_drive(a: Mapping[str, str], folder: Path) -> Answer:
    """The graph of drive.launch.py for its arguments ``a``; "" is an argument that was not given, and left to the parameter files.

    Raises:
        KdPlannerError: what cannot be used.
    """
    if a["world"] != "builtin" and (given := [name for name in BUILTIN if a[name]]):
        raise ConfigError(f"{', '.join(given)} with world:=builtin alone", f"world:={a['world']}", "leave it out, or start "
                          "the built-in world")
    require_graph()
    params_file = Path(a["params_file"]).absolute() if a["params_file"] else None
    site = Site(a, params_file)
    profile = in_namespace(site.profile(), _namespace(a["namespace"]))
    planner, models_dir = site.planner(profile)
    facts = planner_facts(planner, models_dir)
    perceiver, perceiver_dir = site.perceiver(profile) if a["perception"] == "true" else ("", "")
    perceiver, seen = perceiver_facts(perceiver, perceiver_dir)
    fallback, fallback_dir = site.fallback_planner(profile)
    fallback, second = perceiver_facts(fallback, fallback_dir, PLANNER)
    tell_same_fallback((planner, models_dir), (fallback, fallback_dir))
    roadside = prepare_roadside(a, a["world"], a["map"] or WorldParams.map, a["stations"], a["run_dir"], folder)
    mounted = rig_to_mount(facts.rig, seen.rig if seen else None, a["world"] == "builtin", second.rig if second else None)
    rig = roadside.rig(mounted.rig)
    sensors = Path(a["sensors_file"] or folder / "sensors.json").absolute()
    nodes = describe(GraphConfig(
        profile, planner, 1.0 / facts.rate_hz, world=a["world"], perceiver=perceiver, device=a["device"], engine=a["engine"],
        models_dir=models_dir, perceiver_dir=perceiver_dir, perceiver_sensors=mounted.perceiver_names, fallback_planner=fallback,
        fallback_dir=fallback_dir,
        fallback_period_s=1.0 / second.rate_hz if second else 0.0, asked=roadside.asked_with(rig), threads=_number(a, "threads", int),
        use_sim_time=TRUE_FALSE.get(a["use_sim_time"]), params_file=params_file, world_parameters=_world_parameters(a),
        world_defaults=_world_defaults(site, profile, facts, own_folder(planner, models_dir), seen, sensors)))
    check_nodes(nodes, params_file)
    site.require_agreed(nodes)
    for run_dir in filter(None, (node.effective().get("run_dir") for node in nodes)):
        _claim(Path(run_dir))
    write_objects(sensors, rig, profile.role_name, roadside.stations)
    notes = [f"sensor file for carla_spawn_objects: {sensors}", *carla_notes(roadside)] if a["world"] == "carla" else []
    return {"environment": transport_environment(rig), "notes": notes, "nodes": [_node(node, folder) for node in nodes]}


def _world_defaults(site: Site, profile: Profile, facts: ModelFacts, planner_folder: str, seen: ModelFacts | None,
                    sensors: Path) -> dict[str, Any]:
    perceiver = perceiver_words(seen, site.value("engine", "perception", profile.namespace) or ModelParams.engine)
    told = {f"planner_{name}": site.value(name, namespace=profile.namespace) or getattr(ModelParams, name) for name in ("device", "engine")}
    return {"objects_definition_file": str(sensors), "planner_name": facts.name, "planner_folder": planner_folder,
            "perceiver": perceiver, **told}


def _world_parameters(a: Mapping[str, str]) -> dict[str, Any]:
    """The built-in world's parameters that were given."""
    values: dict[str, Any] = {name: a[name] for name in ("map", "route", "stations", "weather", "run_dir")}
    values |= {name: _number(a, name, int) for name in ("seed", "vehicles", "walkers")}
    values |= {name: TRUE_FALSE.get(a[name]) for name in ("scenarios", "snap")} | {"max_time_s": _number(a, "time", float)}
    return {name: value for name, value in values.items() if value not in ("", None)}


def _number(a: Mapping[str, str], name: str, kind: Callable[[str], Any]) -> Any:
    """Argument ``name`` as a number; None where it was not given."""
    try:
        return kind(a[name]) if a[name] else None
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{name}: {wanted}", repr(a[name]), "correct the launch argument") from None


def _claim(run_dir: Path) -> None:
    """Make the run folder, or refuse one that holds a drive or something else."""
    require_undriven(run_dir, "run_dir")
    run_dir.mkdir(parents=True, exist_ok=True)


def _node(node: NodeProcess, folder: Path) -> dict[str, Any]:
    return {"name": node.name, "executable": node.executable, "namespace": node.namespace, "full_name": node.full_name,
            "files": [str(path) for path in node.write(folder)], "remappings": [list(pair) for pair in node.remappings]}


def prepare_train(a: Mapping[str, str], folder: Path) -> Answer:
    """The trainer node of train.launch.py for its arguments ``a``.

    Raises:
        ConfigError: an unknown setting, or a value that the setting refuses.
    """
    from kd_planner_ros.ros.train_params import checked_training

    if _number(a, "processes", int) < 1:
        raise ConfigError("processes: a whole number from 1", a["processes"], "correct the launch argument")
    namespace = _namespace(a["namespace"])
    files = [Path(a["params_file"]).absolute()] if a["params_file"] else []
    sections = [section for path in files for section in read_parameter_file(path)]
    if sections and not any(section.fits(f"{namespace}/trainer") for section in sections):
        raise ConfigError(f"a section for node {namespace}/trainer in {files[0]}", ", ".join(section.nodes for section in sections),
                          "write '/**' for all nodes")
    given = {**{name: value for name, value in values_for(sections, f"{namespace}/trainer").items()
                if not name.startswith("qos_overrides.")}, **_settings(a)}
    given.setdefault("models_dir", str(Path("models").absolute()))  # else the package's own, which colcon writes anew
    own = folder / "trainer.yaml"
    own.write_text(yaml.safe_dump({"/**": {SECTION: {**checked_training(given), "autostart": a["autostart"] != "false"}}}))
    return {"namespace": namespace, "files": [str(path) for path in (*files, own)]}


def _namespace(text: str) -> str:
    """The namespace that the argument says, with one slash before it; "" for the argument that was not given."""
    namespace = "/" + text.strip("/") if text.strip("/") else ""
    if namespace and not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", namespace):
        raise ConfigError("namespace: words of letters, digits and underscores, separated by '/'", repr(text),
                          "correct the launch argument")
    return namespace


def _settings(a: Mapping[str, str]) -> dict[str, Any]:
    """The settings among the launch arguments, by name."""
    values: dict[str, Any] = {name: a[name] for name in ("recipe", "name", "models_dir") if a[name]}
    if a["bags"]:
        values["bags"] = [a["bags"]] if Path(a["bags"]).exists() else _split(a, "bags")
    for word in _split(a, "args"):
        name, sign, value = word.partition(":=")
        if not sign or not name:
            raise ConfigError("args: NAME:=VALUE, separated by spaces", repr(word), "correct it; quote a value that holds a space")
        values[name] = yaml.safe_load(value) if value.startswith("[") else value
    return values


def _split(a: Mapping[str, str], name: str) -> list[str]:
    try:
        return shlex.split(a[name])
    except ValueError as error:
        raise ConfigError(f"{name}: words separated by spaces, quotes in pairs", f"{a[name]!r} ({error})",
                          "put a word that holds a quote into the other kind of quotes") from None


KINDS: dict[str, Callable[[Mapping[str, str], Path], Answer]] = {"drive": prepare_drive, "train": prepare_train}


def main() -> int:
    """Answer the request in the folder that the command line names; 2 where it is refused."""
    folder = Path(sys.argv[1])
    request = json.loads((folder / REQUEST).read_text())
    try:
        answer = KINDS[request["launch"]](request["arguments"], folder)
    except KdPlannerError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"expected to use {error.filename}; got {error.strerror}; give another path or correct its permissions", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    (folder / ANSWER).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
