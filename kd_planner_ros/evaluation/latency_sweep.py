"""Driving score against latency: each model over the same routes with increasing latency.

Layout of the output folder: ``sweep.json`` (what is swept), ``measured.json`` (this machine's latencies), ``drives/``
(a closed-loop evaluation for each model, number of ticks and seed; what is finished is kept), and ``latency.json``,
``latency.md``, ``latency.png``, written anew after each of them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation import closed_loop, latency_report
from kd_planner_ros.evaluation.drives import ROLL_HELP, SNAP_HELP, ClosedLoopConfig
from kd_planner_ros.evaluation.latency import MOST_MS, TICK_MS, ticks_of
from kd_planner_ros.evaluation.run_folder import lock_settings

OWN, PAPER_INPUT = "own", "paper-input"
MEASURED_FRAMES = 60


@dataclass(frozen=True)
class SweepConfig:
    """What to sweep, and where to write it. Each field is an option of ``kd-planner evaluate latency-sweep``."""

    out: Path = field(metadata={"help": "folder to write to; what is finished in it is kept and skipped"})
    models: tuple[str, ...] = field(default=(), metadata={"help": "planners with weights (default: all shipped ones)"})
    latencies: tuple[str, ...] = field(default=("0", OWN, PAPER_INPUT, "50", "100", "200", "400"), metadata={"help":
        f"milliseconds a plan; {OWN}: the model's, {PAPER_INPUT}: that of its network with the paper's input, both "
        "measured on this machine"})
    map: str = field(default="default", metadata={"help": "default, generated:SEED, or a .net.xml or .xodr file, also with .gz"})
    routes: str = field(default="default", metadata={"help": "a leaderboard route file (.xml), or default"})
    route_ids: tuple[str, ...] = field(default=(), metadata={"help": "only the routes with these ids (default: all)"})
    snap: bool = field(default=False, metadata={"help": SNAP_HELP})
    routes_count: int = field(default=10, metadata={"help": "number of routes to draw with --routes default", "low": 1})
    seeds: int = field(default=3, metadata={"help": "number of traffic seeds", "low": 1})
    vehicles: int | None = field(default=None, metadata={"help": "background vehicles (default: as evaluate closed-loop)",
                                                         "low": 0, "high": 500})
    roll_forward: bool = field(default=True, metadata={"help": ROLL_HELP})
    jobs: int = field(default=1, metadata={"help": "parallel processes, one world each", "low": 1, "high": 256})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})


@dataclass(frozen=True)
class Point:
    """One closed-loop evaluation of the sweep. ``place`` is what ``--planner`` takes."""

    model: str
    place: str
    ticks: int
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its drives lie."""
        return Path(out) / "drives" / self.model / f"ticks_{self.ticks}" / f"seed_{self.seed}"


def run(config: SweepConfig, models: Mapping[str, Path], progress: bool = True,
        measure: Callable[[SweepConfig, Path], dict[str, Any]] | None = None) -> dict[str, Any]:
    """Sweep, and give back what is also written to ``latency.json``.

    Latencies of the same number of ticks are driven once. Order: the first model's latencies, the other models', then
    the next seed, so that a sweep that is stopped early has a whole curve.

    Args:
        models: the folder of each model by its name, in the order of the report.
        measure: measures one model (``measure_model``).

    Raises:
        ConfigError: a latency that is none, or an output folder of another sweep or of other weights.
        MapError, RouteError, PlannerError, CardError: from the map, the routes and the models.
    """
    check_fields(config)
    numbers = _numbers(config.latencies)
    weights = {name: read_card(folder).weights_sha256 for name, folder in models.items()}
    free = ("out", "jobs", "seeds", "latencies", "models")
    facts = {key: value for key, value in asdict(config).items() if key not in free}
    lock_settings(config.out / "sweep.json", json.loads(json.dumps(facts, default=str)), "sweep",
                  {"roll_forward": True, "snap": False})
    wanted = [kind for kind in (OWN, PAPER_INPUT) if kind in config.latencies]
    measured = _measured(config, models, weights, wanted, measure or measure_model)
    ms = {name: {kind: numbers[kind] if kind in numbers else measured[name][kind] for kind in config.latencies} for name in models}
    points = list(plan_points(ms, models, config.seeds))
    for count, point in enumerate(points, 1):
        if not _finished(config.out, point, weights[point.model]):
            if progress:
                print(f"[{count}/{len(points)}] {point.model}, {point.ticks} ticks, seed {point.seed}", file=sys.stderr, flush=True)
            closed_loop.run(_evaluation(config, point), progress)
            conclude(config, ms, measured, points)
    return conclude(config, ms, measured, points)


