"""The settings of a benchmark run: what it trains, measures and compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP

ALL = "all"
"""In place of a suite's name: every suite."""


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to train, measure and compare. Each field is an option of ``kd-planner benchmark``; ``benchmark`` is its argument:
    a name, or a path to a file."""

    suite: str = _field("", "which suite of the benchmark (default: the first one), or all: one after the other, and a table over them")
    out: Path | None = _field(None, "folder to write to; what is finished is kept (default: the benchmark's folder/SUITE, for "
                                    "plankd runs/benchmark/SUITE)")
    models: tuple[str, ...] = _field((), "models to measure: names of the recipe or of the models folder, "
                                     "constant_velocity, expert (default: the rows of the recipe, and the models that the benchmark names)")
    seeds: int = _field(3, "drives of each route, each with its own traffic; recordings are read once", low=1)
    jobs: int = _field(1, "parallel processes on this machine", low=1, high=256)
    ray: str | None = _field(None, "address of a Ray cluster to spread the drives over, e.g. auto or ray://host:10001",
                             metavar="ADDRESS")
    train: bool = _field(True, "train the models that are missing, teachers first; with --no-train they are left out")
    bags: tuple[Path, ...] = _field((), "recordings to train from; NETWORK=FOLDER are for that network alone")
    train_options: tuple[str, ...] = _field((), "NAME=VALUE: options of 'kd-planner train' that win over the recipe's")
    recipe: Path | None = _field(None, "recipe file (default: the benchmark's own)")
    models_dir: Path | None = _field(None, "where models lie and are written (default: the installed models folder)")
    runs_dir: Path = _field(Path("runs/train"), "where training keeps checkpoints")
    cache: Path = _field(Path("recordings/cache"), "where the samples made from recordings are kept")
    maps_dir: Path | None = _field(None, "folder with the suites' maps, e.g. Town05.net.xml (default: ../shared/maps)")
    routes_dir: Path | None = _field(None, "folder with the suites' route files (default: ../shared/routes)")
    role_name: str = _field("", ROLE_HELP)
    camera: tuple[str, ...] = _field((), CAMERA_HELP, metavar="NAME=RECORDED")
    recordings_dir: Path = _field(Path("recordings"), "folder with the suites' recordings")
    routes_count: int = _field(10, "number of routes of a suite without a route file", low=1)
    route_ids: tuple[str, ...] = _field((), "only the routes with these ids (default: all)")
    vehicles: int | None = _field(None, "background vehicles (default: the benchmark's number for the town)", low=0, high=500)
    walkers: int | None = _field(None, "walkers (default: a third of the vehicles)", low=0, high=500)
    latency_frames: int = _field(50, "frames of the latency measurement; 0: no measurement", low=0)
    device: str = _field("cpu", "where the measured networks run: cpu, cuda, cuda:1 ...")
    train_device: str = _field("auto", "where training runs: auto, cpu, cuda ...")
    engine: str = _field("auto", "inference engine", choices=("auto", "torch", "openvino", "onnxruntime"))
    cards: bool = _field(False, "write the scores onto the models' cards at the end")
    allow_leak: bool = _field(False, "accept models trained on the suite's own map; their scores must not be reported")
    benchmark: str = field(default="plankd", metadata={"help": "a benchmark's name, or a path to its .yaml file", "cli": False})
