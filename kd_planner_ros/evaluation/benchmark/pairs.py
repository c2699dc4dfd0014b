"""A suite of a driving benchmark beside its baseline: drive by drive, with an exact test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation import compare
from kd_planner_ros.evaluation.benchmark.driving import drives_folder
from kd_planner_ros.evaluation.benchmark.outcomes import Outcome, read_outcomes
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec

PAIRS = "pairs.json"
"""Beside it ``pairs.md`` is for readers."""


def find_pairs(folder: Path, spec: BenchmarkSpec, suite: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """``compare.pairs`` by model of the drives of ``suite`` in ``folder`` with those of the benchmark's baseline in the folder beside it,
    over the seeds that both have; empty without a baseline or without its drives.

    Raises:
        ConfigError: the baseline was driven with other weights, routes or traffic.
    """
    base = folder.parent / spec.baseline
    if not spec.baseline or not base.is_dir():
        return {}
    known = {(one.model, one.seed): one for one in read_outcomes(base)}
    shared = [one for one in outcomes if one.suite == suite and (one.model, one.seed) in known]
    found = {}
    for model in dict.fromkeys(one.model for one in shared):
        before: dict[compare.Key, Any] = {}
        after: dict[compare.Key, Any] = {}
        for one in (each for each in shared if each.model == model):
            _require_same(known[model, one.seed], one, base, spec)
            places = [drives_folder(place, model, one.seed) for place in (base, folder)]
            compare.require_alike(*places)
            before |= compare.drives_in(places[0])
            after |= compare.drives_in(places[1])
        found[model] = compare.pairs(before, after)
    return found


def write_pairs(folder: Path, spec: BenchmarkSpec, suite: str, outcomes: Sequence[Outcome]) -> None:
    """Write ``find_pairs`` of a suite that is not the baseline itself, where there are some.

    Raises:
        ConfigError: as ``find_pairs``.
    """
    found = find_pairs(folder, spec, suite, outcomes) if suite != spec.baseline else {}
    if found:
        write_text(folder / PAIRS, json.dumps({"baseline": spec.baseline, "suite": suite, "models": found}, indent=1) + "\n")
        lines = [line for model, one in found.items() for line in ("", f"## {model}", "", *compare.table(one))]
        write_text(folder / "pairs.md", "\n".join([f"# {suite} versus {spec.baseline}", *lines]) + "\n")


def _require_same(before: Outcome, after: Outcome, base: Path, spec: BenchmarkSpec) -> None:
    if before.weights_sha256 != after.weights_sha256:
        raise ConfigError(f"drives of suite {spec.baseline} with the weights of {after.model} that suite {after.suite} has",
                          f"other weights in {base}", f"delete {base} and measure --suite {spec.baseline} again")
