"""The table: a row a model, means and deviations over seeds, beside the published numbers. Plain dicts, no files."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.benchmark.models import ModelFacts
from kd_planner_ros.evaluation.benchmark.outcomes import Outcome
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe, Paper
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec

COSTS = ("held_out_m", "parameters", "macs", "latency_ms", "engine", "busy", "paper_gflops", "paper_ms")
COUNTED = {"drive": "drives", "open_loop": "plans", "cooperative": "plans", "dense": "frames"}
"""By a benchmark's kind: the column that says over how many drives, plans or frames the figures were taken."""


def build_table(spec: BenchmarkSpec, outcomes: Sequence[Outcome], facts: Mapping[str, ModelFacts],
                recipe: Mapping[str, ModelRecipe], paper: Paper, suite: str) -> list[dict[str, Any]]:
    """One row a model that was measured over ``suite``, in the recipe's order, then the others by name.

    A row has ``model``, ``network``, ``size``, ``label``, ``seeds``, and ``drives`` (or ``plans``, ``frames``: ``COUNTED``);
    ``mean`` and ``std`` over seeds (sample deviation, 0 with one seed; None where nothing was behind
    the figure, or the row's label is untaught in it) of each of the
    benchmark's figures; ``paper`` with the published figures where there are some for that model; ``held_out_m``,
    ``parameters``, ``macs``, ``latency_ms``, ``engine``, ``busy``; ``paper_gflops``, ``paper_ms`` where the model's input is the
    published one, else None. Rates of a drive: the legacy unit of PlanKD's tables, and events per km really driven
    (``score.legacy_rate``, ``score.true_rate``).

    Raises:
        ConfigError: the benchmark names a figure that its measurement does not give.
    """
    by_model: dict[str, dict[int, Outcome]] = {}
    for outcome in outcomes:
        if outcome.suite == suite:
            by_model.setdefault(outcome.model, {})[outcome.seed] = outcome
    order = [name for name in recipe if name in by_model] + sorted(set(by_model) - set(recipe))
    return [_row(spec, name, by_model[name], facts.get(name, ModelFacts(name)), recipe.get(name), paper, suite) for name in order]


def _row(spec: BenchmarkSpec, name: str, outcomes: Mapping[int, Outcome], facts: ModelFacts, model: ModelRecipe | None,
         paper: Paper, suite: str) -> dict[str, Any]:
    seeds = sorted(outcomes)
    label = model.label if model else ""
    untaught = tuple(spec.labels[label].untaught) if label in spec.labels else ()
    values = {figure.name: [None if figure.name.startswith(untaught) else _figure(outcomes[seed], figure.name, spec) for seed in seeds]
              for figure in spec.figures}
    network, size = facts.network or (model.network if model else ""), facts.size or (model.size if model else "")
    cost = paper.costs.get((network, size), {}) if facts.papers_input else {}
    return {
        "model": name, "network": network, "size": size, "label": label, "seeds": seeds,
        COUNTED[spec.kind]: sum(outcomes[seed].count for seed in seeds),
        "mean": {key: None if None in found else float(np.mean(found)) for key, found in values.items()},
        "std": {key: None if None in found else float(np.std(found, ddof=1)) if len(seeds) > 1 else 0.0
                for key, found in values.items()},
        "paper": paper.figures(network, size, label, suite),
        "held_out_m": facts.held_out_m, "parameters": facts.parameters, "macs": facts.macs, "latency_ms": facts.latency_ms,
        "engine": facts.engine, "busy": facts.busy, "paper_gflops": cost.get("gflops"), "paper_ms": cost.get("ms")}


def _figure(outcome: Outcome, name: str, spec: BenchmarkSpec) -> float | None:
    if name not in outcome.figures:
        close = difflib.get_close_matches(name, outcome.figures, 3) or sorted(outcome.figures)[:8]
        raise ConfigError(f"figures of benchmark {spec.name} that a measurement of kind {spec.kind} gives", repr(name),
                          f"correct it: {', '.join(close)} ...")
    return outcome.figures[name]


def flat_columns(spec: BenchmarkSpec) -> list[str]:
    """The columns of the CSV file."""
    return ["model", "network", "size", "label", "seeds", COUNTED[spec.kind],
            *(f"{figure.name}_{part}" for figure in spec.figures for part in ("mean", "std")),
            *(f"paper_{name}" for name in spec.paper_figures), *COSTS]


def flatten(spec: BenchmarkSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``build_table`` with the columns of ``flat_columns``; empty strings where nothing is known."""
    flat = {key: row[key] for key in ("model", "network", "size", "label", COUNTED[spec.kind], *COSTS)}
    flat["seeds"] = " ".join(map(str, row["seeds"]))
    flat |= {f"{figure.name}_{part}": row[part][figure.name] for figure in spec.figures for part in ("mean", "std")}
    flat |= {f"paper_{name}": row["paper"].get(name) for name in spec.paper_figures}
    return {key: "" if value is None else value for key, value in flat.items()}
