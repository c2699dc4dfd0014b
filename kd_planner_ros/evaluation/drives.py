"""What a closed-loop evaluation drives: its config, and the drives that it asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.weather_course import WeatherCourse
from kd_planner_ros.evaluation.v2x_attacks import ATTACKS
from kd_planner_ros.v2x.channel_settings import channel_field

EVALUATION_ROUTE_SEED = 1000
"""The default town's routes that scores are reported on; training must not use this seed."""
TOWN_VEHICLES = {"Town01": 120, "Town02": 100, "Town03": 120, "Town04": 200, "Town05": 120, "Town06": 150, "Town07": 110,
                 "Town10HD": 120}
"""Background vehicles a town, as InterFuser and PlanKD evaluate."""
DEFAULT_VEHICLES = 60
SNAP_HELP = "take key points farther than 60 m from every lane to the nearest lane, as CARLA does"
ROLL_HELP = "roll a plan forward from its stamp to now before it is followed; off: hold it as it was made"

DIRECT, OFF, ON = "direct", "off", "on"
RADIO = "with --v2x on"
"""When the fields that set the radio are followed."""


@dataclass(frozen=True)
class ClosedLoopConfig:
    """What to evaluate, and where to write it. Each field is an option of ``kd-planner evaluate closed-loop``."""

    planner: str = field(metadata={"help": "a folder of models/, a path to one, constant_velocity, auto (the best shipped "
                                           "model), or expert (the rule-based driver that sees the truth)"})
    out: Path = field(metadata={"help": "folder to write to; what is finished in it is kept and skipped"})
    map: str = field(default="default", metadata={
        "help": "default, generated:SEED, or a .net.xml or .xodr file, also with .gz"})
    stations: str = field(default="", metadata={
        "help": "stations file (YAML or JSON) in place of the map's own roadside stations"})
    routes: str = field(default="default", metadata={
        "help": "a leaderboard route file (.xml); default: routes drawn from --route-seed; hidden: such routes with one hazard each "
                "that the car cannot see and a roadside station can"})
    routes_count: int = field(default=10, metadata={"help": "number of routes to draw with --routes default or hidden", "low": 1})
    route_seed: int = field(default=EVALUATION_ROUTE_SEED, metadata={"help": "seed the default routes are drawn from", "low": 0})
    route_ids: tuple[str, ...] = field(default=(), metadata={"help": "only the routes with these ids (default: all)"})
    snap: bool = field(default=False, metadata={"help": SNAP_HELP})
    seeds: int = field(default=1, metadata={"help": "number of drives of each route, each with its own traffic", "low": 1})
    first_seed: int = field(default=0, metadata={"help": "seed of the first drive of each route", "low": 0})
    weather: str = field(default="benchmark", metadata={
        "help": "benchmark (the weather of the route's file; without one, sun 70 degrees high, 30 per cent clouds), an id from 0 to 20, "
                "a name such as WetNoon, or all"})
    vehicles: int | None = field(default=None, metadata={
        "help": "background vehicles (default: the benchmark's number for the town, 60 for others)", "low": 0, "high": 500})
    walkers: int | None = field(default=None, metadata={"help": "walkers (default: a third of the vehicles)", "low": 0, "high": 500})
    scenarios: bool = field(default=True, metadata={
        "help": "add scenarios to the traffic: those of the route's file that can be played, or drawn ones"})
    jobs: int = field(default=1, metadata={"help": "parallel processes, one world each", "low": 1, "high": 256})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    report: bool = field(default=False, metadata={
        "help": "keep pictures and write a report.html with an animation for each drive"})
    latency: str = field(default="0", metadata={"metavar": "MS|measured|FILE", "help":
        "simulated time a plan takes: milliseconds, measured (median of 30 plans on this machine), or a JSON file "
        "{\"planner\": NAME, \"latency_ms\": [..]} with one number a plan; a plan acts in the first tick (0.05 s) in which it is ready"})
    fallback_planner: str = field(default="", metadata={
        "help": "second planner, named as --planner is: its plans are followed while the planner is silent and its last plan is stale; "
                "empty: none"})
    fallback_latency: str = field(default="0", metadata={"metavar": "MS|measured|FILE", "help":
        "simulated time a plan of the fallback planner takes, as --latency"})
    roll_forward: bool = field(default=True, metadata={"help": ROLL_HELP})
    v2x: str = field(default=DIRECT, metadata={"choices": (DIRECT, OFF, ON), "help":
        "roadside stations: on (signed messages through a channel and a gateway, for the planner and the supervisor), off, or direct "
        "(a planner that asks for views gets them at once, the supervisor nothing)"})
    v2x_latency_ms: float = channel_field("latency_ms", RADIO)
    v2x_jitter_ms: float = channel_field("jitter_ms", RADIO)
    v2x_loss: float = channel_field("loss", RADIO)
    v2x_burst: float = channel_field("burst", RADIO)
    v2x_bandwidth_kbps: float = channel_field("bandwidth_kbps", RADIO)
    v2x_queue_ms: float = channel_field("queue_ms", RADIO)
    v2x_clock_offset_ms: float = channel_field("clock_offset_ms", RADIO)
    v2x_clock_drift_ppm: float = channel_field("clock_drift_ppm", RADIO)
    v2x_position_noise_m: float = channel_field("position_noise_m", RADIO)
    v2x_velocity_noise_mps: float = channel_field("velocity_noise_mps", RADIO)
    v2x_heading_noise_deg: float = channel_field("heading_noise_deg", RADIO)
    v2x_missed: float = channel_field("missed", RADIO)
    v2x_signals: bool = field(default=False, metadata={
        "help": "with --v2x on: stations send signal phases too, and the supervisor stops before those that are red"})
    v2x_supervisor: bool = field(default=True, metadata={
        "help": "with --v2x on: the supervisor hears the stations too; off: the planner alone, so that its own worth is measured"})
    v2x_cap_unheard: bool = field(default=False, metadata={
        "help": "with --v2x on: the supervisor caps the speed at the crossing of a station in range that nothing at all was accepted from, "
                "too; off: only of one that sent a picture or signal phases and no object list"})
    v2x_attack: str = field(default="none", metadata={"choices": tuple(ATTACKS), "help":
        "with --v2x on: all messages arrive unsigned, forged or replayed, or stations report ghosts, or a flood of messages comes"})


