"""Benchmarks of kinds ``open_loop``, ``cooperative`` and ``dense``: a model is measured against a suite's recordings."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.evaluation.benchmark import outcomes
from kd_planner_ros.evaluation.benchmark.suites import Suite

EVALUATIONS = {"open_loop": ("kd_planner_ros.evaluation.open_loop", "OpenLoopConfig", "planner", "plans"),
               "cooperative": ("kd_planner_ros.evaluation.cooperative.run", "CooperativeConfig", "planner", "plans"),
               "dense": ("kd_planner_ros.evaluation.dense.run", "DenseConfig", "model", "frames")}
"""By kind: the module with ``run``, its config, the config's field for the model, and the result's key for what was counted."""


def measure_model(out: Path, kind: str, suite: Suite, model: str, place: str, weights: str, settings: Mapping[str, Any],
                  wanted: Sequence[str] = ()) -> bool:
    """Measure ``model`` over the suite's recordings unless that was done before; whether it was measured now.

    The result has no chance in it, so its seed is 0. ``place`` is what the evaluation's own command takes for the model. Figures in
    ``wanted`` of an output that could not be judged (``not_scored``), as depth of a network that never found its scale, are None.

    Raises:
        ConfigError: the outcome that is there belongs to other weights.
    """
    if outcomes.is_done(out, model, 0, weights):
        return False
    module, config, field, counted = EVALUATIONS[kind]
    found = importlib.import_module(module)
    result = found.run(getattr(found, config)(bag=Path(suite.bags), **{field: place}, **settings))
    figures = flatten(result)
    lost = tuple(f"outputs/{name}/" for name in result.get("not_scored", ()))
    figures |= {name: None for name in wanted if name not in figures and name.startswith(lost)} if lost else {}
    outcomes.keep(out, {"figures": figures, "count": result[counted]}, model, 0, suite.name, weights)
    return True


def flatten(result: Mapping[str, Any], before: str = "") -> dict[str, float | None]:
    """Every number in ``result`` by the names that lead to it: {"l2_m": {"0.5": 1.0}} -> {"l2_m/0.5": 1.0}."""
    found: dict[str, float | None] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{before}{name}/")
        elif value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            found[f"{before}{name}"] = value
    return found
