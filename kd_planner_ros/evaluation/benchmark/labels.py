"""The table by kind of model: mean and sample deviation over the models of one label, network and size, which differ in their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec, Figure


def by_label(spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a label, network and size, in the order of the benchmark's labels: these three, ``models``, ``mean`` and ``std`` of each
    figure over the models that have it (None where none has), and ``paper``, the published figures; the deviation of one model is None."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for label in spec.labels:
        for row in rows:
            if row["label"] == label:
                groups.setdefault((label, row["network"], row["size"]), []).append(row)
    found = []
    for (label, network, size), own in groups.items():
        values = {figure.name: [row["mean"][figure.name] for row in own if row["mean"][figure.name] is not None] for figure in spec.figures}
        found.append({"label": label, "network": network, "size": size, "models": len(own), "paper": own[0]["paper"],
                      "mean": {name: float(np.mean(known)) if known else None for name, known in values.items()},
                      "std": {name: float(np.std(known, ddof=1)) if len(known) > 1 else None for name, known in values.items()}})
    return found


def markdown(spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as lines of Markdown, published figures in brackets behind ours; empty where no model has a second one of its kind."""
    found = by_label(spec, rows)
    if all(row["models"] < 2 for row in found):
        return []
    shown = [figure for figure in spec.figures if figure.text and figure.brief]
    head = ("model", "network", "trainings", *(figure.text + " (paper)" * figure.paper for figure in shown))
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in found:
        kind = spec.label_text(row["label"]), f"{row['network']} {row['size']}", str(row["models"])
        lines.append("| " + " | ".join((*kind, *(_cell(row, figure) + _paper(row, figure) for figure in shown))) + " |")
    return lines


def _cell(row: Mapping[str, Any], figure: Figure) -> str:
    mean, std = row["mean"][figure.name], row["std"][figure.name]
    if mean is None:
        return "-"
    return f"{mean:.{figure.digits}f}" + ("" if std is None else f" ± {std:.{figure.digits}f}")


def _paper(row: Mapping[str, Any], figure: Figure) -> str:
    return f" ({row['paper'][figure.name]:.{figure.digits}f})" if figure.name in row["paper"] else ""
