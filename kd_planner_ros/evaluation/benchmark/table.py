"""The table: a row a model, means and deviations over seeds, beside the paper's numbers. Plain dicts, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.evaluation import score
from kd_planner_ros.evaluation.benchmark.driving import Outcome
from kd_planner_ros.evaluation.benchmark.models import ModelFacts
from kd_planner_ros.evaluation.benchmark.recipe import FIGURES, ModelRecipe, Paper

OURS = (*FIGURES, "collision_rate_per_km", "infraction_rate_per_km", "completed")
"""Figures of ``score.summary`` in the table's order: the paper's, then what only we report."""


def build_table(outcomes: Sequence[Outcome], facts: Mapping[str, ModelFacts], recipe: Mapping[str, ModelRecipe],
                paper: Paper, suite: str) -> list[dict[str, Any]]:
    """One row a model that was driven over ``suite``, in the recipe's order, then the others by name.

    A row has ``model``, ``network``, ``size``, ``label``, ``seeds``, ``drives``; ``mean`` and ``std`` over seeds
    (sample deviation, 0 with one seed) of each of ``OURS``; ``paper`` with ``FIGURES`` where the paper has that model;
    ``held_out_m``, ``parameters``, ``macs``, ``latency_ms``, ``engine``, ``busy``; ``paper_gflops``, ``paper_ms`` where the
    model's input is the paper's, else None. Rates: legacy unit of the paper's tables, and events per km really driven
    (``score.legacy_rate``, ``score.true_rate``).
    """
    by_model: dict[str, dict[int, Outcome]] = {}
    for outcome in outcomes:
        if outcome.suite == suite:
            by_model.setdefault(outcome.model, {})[outcome.seed] = outcome
    order = [name for name in recipe if name in by_model] + sorted(set(by_model) - set(recipe))
    return [_row(name, by_model[name], facts.get(name, ModelFacts(name)), recipe.get(name), paper, suite)
            for name in order]


def _row(name: str, outcomes: Mapping[int, Outcome], facts: ModelFacts, model: ModelRecipe | None, paper: Paper,
         suite: str) -> dict[str, Any]:
    seeds = sorted(outcomes)
    each = [score.summary(outcomes[seed].records) for seed in seeds]
    values = {key: np.array([one[key] for one in each]) for key in OURS}
    network, size = facts.network or (model.network if model else ""), facts.size or (model.size if model else "")
    label = model.label if model else ""
    cost = paper.costs.get((network, size), {}) if facts.papers_input else {}
    return {
        "model": name, "network": network, "size": size, "label": label, "seeds": seeds,
        "drives": sum(len(outcomes[seed].records) for seed in seeds),
        "mean": {key: float(found.mean()) for key, found in values.items()},
        "std": {key: float(found.std(ddof=1)) if len(seeds) > 1 else 0.0 for key, found in values.items()},
        "paper": paper.figures(network, size, label, suite),
        "held_out_m": facts.held_out_m, "parameters": facts.parameters, "macs": facts.macs, "latency_ms": facts.latency_ms,
        "engine": facts.engine, "busy": facts.busy, "paper_gflops": cost.get("gflops"), "paper_ms": cost.get("ms")}


def flat_columns() -> list[str]:
    """The columns of the CSV file."""
    return ["model", "network", "size", "label", "seeds", "drives",
            *(f"{key}_{part}" for key in OURS for part in ("mean", "std")), *(f"paper_{key}" for key in FIGURES),
            "held_out_m", "parameters", "macs", "latency_ms", "engine", "busy", "paper_gflops", "paper_ms"]


def flatten(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``build_table`` with the columns of ``flat_columns``; empty strings where nothing is known."""
    flat = {key: row[key] for key in ("model", "network", "size", "label", "drives", "held_out_m", "parameters", "macs", "latency_ms",
                                      "engine", "busy", "paper_gflops", "paper_ms")}
    flat["seeds"] = " ".join(map(str, row["seeds"]))
    flat |= {f"{key}_{part}": row[part][key] for key in OURS for part in ("mean", "std")}
    flat |= {f"paper_{key}": row["paper"].get(key) for key in FIGURES}
    return {key: "" if value is None else value for key, value in flat.items()}
