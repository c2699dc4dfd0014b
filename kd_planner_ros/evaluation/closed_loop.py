"""Closed-loop evaluation: a planner drives routes in the built-in world and gets the leaderboard's scores. No ROS graph.

Layout of the output folder: ``evaluation.json`` (what is evaluated), ``statistics.json`` (the leaderboard's file over all
routes and seeds), ``summary.json`` (means over routes and their spread over seeds), ``report.html``, and one run folder
(``run_folder.py``) a drive under ``seed_<S>/<route>_w<weather>/``. A drive is finished when its ``statistics.json`` is
there; a second call skips finished drives, and writes those reports that an earlier one did not come to.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather

EVALUATION_ROUTE_SEED = 1000
"""The default town's routes that scores are reported on; training must not use this seed."""
TOWN_VEHICLES = {"Town01": 120, "Town02": 100, "Town03": 120, "Town04": 200, "Town05": 120, "Town06": 150, "Town07": 110,
                 "Town10HD": 120}
"""Background vehicles a town, as InterFuser and PlanKD evaluate."""
DEFAULT_VEHICLES = 60


@dataclass(frozen=True)
class ClosedLoopConfig:
    """What to evaluate, and where to write it. Each field is an option of ``kd-planner evaluate closed-loop``."""

    planner: str = field(metadata={"help": "a folder of models/, a path to one, constant_velocity, auto (the best shipped "
                                           "model), or expert (the rule-based driver that sees the truth)"})
    out: Path = field(metadata={"help": "folder to write to; what is finished in it is kept and skipped"})
    map: str = field(default="default", metadata={
        "help": "default, generated:SEED, or a .net.xml or .xodr file"})
    routes: str = field(default="default", metadata={
        "help": "a leaderboard route file (.xml), or default: routes drawn from --route-seed"})
    routes_count: int = field(default=10, metadata={"help": "number of routes to draw with --routes default", "low": 1})
    route_seed: int = field(default=EVALUATION_ROUTE_SEED, metadata={"help": "seed the default routes are drawn from", "low": 0})
    route_ids: tuple[str, ...] = field(default=(), metadata={"help": "only the routes with these ids (default: all)"})
    seeds: int = field(default=1, metadata={"help": "number of drives of each route, each with its own traffic", "low": 1})
    first_seed: int = field(default=0, metadata={"help": "seed of the first drive of each route", "low": 0})
    weather: str = field(default="benchmark", metadata={
        "help": "benchmark (sun 70 degrees high, 30 per cent clouds), an id from 0 to 20, a name such as WetNoon, or all"})
    vehicles: int | None = field(default=None, metadata={
        "help": "background vehicles (default: the benchmark's number for the town, 60 for others)", "low": 0, "high": 500})
    walkers: int | None = field(default=None, metadata={"help": "walkers (default: a third of the vehicles)", "low": 0, "high": 500})
    scenarios: bool = field(default=True, metadata={"help": "add the leaderboard's scenarios to the traffic"})
    jobs: int = field(default=1, metadata={"help": "parallel processes, one world each", "low": 1, "high": 256})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    report: bool = field(default=False, metadata={
        "help": "keep pictures and write a report.html with an animation for each drive"})


@dataclass(frozen=True)
class Drive:
    """One drive to be done: ``index`` counts over all drives, ``folder`` is its run folder."""

    index: int
    route: Route
    seed: int
    weather: Weather
    folder: Path


def run(config: ClosedLoopConfig, progress: bool = True) -> dict[str, Any]:
    """Evaluate, and give back the summary that is also written to ``summary.json``.

    The same config gives the same bytes in every ``statistics.json``, however many jobs there are and however often
    the evaluation was stopped and went on.

    Raises:
        ConfigError: a value is out of range, or the output folder holds another evaluation.
        MapError, RouteError, PlannerError, CardError: from the map, the routes and the planner.
    """
    from kd_planner_ros.evaluation.worker import Setup, drive_one

    check_fields(config)
    setup = Setup(config)  # the map, the routes and the planner are loaded here first: bad input is refused at once
    drives = plan_drives(config, setup.routes())
    claim_folder(config, setup.weights)
    waiting = [drive for drive in drives if not (drive.folder / "statistics.json").exists()]
    bar = _bar(len(drives), len(drives) - len(waiting), config, progress)
    with bar:
        for record in _results(config, setup, waiting, drive_one):
            bar.update()
            bar.set_postfix_str(f"{record['route_id']} {record['scores']['score_composed']:.1f} {record['status']}")
    if config.report:
        _write_missing_reports(drives)
    return conclude(config, drives, setup.name, setup.sensors)


def choose_weathers(name: str) -> list[Weather]:
    """The weathers that ``name`` stands for: ``benchmark``, an id, a preset's name, or ``all``.

    Raises:
        ConfigError: no such weather.
    """
    from kd_planner_ros.world.weather import ROUTE_WEATHER, WEATHERS, weather_by

    if name == "benchmark":
        return [ROUTE_WEATHER]
    return list(WEATHERS) if name == "all" else [weather_by(name)]


