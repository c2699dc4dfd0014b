"""Writes what a benchmark measured of a model onto its card."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from kd_planner_ros.evaluation.benchmark.models import ModelStore
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec
from kd_planner_ros.evaluation.benchmark.table import COUNTED
from kd_planner_ros.runtime.store import add_scores

PREFIX = {"drive": "closed_loop", "open_loop": "open_loop", "cooperative": "cooperative", "dense": "dense"}
"""By a benchmark's kind: what the name of its scores on a card begins with."""


def put_on_card(spec: BenchmarkSpec, row: Mapping[str, Any], suite: str, store: ModelStore, weights_sha256: str) -> bool:
    """Write ``row`` of the table to the model's card as ``closed_loop_SUITE`` (by the benchmark's kind: ``PREFIX``); whether
    there was a card to write to: that of a model of another folder is not.

    Each figure is the mean over seeds; ``std`` holds the sample deviations. A card of other weights than those that were
    measured (``weights_sha256``) is left alone.

    Raises:
        CardError: the card is broken.
    """
    found = store.get(row["model"])
    if found is None or found.folder.parent != store.folder or found.card.weights_sha256 != weights_sha256:
        return False
    scores = _rounded(row["mean"])
    scores["std"] = _rounded(row["std"])
    seeds, counted = list(row["seeds"]), row[COUNTED[spec.kind]]
    over = {"routes": counted // len(seeds)} if spec.kind == "drive" else {COUNTED[spec.kind]: counted}
    repeat = f" --seeds {len(seeds)}" if spec.kind == "drive" else ""
    scores |= {"seeds": seeds, **over, "date": f"{date.today()}",
               "command": f"{spec.command} --suite {suite} --models {row['model']}{repeat}"}
    add_scores(found.folder, {f"{PREFIX[spec.kind]}_{suite.replace('-', '_')}": scores})
    return True


def _rounded(figures: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: round(value, 3) for name, value in figures.items() if value is not None}
