"""The benchmark's drawings as SVG text: its first figure over parameters (PlanKD's Figure 1), and the models beside each other."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kd_planner_ros.evaluation.benchmark.recipe import Paper
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec, Label
from kd_planner_ros.networks.describe import describe

UNLABELLED = "#c9513f"
"""Colour of a model without a label."""
_SETTINGS = {"svg.hashsalt": "kd_planner_ros", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
             "svg.fonttype": "none"}


def score_over_parameters(spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]], paper: Paper, suite: str) -> str:
    """A panel a network, ours as solid lines with the deviation over seeds, the published figures dashed; "" without a model
    that has weights, or without a label that is drawn so."""
    first, rows = spec.figures[0], [row for row in rows if row["mean"][spec.figures[0].name] is not None]
    present = {row["network"] for row in rows if row["parameters"]}
    networks = [name for name in spec.networks if name in present] + sorted(present - set(spec.networks))
    if not networks or not any(label.curve for label in spec.labels.values()):
        return ""

    def draw(figure: Any) -> None:
        for axes, network in zip(figure.subplots(1, len(networks), squeeze=False)[0], networks, strict=True):
            for label in (label for label in spec.labels.values() if label.curve):
                chosen = [row for row in rows
                          if (row["network"], row["label"]) == (network, label.name) and row["parameters"]]
                _curves(axes, label, [(row["parameters"] / 1e6, row["mean"][first.name], row["std"][first.name]) for row in chosen],
                        _published(paper, network, label.name, suite, first.name))
            title = describe(network).title
            axes.set(title=f"{title}, {suite}", xlabel="parameters (million)", ylabel=first.text or first.name)
            if first.limit is not None:
                axes.set(ylim=(0, first.limit))
            axes.grid(alpha=0.25)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, fontsize=7)

    return _svg(draw, (4.6 * len(networks), 3.4))


def _curves(axes: Any, label: Label, ours: list[tuple[float, float, float]], theirs: list[tuple[float, float]]) -> None:
    if theirs:
        axes.plot(*zip(*theirs, strict=True), "o--", color=label.colour, alpha=0.35, ms=4, lw=1, label=f"{label.text} (paper)")
    if ours:
        x, y, spread = zip(*sorted(ours), strict=True)
        axes.errorbar(x, y, spread, fmt="s" if label.curve == "points" else "o-", color=label.colour, capsize=3,
                      label=f"{label.text} (ours)")


def _published(paper: Paper, network: str, label: str, suite: str, figure: str) -> list[tuple[float, float]]:
    """(million parameters, figure) of the published rows whose size is a number of parameters, as 13.9m is."""
    found = []
    for (name, size, method), row in paper.results.items():
        millions = re.fullmatch(r"([\d.]+)m", size)
        if (name, method) == (network, label) and millions and figure in row.get(suite, {}):
            found.append((float(millions[1]), row[suite][figure]))
    return sorted(found)


def methods_side_by_side(spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]]) -> str:
    """The first figure of every model as bars, ours with the deviation over seeds, the published one as a mark."""
    first, labels = spec.figures[0], list(spec.labels)
    rows = [row for row in rows if row["mean"][first.name] is not None]
    if not rows:
        return ""
    shown = sorted(rows, key=lambda r: (r["network"], -(r["parameters"] or 0),
                                        labels.index(r["label"]) if r["label"] else len(labels), r["model"]))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        places = range(len(shown))[::-1]
        colours = [spec.labels[row["label"]].colour if row["label"] else UNLABELLED for row in shown]
        axes.barh(places, [row["mean"][first.name] for row in shown], xerr=[row["std"][first.name] for row in shown],
                  color=colours, height=0.62, capsize=2)
        marks = [(row["paper"][first.name], place) for row, place in zip(shown, places, strict=True) if first.name in row["paper"]]
        if marks:
            axes.plot(*zip(*marks, strict=True), "D", color="#e34948", ms=4, label="paper")
            axes.legend(frameon=False, fontsize=7)
        axes.set_yticks(list(places), [row["model"] for row in shown])
        axes.set(xlabel=first.text or first.name)
        if first.limit is not None:
            axes.set(xlim=(0, first.limit))
        axes.grid(axis="x", alpha=0.25)

    return _svg(draw, (7.6, 0.9 + 0.3 * len(shown)))


def _svg(draw: Any, size: tuple[float, float]) -> str:
    """The figure that ``draw`` draws as an <svg> element; the same data give the same text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=False)
    found = text.getvalue()
    return found[found.index("<svg"):]
