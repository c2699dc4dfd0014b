"""The whole benchmark: train what is missing, drive what was not driven, write the table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.evaluation.benchmark import driving, models, report, training
from kd_planner_ros.evaluation.benchmark.cards import put_on_card
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe, read_paper, read_recipe
from kd_planner_ros.evaluation.benchmark.suites import SUITES, Suite, find_suite
from kd_planner_ros.evaluation.benchmark.table import build_table
from kd_planner_ros.evaluation.drives import DEFAULT_VEHICLES, TOWN_VEHICLES
from kd_planner_ros.evaluation.run_folder import claim
from kd_planner_ros.runtime.paths import models_folder


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to train, drive and compare. Each field is an option of ``kd-planner benchmark plankd``."""

    suite: str = _field("town05-short", "which routes to drive", choices=SUITES)
    out: Path | None = _field(None, "folder to write to; what is finished is kept (default: runs/benchmark/SUITE)")
    models: tuple[str, ...] = _field((), "models to drive: names of the recipe or of the models folder, "
                                     "constant_velocity, expert (default: every model of the recipe)")
    seeds: int = _field(3, "drives of each route, each with its own traffic", low=1)
    jobs: int = _field(1, "parallel processes on this machine", low=1, high=256)
    ray: str | None = _field(None, "address of a Ray cluster to spread the drives over, e.g. auto or ray://host:10001",
                             metavar="ADDRESS")
    train: bool = _field(True, "train the models that are missing, teachers first; with --no-train they are left out")
    bags: tuple[Path, ...] = _field((), "recordings to train from; NETWORK=FOLDER are for that network alone")
    train_options: tuple[str, ...] = _field((), "NAME=VALUE: options of 'kd-planner train' that win over the recipe's")
    recipe: Path | None = _field(None, "recipe file (default: config/benchmark_plankd.yaml)")
    models_dir: Path | None = _field(None, "where models lie and are written (default: the installed models folder)")
    runs_dir: Path = _field(Path("runs/train"), "where training keeps checkpoints")
    cache: Path = _field(Path("recordings/cache"), "where the samples made from recordings are kept")
    maps_dir: Path | None = _field(None, "folder with Town05.net.xml (default: ../shared/maps)")
    routes_dir: Path | None = _field(None, "folder with town05_short.xml, town05_long.xml (default: ../shared/routes)")
    routes_count: int = _field(10, "number of routes of default-town", low=1)
    route_ids: tuple[str, ...] = _field((), "only the routes with these ids (default: all)")
    vehicles: int | None = _field(None, "background vehicles (default: the benchmark's number for the town)", low=0, high=500)
    walkers: int | None = _field(None, "walkers (default: a third of the vehicles)", low=0, high=500)
    latency_frames: int = _field(50, "frames to take the latency over; 0: not taken", low=0)
    device: str = _field("cpu", "where the driven networks run: cpu, cuda, cuda:1 ...")
    train_device: str = _field("auto", "where training runs: auto, cpu, cuda ...")
    engine: str = _field("auto", "inference engine", choices=("auto", "torch", "openvino", "onnxruntime"))
    cards: bool = _field(False, "write the scores onto the models' cards at the end")
    allow_leak: bool = _field(False, "take models trained on the suite's own map; no score may be reported then")

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(self.out) if self.out is not None else Path("runs/benchmark") / self.suite


_UNSAID = {name: BenchmarkConfig.__dataclass_fields__[name].default for name in ("device", "engine")}
"""What a ``benchmark.json`` from before these were written in it was driven with."""


@dataclass(frozen=True)
class BenchmarkReport:
    """What came of it: ``rows`` of the table, ``missing`` models, the page."""

    suite: str
    rows: list[dict[str, Any]]
    missing: list[str]
    page: str


def run(config: BenchmarkConfig, train: Any = None) -> BenchmarkReport:
    """Run the benchmark; the same command goes on where it stopped. ``train`` replaces ``distill.train.train`` (tests).

    Raises:
        ConfigError: a name, a number, a file or a folder that cannot be used; Ray that is not there.
        BagError, TrainingError, MapError, RouteError, PlannerError, CardError: from training and driving.
        KeyboardInterrupt: stopped; what was finished is kept.
    """
    check_fields(config)
    _require_whole(config)
    recipe = read_recipe(config.recipe)
    suite = find_suite(config.suite, config.maps_dir, config.routes_dir)
    drive = _driver(config)
    shop = _workshop(config)
    _require_runtime(config)
    names, absent = _names(config, recipe, shop)
    _require_unseen(names, shop, suite)
    training.prepare(absent, shop, train is None)
    claim(config.folder / "benchmark.json", _facts(config, suite), "benchmark", _UNSAID)  # refused before anything is trained
    training.train_all(absent, shop, train)
    _require_unseen(names, shop, suite)
    _all_facts(config, names, again_if_busy=True)  # before the drives keep the machine busy
    for seed in range(config.seeds):  # seed by seed, so that a table over fewer seeds is there early
        for name in names:
            _drive(config, suite, name, shop.models_dir, seed, drive)
            conclude(config, recipe, suite)
    result = conclude(config, recipe, suite)
    if config.cards and not config.allow_leak:
        weights = {outcome.model: outcome.weights_sha256 for outcome in driving.read_outcomes(config.folder)}
        for row in result.rows:
            put_on_card(row, suite.name, shop.models_dir, weights[row["model"]])
    return result