@dataclass(frozen=True)
class Drive:
    """One drive to be done: ``index`` counts over all drives, ``folder`` is its run folder. ``weather`` may change along the route."""

    index: int
    route: Route
    seed: int
    weather: Weather | WeatherCourse
    folder: Path


def choose_weathers(name: str, route: Route | None = None) -> list[Weather | WeatherCourse]:
    """The weathers that ``name`` stands for on ``route``: ``benchmark`` (that of the route's file, else the leaderboard's), an id, a
    preset's name, or ``all``.

    Raises:
        ConfigError: no such weather.
    """
    from kd_planner_ros.world.weather import ROUTE_WEATHER, WEATHERS, route_weather, weather_by

    if name == "benchmark":
        return [ROUTE_WEATHER if route is None else route_weather(route)]
    return list(WEATHERS) if name == "all" else [weather_by(name)]


def traffic(config: ClosedLoopConfig, town: str) -> tuple[int, int]:
    """Vehicles and walkers for ``town``."""
    vehicles = TOWN_VEHICLES.get(town, DEFAULT_VEHICLES) if config.vehicles is None else config.vehicles
    return vehicles, vehicles // 3 if config.walkers is None else config.walkers


def require_route_ids(wanted: Sequence[str], known: Sequence[str]) -> None:
    """Refuse ids that no route has.

    Raises:
        ConfigError: it names them, and those that there are.
    """
    if missing := sorted(set(wanted) - set(known)):
        raise ConfigError(f"--route-ids out of {', '.join(known)}", ", ".join(missing), "correct the ids")


def plan_drives(config: ClosedLoopConfig, routes: Sequence[Route]) -> list[Drive]:
    """All drives in the order of the statistics file: by seed, then weather, then route.

    Raises:
        ConfigError: ``route_ids`` names a route that is not there, or there is no such weather.
    """
    require_route_ids(config.route_ids, [route.name for route in routes])
    chosen = [route for route in routes if not config.route_ids or route.name in config.route_ids]
    weathers = [choose_weathers(config.weather, route) for route in chosen]
    kinds = [(seed, weather, route) for seed in range(config.first_seed, config.first_seed + config.seeds)
             for row in zip(*weathers, strict=True) for weather, route in zip(row, chosen, strict=True)]
    return [Drive(index, route, seed, weather,
                  Path(config.out) / f"seed_{seed}" / f"{_file_name(route.name)}_{_file_name(weather.name)}")
            for index, (seed, weather, route) in enumerate(kinds)]


def claim_folder(config: ClosedLoopConfig, weights: str, fallback_weights: str = "") -> None:
    """Write ``evaluation.json``, or check that the one in the folder describes this evaluation.

    More seeds, other route ids and another number of jobs go on in the same folder; anything else is another
    evaluation.

    Raises:
        ConfigError: the folder holds another evaluation.
    """
    from kd_planner_ros.evaluation.run_folder import lock_settings

    free = {"out", "jobs", "seeds", "route_ids", "report"}
    facts = {key: value for key, value in asdict(config).items() if key not in free} | {"weights_sha256": weights}
    if fallback_weights:
        facts["fallback_weights_sha256"] = fallback_weights
    for name in ("latency", "fallback_latency"):
        if Path(facts[name]).is_file():
            facts[f"{name}_sha256"] = hashlib.sha256(Path(facts[name]).read_bytes()).hexdigest()
    legacy = {one.name: one.default for one in fields(ClosedLoopConfig) if one.name.startswith("v2x")}
    legacy |= {"latency": "0", "roll_forward": False, "stations": "", "snap": False, "fallback_planner": "", "fallback_latency": "0"}
    lock_settings(Path(config.out) / "evaluation.json", facts, "evaluation", legacy)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in text)