def traffic(config: ClosedLoopConfig, town: str) -> tuple[int, int]:
    """Vehicles and walkers for ``town``."""
    vehicles = TOWN_VEHICLES.get(town, DEFAULT_VEHICLES) if config.vehicles is None else config.vehicles
    return vehicles, vehicles // 3 if config.walkers is None else config.walkers


def plan_drives(config: ClosedLoopConfig, routes: Sequence[Route]) -> list[Drive]:
    """All drives in the order of the statistics file: by seed, then weather, then route.

    Raises:
        ConfigError: ``route_ids`` names a route that is not there, or there is no such weather.
    """
    if missing := set(config.route_ids) - {route.name for route in routes}:
        raise ConfigError("--route-ids out of " + ", ".join(route.name for route in routes), ", ".join(sorted(missing)),
                          "correct the ids")
    chosen = [route for route in routes if not config.route_ids or route.name in config.route_ids]
    kinds = [(seed, weather, route) for seed in range(config.first_seed, config.first_seed + config.seeds)
             for weather in choose_weathers(config.weather) for route in chosen]
    return [Drive(index, route, seed, weather,
                  Path(config.out) / f"seed_{seed}" / f"{_file_name(route.name)}_{_file_name(weather.name)}")
            for index, (seed, weather, route) in enumerate(kinds)]


def claim_folder(config: ClosedLoopConfig, weights: str) -> None:
    """Write ``evaluation.json``, or check that the one in the folder describes this evaluation.

    More seeds, other route ids and another number of jobs go on in the same folder; anything else is another
    evaluation.

    Raises:
        ConfigError: the folder holds another evaluation.
    """
    from kd_planner_ros.evaluation.run_folder import claim

    free = {"out", "jobs", "seeds", "route_ids", "report"}
    facts = {key: value for key, value in asdict(config).items() if key not in free} | {"weights_sha256": weights}
    claim(Path(config.out) / "evaluation.json", facts, "evaluation")


def conclude(config: ClosedLoopConfig, drives: Sequence[Drive], name: str, sensors: Sequence[str]) -> dict[str, Any]:
    """Put the drives' records together: writes ``statistics.json``, ``summary.json`` and ``report.html``, gives back the
    summary."""
    from kd_planner_ros.evaluation import overview, score
    from kd_planner_ros.evaluation.run_folder import write_text

    records = [replace(score.read_records(drive.folder / "statistics.json")[0], index=drive.index) for drive in drives]
    out = Path(config.out)
    score.write_statistics(out / "statistics.json", records, len(drives), sensors)
    by_seed = {seed: score.summary([record for record in records if record.seed == seed])
               for seed in sorted({record.seed for record in records})}
    keys = next(iter(by_seed.values())).keys()
    spread = {key: np.array([summary[key] for summary in by_seed.values()]) for key in keys}
    result = {"planner": name, "map": config.map, "drives": len(records), "seeds": list(by_seed),
              "mean": {key: float(values.mean()) for key, values in spread.items()},
              "std": {key: float(values.std(ddof=1)) if len(values) > 1 else 0.0 for key, values in spread.items()},
              "by_seed": {str(seed): summary for seed, summary in by_seed.items()}}
    write_text(out / "summary.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    overview.write(out, result, records, [drive.folder for drive in drives])
    return result


def _results(config: ClosedLoopConfig, setup: Any, drives: Sequence[Drive],
             drive_one: Callable[..., dict]) -> Iterator[dict[str, Any]]:
    """The records of ``drives`` as they are finished."""
    from kd_planner_ros.evaluation.worker import begin, drive_in_worker

    if config.jobs == 1 or len(drives) < 2:
        try:
            for drive in drives:
                yield drive_one(setup, drive)
        finally:
            setup.close()
        return
    context = multiprocessing.get_context("spawn")  # a forked child would share SUMO and Embree with its parent
    pool = ProcessPoolExecutor(min(config.jobs, len(drives)), context, initializer=begin, initargs=(config,))
    try:
        for done in as_completed([pool.submit(drive_in_worker, drive) for drive in drives]):
            yield done.result()
    except BrokenProcessPool:
        raise ConfigError("worker processes that live to the end of their drives", "one was killed",
                          "use fewer --jobs if memory ran out; the same command goes on where it stopped") from None
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write_missing_reports(drives: Sequence[Drive]) -> None:
    """The page of each drive whose pictures are there, but which was stopped between its statistics and its page."""
    from kd_planner_ros.evaluation import report

    for drive in drives:
        if any((drive.folder / "frames").glob("*.jpg")) and not (drive.folder / "report.html").exists():
            report.write(drive.folder)


def _bar(total: int, done: int, config: ClosedLoopConfig, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit="drive", desc=config.planner, disable=not progress, file=sys.stderr,
                dynamic_ncols=True)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in text)
