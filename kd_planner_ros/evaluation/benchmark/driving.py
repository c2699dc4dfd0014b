"""Drives a model over the suite with one seed and keeps the outcome as one JSON file; what is there is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation import closed_loop, score
from kd_planner_ros.evaluation.benchmark.suites import Suite
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.evaluation.run_folder import write_text
from kd_planner_ros.evaluation.score import RouteRecord

Drive = Callable[[ClosedLoopConfig], Any]
"""Does all drives of an evaluation: ``closed_loop.run``, or ``ray_drive.Spread`` over machines."""


@dataclass(frozen=True)
class Outcome:
    """What came of one model and one seed."""

    model: str
    seed: int
    suite: str
    weights_sha256: str
    records: tuple[RouteRecord, ...]


def result_path(out: Path, model: str, seed: int) -> Path:
    """Where the outcome of ``model`` with ``seed`` is kept."""
    return Path(out) / "results" / model / f"seed_{seed}.json"


def read_outcomes(out: Path) -> list[Outcome]:
    """Every outcome in ``out``, by model and seed.

    Raises:
        ConfigError: a file is broken.
    """
    paths = sorted((Path(out) / "results").glob("*/seed_*.json"), key=lambda p: (p.parent.name, int(p.stem[5:])))
    return [_read(path) for path in paths]


def drive_model(out: Path, suite: Suite, model: str, planner: str, weights: str, seed: int, settings: dict[str, Any],
                drive: Drive) -> bool:
    """Drive ``model`` with ``seed`` unless that was done before; whether it was driven now.

    Args:
        planner: what ``evaluate closed-loop --planner`` takes. weights: the hash of its weights, "" for none.
        settings: further fields of ClosedLoopConfig.

    Raises:
        ConfigError: the outcome that is there belongs to other weights.
    """
    path = result_path(out, model, seed)
    if path.exists():
        if _read(path).weights_sha256 != weights:
            raise ConfigError(f"the weights of {model} that {path} was driven with", "other weights",
                              f"delete {path.parent} and {Path(out) / 'drives' / model}, or give another --out")
        return False
    config = ClosedLoopConfig(planner, Path(out) / "drives" / model / f"seed_{seed}", map=suite.map,
                              routes=suite.routes, seeds=1, first_seed=seed, **settings)
    drive(config)
    records = score.read_records(config.out / "statistics.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"model": model, "seed": seed, "suite": suite.name, "weights_sha256": weights}
    write_text(path, json.dumps({**score.statistics(records), **facts}, indent=1, sort_keys=True) + "\n")
    return True


def drive_here(config: ClosedLoopConfig) -> Any:
    """All drives of ``config`` in this process or in ``config.jobs`` processes on this machine."""
    return closed_loop.run(config)


def _read(path: Path) -> Outcome:
    records = tuple(score.read_records(path))
    data = json.loads(path.read_text())
    try:
        return Outcome(data["model"], int(data["seed"]), data["suite"], data["weights_sha256"], records)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the outcome of a drive in {path}", f"{type(error).__name__} {error}",
                          "delete the file; its drives are read again") from None
