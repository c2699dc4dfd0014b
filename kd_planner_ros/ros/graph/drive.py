"""``kd-planner drive`` and ``make drive``: the whole graph as processes, a status line, then a folder of results."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from kd_planner_ros.core.errors import ConfigError, PlannerError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.folders import RUN, require_undriven
from kd_planner_ros.networks.planner import PLANNER
from kd_planner_ros.ros.carla_objects import write_objects
from kd_planner_ros.ros.graph.checks import check_nodes
from kd_planner_ros.ros.graph.console import say as _say
from kd_planner_ros.ros.graph.console import show_status as _status
from kd_planner_ros.ros.graph.console import tell_left_out, tell_scenarios
from kd_planner_ros.ros.graph.describe import GraphConfig, describe
from kd_planner_ros.ros.graph.environment import RANGE, graph_environment, require_graph, shell_words
from kd_planner_ros.ros.graph.rigs import perceiver_facts, perceiver_words, rig_to_mount
from kd_planner_ros.ros.graph.roadside import prepare_roadside
from kd_planner_ros.ros.graph.spares import SPARES, drives_on
from kd_planner_ros.ros.params import SHOW_ROUTE, checked
from kd_planner_ros.ros.profiles import load_profile
from kd_planner_ros.ros.specs import graph_specs
from kd_planner_ros.ros.specs.base import Argument
from kd_planner_ros.ros.specs.planner import PlannerParams
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.runtime.facts import own_folder, planner_facts, resolve_planner, tell_same_fallback

QUIET_S = 10.0
DRIVE_FILES = ("sensors.json", "graph")
"""What a drive leaves in its folder that ended before the car could move: a later drive may take their place."""


def _option(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class DriveConfig:
    """What to drive, where and for how long."""

    planner: str = _option("auto", "folder of models/, a path to one, constant_velocity, or auto: the best shipped model")
    fallback_planner: str = _option("", "second planner, whose plans are followed while the planner is silent and its last plan is stale: "
                                        "folder of models/, a path to one, or constant_velocity; empty: none")
    perception: str = _option("", "perceiver to run beside the planner: folder of models/, a path to one, or auto; empty: none")
    map: str = _option("default", "default, generated:SEED, or a path to a .net.xml or .xodr file, also with .gz")
    route: str = _option(SHOW_ROUTE, "number of a default route (0 to 999), a route file (its first route on the map), FILE:ID, or "
                                     "hidden:NUMBER, a route with a hazard that a roadside station sees and the car does not")
    snap: bool = _option(False, "take key points of a route file farther than 60 m from every lane to the nearest lane")
    seed: int = _option(0, "seed of traffic, walkers and scenarios")
    stations: str = _option("", "stations file (YAML or JSON) in place of the map's own roadside stations")
    vehicles: int = _option(60, "vehicles on the map")
    walkers: int = _option(20, "walkers on the map")
    weather: str = _option("benchmark", "benchmark (the route file's, if any), an id from 0 to 20, or a name such as WetNoon")
    scenarios: bool = _option(True, "scenario actors: pedestrian stepping out, cut-in, hard-braking leader, ...")
    time: float = _option(0.0, "simulated seconds to drive; 0: to the end of the route", low=0.0)
    device: str = _option("cpu", "cpu, cuda or cuda:N")
    engine: str = _option("auto", "inference engine", choices=("auto", "torch", "openvino", "onnxruntime"))
    threads: int = _option(1, "threads of the inference engine")
    models_dir: str = _option("", "folder of models; empty: the shipped ones", metavar="DIR")
    carla_profile: str = _option("carla_bridge", "topic names and message types, a file of config/profiles/ or a path to one")
    role_name: str = _option("", "CARLA role name of the ego; empty: the profile's")
    caption: bool = _option(False, "the planner publishes in words what it sees in its front view: a V2X-VLM that was taught captions")
    out: str = _option("", "folder to write, a new or an empty one; without it runs/<date and time>", metavar="DIR")
    report: bool = _option(True, "write report.html and the animation at the end")
    asked: Mapping[str, str] = field(default_factory=dict, metadata={"cli": False})  # of further_arguments


def further_arguments() -> list[Argument]:
    """Arguments of nodes that ``DriveConfig`` has no field for: each is an option of the command too, and ``asked`` holds its value."""
    own = {one.name for one in fields(DriveConfig)}
    places = [spec.place.arguments for spec in graph_specs() if spec.place is not None]
    return [argument for arguments in places if not own & {name for name, *_ in arguments} for argument in arguments]


class DriveReport(TypedDict):
    """What came of it. Times in seconds; ``status`` in the words of ``score.outcome``; ``sim_per_wall`` is simulated time over wall time
    while driving; ``troubles`` lists the error sentences of the diagnostics; ``interrupted``: Ctrl-C or SIGTERM ended it."""

    run_dir: str
    status: str
    driving_score: float
    route_completion: float
    infraction_score: float
    sim_s: float
    wall_s: float
    sim_per_wall: float
    unanswered_ticks: int
    stop_s: float
    troubles: list[str]
    report: str
    interrupted: bool


def drive(config: DriveConfig) -> DriveReport:
    """Drive one route with world, planner and controller (and a perception node) as separate ROS 2 processes, and report.

    Raises:
        PlannerError: an unknown planner, or a node that died; the run folder is complete then too.
        ConfigError, MapError, RouteError, CardError: what cannot be used, this shell's variables among it, before anything moves.
    """
    check_fields(config)
    require_graph()
    planner, models_dir = resolve_planner(config.planner, config.models_dir)
    facts = planner_facts(planner, models_dir)
    perceiver, seen = perceiver_facts(config.perception, models_dir)
    profile = load_profile(config.carla_profile, config.role_name)
    run_dir = Path(config.out or f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}").resolve()
    second_name, second = perceiver_facts(config.fallback_planner, config.models_dir, PLANNER)
    tell_same_fallback((planner, models_dir), (second_name, config.models_dir))
    keys = tempfile.TemporaryDirectory(prefix="kd_planner_ros_")  # gone with this process
    asked = {**config.asked, "caption": "true" if config.caption else "false"}
    roadside = prepare_roadside(asked, "builtin", config.map, config.stations, str(run_dir), Path(keys.name))
    mounted = rig_to_mount(facts.rig, seen.rig if seen else None, fallback=second.rig if second else None)
    rig = roadside.rig(mounted.rig)
    environment = graph_environment(rig)
    world = {**_world_parameters(config, run_dir), "planner_name": facts.name, "planner_folder": own_folder(planner, models_dir),
             "perceiver": perceiver_words(seen, config.engine)}
    checked(WorldParams, world)
    checked(PlannerParams, {"planner": planner, "device": config.device, "engine": config.engine, "threads": config.threads})
    nodes = describe(GraphConfig(profile, planner, 1.0 / facts.rate_hz, perceiver=perceiver, device=config.device, engine=config.engine,
                                 models_dir=models_dir, perceiver_dir=models_dir, perceiver_sensors=mounted.perceiver_names,
                                 fallback_planner=second_name, fallback_dir=models_dir, threads=config.threads, world_parameters=world,
                                 fallback_period_s=1.0 / second.rate_hz if second else 0.0, asked=roadside.asked_with(rig)))
    check_nodes(nodes)
    require_undriven(run_dir, "--out", DRIVE_FILES)
    run_dir.mkdir(parents=True, exist_ok=True)
    write_objects(run_dir / "sensors.json", rig, profile.role_name)
    try:
        return _conclude(config, run_dir, _run(nodes, run_dir, environment, profile.topics["diagnostics"]))
    except KeyboardInterrupt:  # a second one, or one before the car could move
        tell_left_out(run_dir, config.report)
        raise


def _world_parameters(config: DriveConfig, run_dir: Path) -> dict[str, Any]:
    return {"objects_definition_file": str(run_dir / "sensors.json"), "map": config.map, "route": config.route, "snap": config.snap,
            "stations": config.stations and str(Path(config.stations).resolve()), "seed": config.seed,
            "vehicles": config.vehicles, "walkers": config.walkers, "weather": config.weather,
            "scenarios": config.scenarios, "max_time_s": float(config.time), "run_dir": str(run_dir),
            "planner_device": config.device, "planner_engine": config.engine}


@dataclass
class _Outcome:
    failure: PlannerError | None = None
    lost: PlannerError | None = None
    interrupted: bool = False
    sim_per_wall: float = 0.0
    unanswered: int = 0
    stop_s: float = 0.0
    wall_s: float = 0.0
    troubles: list[str] = field(default_factory=list)


def _run(nodes: list, run_dir: Path, environment: dict[str, str], diagnostics: str) -> _Outcome:
    """Start the nodes, show the status line, and end them when the world has finished or one of them died."""
    from kd_planner_ros.ros.graph.monitor import Monitor
    from kd_planner_ros.ros.graph.processes import Processes
    from kd_planner_ros.ros.graph.watch import HeartbeatWatch

    os.environ.setdefault(RANGE, environment[RANGE])
    _say(f"driving; look inside with {shell_words(environment)}; writing {run_dir}")
    outcome, started_s = _Outcome(), time.monotonic()
    watch = HeartbeatWatch([node.full_name for node in nodes])
    monitor = Monitor(int(environment["ROS_DOMAIN_ID"]), diagnostics, watch.take)
    processes = Processes(nodes, run_dir / "graph", environment)
    try:
        with processes:
            outcome.failure = _watch(monitor, processes, watch, {**os.environ, **environment}, outcome)
            monitor.spin(0.3)  # the world's last words
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        outcome.sim_per_wall = float(monitor.value("world", "sim / wall", 0.0))
        outcome.unanswered = int(monitor.value("world", "unanswered ticks", 0))
        outcome.stop_s, outcome.wall_s = processes.stop_s, time.monotonic() - started_s
        outcome.troubles = monitor.troubles
        monitor.close()
        _say(monitor.line())
    return outcome


def _watch(monitor: Any, processes: Any, watch: Any, environment: Mapping[str, str], outcome: _Outcome) -> PlannerError | None:
    """Wait for the world to finish; None then, else what ended the drive before: a node that died, or a graph that is silent. Where one of
    two planners dies the other drives on, and ``outcome.lost`` says so."""
    shown_s, shown = 0.0, ""
    while True:
        monitor.spin(0.2)
        if time.monotonic() - shown_s >= (1.0 if sys.stderr.isatty() else QUIET_S) and monitor.line() != shown:
            shown_s, shown = time.monotonic(), monitor.line()
            _status(shown)
        ended = processes.ended()
        if ended.get("world") == 0:
            return None
        if len(ended) == 1 and drives_on(*next(iter(ended.items())), processes.running):
            outcome.lost = outcome.lost or _lose(processes, *next(iter(ended.items())))
        elif ended:
            _await_standstill(monitor, "world" in ended)
            return _death(processes, *next(iter(ended.items())))
        if watch.silent(processes.begun()):
            return watch.error(processes.last_lines(), environment)


def _death(processes: Any, name: str, status: int) -> PlannerError:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return PlannerError("every node of the graph to run until the end of the route",
                        f"{name} {how}: {processes.last_line(name) or 'no message'}",
                        f"see {processes.log(name)}; what was driven is kept")


def _lose(processes: Any, name: str, status: int) -> PlannerError:
    """Say that node ``name`` has died and who drives on."""
    death = _death(processes, name, status)
    _say(f"{death.got}; {SPARES[name]} drives on")
    return death


def _await_standstill(monitor: Any, world_gone: bool, longest_s: float = 10.0) -> None:
    """A node has died: let the controller bring the car to a stop before the world is ended."""
    until_s = time.monotonic() + longest_s
    while not world_gone and time.monotonic() < until_s:
        monitor.spin(0.5)
        if abs(float(monitor.value("world", "speed m/s", 0.0))) < 0.1:
            return


def _conclude(config: DriveConfig, run_dir: Path, outcome: _Outcome) -> DriveReport:
    """Write ``drive.json`` and the report. What ended the drive early is raised, whatever fails after it."""
    from kd_planner_ros.evaluation import score

    report, unreported = _report(config, run_dir, outcome)
    if outcome.failure is not None:
        raise outcome.failure
    if not (run_dir / "statistics.json").is_file():
        if outcome.interrupted:
            raise KeyboardInterrupt
        raise ConfigError(f"statistics in {run_dir}", "none", f"see the logs in {run_dir / 'graph'}")
    record = score.read_records(run_dir / "statistics.json")[0]
    result = DriveReport(
        run_dir=str(run_dir), status=score.outcome(record.status), driving_score=record.score_composed,
        route_completion=record.score_route, infraction_score=record.score_penalty, sim_s=record.duration_game_s,
        wall_s=round(outcome.wall_s, 2), sim_per_wall=outcome.sim_per_wall, unanswered_ticks=outcome.unanswered,
        stop_s=round(outcome.stop_s, 2), troubles=outcome.troubles, report=report, interrupted=outcome.interrupted)
    write_text(run_dir / "drive.json", json.dumps(result, indent=2) + "\n")
    if unreported is not None:
        raise unreported
    tell_scenarios(record.notes.get("scenarios", ()))
    _say(f"{result['status']}: route {record.score_route:.1f} %, driving score {record.score_composed:.1f}; "
         f"{report or run_dir}")
    if outcome.lost is not None:
        raise outcome.lost
    return result


def _report(config: DriveConfig, run_dir: Path, outcome: _Outcome) -> tuple[str, Exception | None]:
    """The report's path, "" where there is none, and what kept it from being written."""
    if not ((run_dir / RUN).is_file() and config.report):
        return "", None
    from kd_planner_ros.evaluation.report import write

    _say("stopped; writing the report" if outcome.interrupted else "writing the report")
    try:
        return str(write(run_dir)), None
    except Exception as error:  # noqa: BLE001  raised once everything else is written, unless the drive itself failed before it
        _say(f"no report: {' '.join(str(error).split())}")
        return "", error
