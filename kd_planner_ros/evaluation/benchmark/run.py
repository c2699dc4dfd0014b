"""The whole benchmark: train what is missing, measure what was not measured, write the table."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.evaluation.benchmark import driving, models, outcomes, pairs, recorded, report, training
from kd_planner_ros.evaluation.benchmark.cards import put_on_card
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe, Paper, read_paper, read_recipe
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec, find_spec, require_known
from kd_planner_ros.evaluation.benchmark.suites import DRAWN, Suite, find_suite, recorded_in, route_names
from kd_planner_ros.evaluation.benchmark.table import build_table
from kd_planner_ros.evaluation.drives import DEFAULT_VEHICLES, TOWN_VEHICLES, require_route_ids
from kd_planner_ros.evaluation.run_folder import lock_settings
from kd_planner_ros.runtime.paths import models_folder

LEGACY_DEFAULTS = {"device": "cpu", "engine": "auto", "benchmark": "plankd", "options": {"roll_forward": False}, "role_name": "",
                   "camera": []}
"""What a ``benchmark.json`` from before these were written in it was measured with."""


@dataclass(frozen=True)
class BenchmarkReport:
    """The result: ``rows`` of the table, models without a result (``missing``), the path of the page."""

    benchmark: str
    suite: str
    rows: list[dict[str, Any]]
    missing: list[str]
    page: str


@dataclass(frozen=True)
class Run:
    """One run of a benchmark: everything that it reads, read once."""

    config: BenchmarkConfig
    spec: BenchmarkSpec
    suite: Suite
    recipe: Mapping[str, ModelRecipe]
    paper: Paper
    paths: training.TrainingPaths
    store: models.ModelStore
    drive: driving.Drive
    known: dict[str, models.ModelFacts] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(self.config.out) if self.config.out is not None else self.spec.out / self.suite.name

    @property
    def settings(self) -> dict[str, Any]:
        """What makes this benchmark itself, for ``benchmark.json``."""
        config, suite = self.config, self.suite
        facts = {"benchmark": self.spec.name, "suite": suite.name, "device": config.device, "engine": config.engine,
                 "options": dict(suite.options)}
        if self.spec.kind != "drive":
            return facts | {"role_name": config.role_name, "camera": list(config.camera)}
        vehicles = config.vehicles if config.vehicles is not None else suite.options.get("vehicles")
        vehicles = TOWN_VEHICLES.get(suite.town, DEFAULT_VEHICLES) if vehicles is None else vehicles
        return facts | {"vehicles": vehicles, "walkers": config.walkers, "route_ids": list(config.route_ids),
                        "routes_count": _routes_count(config, suite) if suite.routes in DRAWN else None}

    @property
    def wanted(self) -> list[str]:
        """The models to measure: those that were asked for, else the recipe's and the benchmark's own."""
        rows = [name for name, model in self.recipe.items() if model.measured]
        return list(dict.fromkeys(self.config.models or (*rows, *self.spec.models)))

    def seeds(self, name: str) -> Sequence[int]:
        """Seeds of the traffic that model ``name`` drives with; where nothing drives there is one measurement."""
        if self.spec.kind != "drive":
            return (0,)
        traffic = self.recipe[name].traffic if name in self.recipe else None
        return range(self.config.seeds) if traffic is None else (traffic,)

    def facts(self, name: str, again_if_busy: bool = False) -> models.ModelFacts:
        """What is known of model ``name``, measured once; ``again_if_busy``: anew where the machine was busy the last time."""
        if name not in self.known or again_if_busy:
            config = self.config
            self.known[name] = models.model_facts(name, self.store, self.folder / "models" / f"{name}.json", config.latency_frames,
                                                  config.device, config.engine, again_if_busy)
        return self.known[name]


def begin(config: BenchmarkConfig) -> Run:
    """The run that ``config`` describes, checked; nothing is written.

    Raises:
        ConfigError: a name, a number, a file or a folder that cannot be used; Ray that is not there.
    """
    check_fields(config)
    _require_whole(config)
    spec = find_spec(config.benchmark)
    recipe = read_recipe(spec, config.recipe)
    suite = find_suite(spec, config.suite, config.maps_dir, config.routes_dir, config.recordings_dir)
    _require_options(spec, suite)
    training.given_options(config.train_options)
    if config.route_ids and spec.kind == "drive":
        require_route_ids(config.route_ids, route_names(suite, _routes_count(config, suite)))
    paths = training.TrainingPaths(config.bags, Path(config.models_dir or models_folder()), config.runs_dir, config.cache,
                                   config.train_device, config.train_options, config.allow_leak, config.maps_dir,
                                   config.role_name, config.camera)
    store = models.ModelStore(paths.models_dir, [name for name in (*spec.models, *config.models) if name not in recipe])
    run = Run(config, spec, suite, recipe, read_paper(spec), paths, store, _driver(config, spec))
    _require_runtime(config)
    return run


def run(config: BenchmarkConfig, train: Any = None) -> BenchmarkReport:
    """Run the benchmark; the same command goes on where it stopped. ``train`` replaces ``distill.train.train`` (tests).

    Raises:
        ConfigError: as ``begin``.
        BagError, TrainingError, MapError, RouteError, PlannerError, CardError: from training and measuring.
        KeyboardInterrupt: stopped; what was finished is kept.
    """
    this = begin(config)
    names, absent = _names(this)
    _require_unseen(this, names)
    prepared = training.prepare(absent, this.paths, train is None)
    lock_settings(this.folder / "benchmark.json", this.settings, "benchmark", LEGACY_DEFAULTS)  # before anything is trained
    if prepared:
        training.train_all(prepared, train)
        this.store.forget()
        _require_unseen(this, names)
    for name in names:  # before the drives keep the machine busy
        this.facts(name, again_if_busy=True)
    for seed in sorted({seed for name in names for seed in this.seeds(name)}):  # by seed: a table over fewer seeds is there early
        for name in (one for one in names if seed in this.seeds(one)):
            _measure(this, name, seed)
            conclude(this)
    result = conclude(this)
    if config.cards and not config.allow_leak:
        weights = {outcome.model: outcome.weights_sha256 for outcome in outcomes.read_outcomes(this.folder)}
        for row in result.rows:
            put_on_card(this.spec, row, this.suite.name, this.store, weights[row["model"]])
    return result


def conclude(this: Run) -> BenchmarkReport:
    """Write table and page from every outcome in the folder."""
    found = outcomes.read_outcomes(this.folder)
    facts = {name: this.facts(name) for name in dict.fromkeys(outcome.model for outcome in found)}
    rows = build_table(this.spec, found, facts, this.recipe, this.paper, this.suite.name)
    missing = [name for name in this.wanted if name not in {row["model"] for row in rows}]
    page = report.write_report(this.folder, this.spec, rows, this.paper, this.settings, missing)
    pairs.write_pairs(this.folder, this.spec, this.suite.name, found)
    return BenchmarkReport(this.spec.name, this.suite.name, rows, missing, str(page))


def _routes_count(config: BenchmarkConfig, suite: Suite) -> int:
    """How many routes are drawn: as the command says, else as the suite does."""
    own = config.routes_count
    return own if own != BenchmarkConfig.__dataclass_fields__["routes_count"].default else int(suite.options.get("routes_count", own))


def _require_whole(config: BenchmarkConfig) -> None:
    """Refuse to put scores of a part of the suite on cards, where they would stand for the whole."""
    known = BenchmarkConfig.__dataclass_fields__
    parts = [name for name in ("route_ids", "routes_count", "vehicles", "walkers")
             if getattr(config, name) != known[name].default]
    if config.cards and parts:
        raise ConfigError("--cards with the suite's own routes and traffic",
                          ", ".join("--" + name.replace("_", "-") for name in parts), "leave --cards out, or the other options")


def _require_unseen(this: Run, names: Sequence[str]) -> None:
    if this.paths.allow_leak:
        return
    shown = recorded_in(this.suite, this.config.role_name, this.config.camera)
    for name in names:
        models.require_unseen(name, this.store, this.suite.town, shown)


def _require_options(spec: BenchmarkSpec, suite: Suite) -> None:
    """Refuse an option of the suite that its evaluation does not have."""
    module, kind = {"drive": ("drives", "ClosedLoopConfig"), "open_loop": ("open_loop", "OpenLoopConfig"),
                    "cooperative": ("cooperative.config", "CooperativeConfig"), "dense": ("dense.config", "DenseConfig")}[spec.kind]
    evaluation = getattr(importlib.import_module(f"kd_planner_ros.evaluation.{module}"), kind)
    require_known(suite.options, evaluation.__dataclass_fields__, f"'options' of suite {suite.name} of benchmark {spec.name}")


def _require_runtime(config: BenchmarkConfig) -> None:
    """Refuse a device or an engine that is not there, before hours are spent on training."""
    from kd_planner_ros.runtime.engines import require_device, require_engine

    require_device(config.device)
    require_engine(config.engine, config.device)


def _driver(config: BenchmarkConfig, spec: BenchmarkSpec) -> driving.Drive:
    if config.ray is None:
        return driving.drive_here
    if spec.kind != "drive":
        raise ConfigError("--ray with a benchmark that drives", f"'{spec.name}', of kind {spec.kind}", "leave --ray out")
    from kd_planner_ros.evaluation.benchmark import ray_drive

    return ray_drive.Spread(ray_drive.connect(config.ray))


def _names(this: Run) -> tuple[list[str], list[ModelRecipe]]:
    """The models to measure, and what must be trained for that: nothing with --no-train, which leaves out what is missing."""
    config, folder = this.config, this.paths.models_dir
    wanted = this.wanted
    absent = training.missing(wanted, this.recipe, this.paths, config.train, this.store)
    if config.train:
        return wanted, absent
    left = {model.name for model in absent}
    if config.models and (gone := [name for name in config.models if name in left]):
        raise ConfigError(f"the models {', '.join(gone)} in {folder}", "no finished weights",
                          "train them (--train with --bags), or name others with --models")
    found = [name for name in wanted if name not in left]
    if not found:
        raise ConfigError(f"a model of the recipe in {folder}", "none", "give --train with --bags, or --models")
    if left:
        print(f"left out, not trained: {', '.join(name for name in wanted if name in left)}", file=sys.stderr)
    return found, []


def _measure(this: Run, name: str, seed: int) -> None:
    config, found, options = this.config, this.store.get(name), this.suite.options
    weights, place = (found.card.weights_sha256, str(found.folder)) if found else ("", name)
    settings = {"device": config.device, "engine": config.engine}
    if this.spec.kind != "drive":
        topics = {key: value for key in ("role_name", "camera") if (value := getattr(config, key))}
        recorded.measure_model(this.folder, this.spec.kind, this.suite, name, place, weights, settings | options | topics,
                               [figure.name for figure in this.spec.figures])
        return
    settings |= {"routes_count": config.routes_count, "route_ids": tuple(config.route_ids), "vehicles": config.vehicles,
                 "walkers": config.walkers, "jobs": config.jobs}
    known = BenchmarkConfig.__dataclass_fields__
    given = {key: value for key, value in settings.items() if value != known[key].default}  # the command wins over the suite
    driving.drive_model(this.folder, this.suite, name, place, weights, seed, settings | options | given, this.drive)