def plan_points(ms: Mapping[str, Mapping[str, float]], models: Mapping[str, Path], seeds: int) -> Iterator[Point]:
    """The evaluations in their order, each number of ticks once; ``ms`` maps model and latency's name to milliseconds."""
    for seed in range(seeds):
        for name, folder in models.items():
            for ticks in dict.fromkeys(ticks_of(value) for value in ms[name].values()):
                yield Point(name, str(folder), ticks, seed)


def conclude(config: SweepConfig, ms: Mapping[str, Mapping[str, float]], measured: Mapping[str, Any],
             points: Sequence[Point]) -> dict[str, Any]:
    """Write the report over what is finished so far, and give it back."""
    found: dict[tuple[str, int], dict[int, dict[str, float]]] = {}
    for point in points:
        path = point.folder(config.out) / "summary.json"
        if path.exists():
            found.setdefault((point.model, point.ticks), {})[point.seed] = json.loads(path.read_text())["mean"]
    rows = [latency_report.row(name, kind, value, ticks_of(value), found.get((name, ticks_of(value)), {}))
            for name, kinds in ms.items() for kind, value in kinds.items()]
    result = {"map": config.map, "routes": config.routes, "seeds": config.seeds, "tick_ms": TICK_MS, "measured": dict(measured),
              "finished": sum(len(seeds) for seeds in found.values()), "planned": len(points), "rows": rows}
    write_text(config.out / "latency.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    write_text(config.out / "latency.md", latency_report.table(rows))
    latency_report.plot(rows, config.out / "latency.png")
    return result


def measure_model(config: SweepConfig, folder: Path) -> dict[str, Any]:
    """This machine's median milliseconds from pixels to plan, batch 1: ``own`` for the model in ``folder``, ``paper-input``
    for its network and size with the paper's input and random weights; ``engine`` says what ran them."""
    import torch

    from kd_planner_ros.networks.describe import size_of
    from kd_planner_ros.networks.registry import find_network
    from kd_planner_ros.runtime.bench import bench_latency
    from kd_planner_ros.runtime.load import load_planner
    from kd_planner_ros.runtime.store import save_model

    card = read_card(folder)
    network = find_network(card.network)
    own = bench_latency(load_planner(str(folder), config.device, config.engine), MEASURED_FRAMES)
    base = next(base for base in network.configurations if size_of(base) == str(card.config.get("size", "")))
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        save_model(Path(place) / "paper", card.network, base, network.build_model(base).state_dict())
        paper = bench_latency(load_planner(str(Path(place) / "paper"), config.device, config.engine, keep=False), MEASURED_FRAMES)
    return {OWN: own["p50_ms"], PAPER_INPUT: paper["p50_ms"], "engine": own["engine"], "plans": MEASURED_FRAMES}


def _numbers(latencies: Sequence[str]) -> dict[str, float]:
    """The latencies that are numbers, by their text."""
    numbers = {}
    for text in latencies:
        if text in (OWN, PAPER_INPUT):
            continue
        try:
            numbers[text] = float(text)
        except ValueError:
            numbers[text] = -1.0
        if not 0.0 <= numbers[text] <= MOST_MS:
            raise ConfigError(f"--latencies from 0 to {MOST_MS:g} ms, {OWN} or {PAPER_INPUT}", repr(text), "correct --latencies")
    return numbers


def _measured(config: SweepConfig, models: Mapping[str, Path], weights: Mapping[str, str], wanted: Sequence[str],
              measure: Callable[[SweepConfig, Path], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The measured latencies of ``models`` out of ``measured.json``; those that are missing are measured now."""
    path = config.out / "measured.json"
    try:
        known: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        raise ConfigError(f"measured latencies in {path}", "no JSON", "delete the file; the next run measures again") from None
    for name, folder in models.items() if wanted else ():
        if known.get(name, {}).get("weights_sha256") != weights[name]:
            known[name] = {**measure(config, folder), "weights_sha256": weights[name]}
            write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return {name: known[name] for name in models if name in known}


def _finished(out: Path, point: Point, weights: str) -> bool:
    folder = point.folder(out)
    if not (folder / "summary.json").exists():
        return False
    if json.loads((folder / "evaluation.json").read_text()).get("weights_sha256") != weights:
        raise ConfigError(f"the weights of {point.model} that {folder} was driven with", "other weights",
                          f"delete {folder.parents[1]}, or give another --out")
    return True


def _evaluation(config: SweepConfig, point: Point) -> ClosedLoopConfig:
    return ClosedLoopConfig(point.place, point.folder(config.out), map=config.map, routes=config.routes, route_ids=config.route_ids,
                            routes_count=config.routes_count, first_seed=point.seed, vehicles=config.vehicles, jobs=config.jobs,
                            device=config.device, engine=config.engine, latency=f"{point.ticks * TICK_MS:g}",
                            roll_forward=config.roll_forward, snap=config.snap)
