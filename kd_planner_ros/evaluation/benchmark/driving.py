"""Benchmarks of kind ``drive``: a model drives a suite's routes with one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.evaluation import closed_loop, score
from kd_planner_ros.evaluation.benchmark import outcomes
from kd_planner_ros.evaluation.benchmark.suites import Suite
from kd_planner_ros.evaluation.drives import ClosedLoopConfig

Drive = Callable[[ClosedLoopConfig], Any]
"""Does all drives of an evaluation: ``closed_loop.run``, or ``ray_drive.Spread`` over machines."""


def drives_folder(out: Path, model: str, seed: int) -> Path:
    """Where the drives of ``model`` with ``seed`` are kept in the folder ``out`` of a suite."""
    return Path(out) / "drives" / model / f"seed_{seed}"


def drive_model(out: Path, suite: Suite, model: str, planner: str, weights: str, seed: int, settings: Mapping[str, Any],
                drive: Drive) -> bool:
    """Drive ``model`` with ``seed`` unless that was done before; whether it was driven now.

    Args:
        planner: what ``evaluate closed-loop --planner`` takes. weights: the hash of its weights, "" for none.
        settings: further fields of ClosedLoopConfig.

    Raises:
        ConfigError: the outcome that is there belongs to other weights.
    """
    if outcomes.is_done(out, model, seed, weights):
        return False
    config = ClosedLoopConfig(planner, drives_folder(out, model, seed), map=suite.map,
                              routes=suite.routes, seeds=1, first_seed=seed, **settings)
    drive(config)
    records = score.read_records(config.out / "statistics.json")
    outcomes.keep(out, score.statistics(records), model, seed, suite.name, weights)
    return True


def drive_here(config: ClosedLoopConfig) -> Any:
    """All drives of ``config`` in this process or in ``config.jobs`` processes on this machine."""
    return closed_loop.run(config)