def _require_whole(config: BenchmarkConfig) -> None:
    """Refuse to put scores of a part of the suite on cards, where they would stand for the whole."""
    known = BenchmarkConfig.__dataclass_fields__
    parts = [name for name in ("route_ids", "routes_count", "vehicles", "walkers")
             if getattr(config, name) != known[name].default]
    if config.cards and parts:
        raise ConfigError("--cards with the suite's own routes and traffic",
                          ", ".join("--" + name.replace("_", "-") for name in parts), "leave one or the other out")


def _require_unseen(names: list[str], shop: training.Workshop, suite: Suite) -> None:
    for name in names if not shop.allow_leak else ():
        models.require_unseen(name, shop.models_dir, suite.town)


def _require_runtime(config: BenchmarkConfig) -> None:
    """Refuse a device or an engine that is not there, before hours are spent on training."""
    from kd_planner_ros.runtime.engines import require_device, require_engine

    require_device(config.device)
    require_engine(config.engine, config.device)


def conclude(config: BenchmarkConfig, recipe: Mapping[str, ModelRecipe], suite: Suite) -> BenchmarkReport:
    """Write table and page from every outcome in the folder."""
    outcomes = driving.read_outcomes(config.folder)
    facts = _all_facts(config, list(dict.fromkeys(outcome.model for outcome in outcomes)))
    paper = read_paper()
    rows = build_table(outcomes, facts, recipe, paper, suite.name)
    missing = [name for name in config.models or recipe if name not in {row["model"] for row in rows}]
    page = report.write_report(config.folder, rows, paper, _facts(config, suite), missing)
    return BenchmarkReport(suite.name, rows, missing, str(page))


def _all_facts(config: BenchmarkConfig, names: list[str], again_if_busy: bool = False) -> dict[str, models.ModelFacts]:
    return {name: models.model_facts(name, _workshop(config).models_dir, config.folder / "models" / f"{name}.json",
                                     config.latency_frames, config.device, config.engine, again_if_busy)
            for name in names}


def _driver(config: BenchmarkConfig) -> driving.Drive:
    if config.ray is None:
        return driving.drive_here
    from kd_planner_ros.evaluation.benchmark import ray_drive

    return ray_drive.Spread(ray_drive.connect(config.ray))


def _workshop(config: BenchmarkConfig) -> training.Workshop:
    return training.Workshop(config.bags, Path(config.models_dir or models_folder()), config.runs_dir, config.cache,
                             config.train_device, config.train_options, config.allow_leak,
                             config.maps_dir)


def _names(config: BenchmarkConfig, recipe: Mapping[str, ModelRecipe],
           shop: training.Workshop) -> tuple[list[str], list[ModelRecipe]]:
    """The models to drive, and what must be trained for that: nothing with --no-train, which leaves out what is missing."""
    wanted = list(dict.fromkeys(config.models or recipe))
    absent = training.missing(wanted, recipe, shop, config.train)
    if config.train:
        return wanted, absent
    left = {model.name for model in absent}
    if config.models and (gone := [name for name in config.models if name in left]):
        raise ConfigError(f"the models {', '.join(gone)} in {shop.models_dir}", "no finished weights",
                          "train them (--train with --bags), or name others with --models")
    found = [name for name in wanted if name not in left]
    if not found:
        raise ConfigError(f"a model of the recipe in {shop.models_dir}", "none",
                          "give --train with --bags, or --models")
    if left:
        print(f"left out, not trained: {', '.join(name for name in wanted if name in left)}", file=sys.stderr)
    return found, []


def _drive(config: BenchmarkConfig, suite: Suite, name: str, models_dir: Path, seed: int, drive: driving.Drive) -> None:
    folder = models.model_folder(name, models_dir)
    weights = models.read_card(folder).weights_sha256 if folder else ""
    settings = {"routes_count": config.routes_count, "route_ids": tuple(config.route_ids), "vehicles": config.vehicles,
                "walkers": config.walkers, "jobs": config.jobs, "device": config.device, "engine": config.engine}
    driving.drive_model(config.folder, suite, name, str(folder) if folder else name, weights, seed, settings, drive)


def _facts(config: BenchmarkConfig, suite: Suite) -> dict[str, Any]:
    """What makes this benchmark itself, for ``benchmark.json``."""
    vehicles = config.vehicles
    if vehicles is None:
        vehicles = TOWN_VEHICLES.get(suite.town, DEFAULT_VEHICLES)
    return {"suite": suite.name, "vehicles": vehicles, "walkers": config.walkers, "route_ids": list(config.route_ids),
            "routes_count": config.routes_count if suite.routes == "default" else None, "device": config.device,
            "engine": config.engine}
