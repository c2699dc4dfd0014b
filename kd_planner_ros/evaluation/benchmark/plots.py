"""The benchmark's drawings as SVG text: driving score over parameters (Figure 1), and the methods beside each other."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from kd_planner_ros.evaluation.benchmark.recipe import LABEL_TEXTS, LABELS, Paper

COLOURS = {"imitation": "#8a8a85", "plankd": "#2a78d6", "teacher": "#161614", "at": "#b97a00", "reviewkd": "#1baf7a",
           "dpk": "#8e5bd0", "no_entropy": "#86b6ef", "no_attention": "#86b6ef", "no_bottleneck": "#86b6ef",
           "": "#c9513f"}
NETWORKS = {"tcp": "TCP", "interfuser": "InterFuser"}
_SETTINGS = {"svg.hashsalt": "kd_planner_ros", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
             "svg.fonttype": "none"}


def score_over_parameters(rows: Sequence[Mapping[str, Any]], paper: Paper, suite: str) -> str:
    """Figure 1: a panel a network, ours as solid lines with the deviation over seeds, the paper's dashed."""
    networks = [name for name in NETWORKS if any(row["network"] == name and row["parameters"] for row in rows)]
    if not networks:
        return ""

    def draw(figure: Any) -> None:
        for axes, network in zip(figure.subplots(1, len(networks), squeeze=False)[0], networks):
            for label in ("teacher", "imitation", "plankd"):
                chosen = [row for row in rows
                          if (row["network"], row["label"]) == (network, label) and row["parameters"]]
                ours = sorted((row["parameters"] / 1e6, row["mean"]["driving_score"], row["std"]["driving_score"])
                              for row in chosen)
                theirs = sorted((float(size.rstrip("m")), found[suite][0]) for (name, size, method), found
                                in paper.results.items() if (name, method) == (network, label) and suite in found)
                if theirs:
                    axes.plot(*zip(*theirs), "o--", color=COLOURS[label], alpha=0.35, ms=4, lw=1,
                              label=f"{LABEL_TEXTS[label]} (paper)")
                if ours:
                    x, y, spread = zip(*ours)
                    axes.errorbar(x, y, spread, fmt="s" if label == "teacher" else "o-", color=COLOURS[label],
                                  capsize=3, label=f"{LABEL_TEXTS[label]} (ours)")
            axes.set(title=f"{NETWORKS[network]}, {suite}", xlabel="parameters (million)", ylabel="driving score",
                     ylim=(0, 103))
            axes.grid(alpha=0.25)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, fontsize=7)

    return _svg(draw, (4.6 * len(networks), 3.4))


def methods_side_by_side(rows: Sequence[Mapping[str, Any]]) -> str:
    """Driving scores of every driven model as bars, ours with the deviation over seeds, the paper's as a mark."""
    if not rows:
        return ""
    shown = sorted(rows, key=lambda r: (r["network"], -(r["parameters"] or 0),
                                        LABELS.index(r["label"]) if r["label"] else len(LABELS), r["model"]))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        places = range(len(shown))[::-1]
        axes.barh(places, [row["mean"]["driving_score"] for row in shown],
                  xerr=[row["std"]["driving_score"] for row in shown],
                  color=[COLOURS[row["label"]] for row in shown], height=0.62, capsize=2)
        marks = [(row["paper"]["driving_score"], place) for row, place in zip(shown, places) if row["paper"]]
        if marks:
            axes.plot(*zip(*marks), "D", color="#e34948", ms=4, label="paper")
            axes.legend(frameon=False, fontsize=7)
        axes.set_yticks(list(places), [row["model"] for row in shown])
        axes.set(xlabel="driving score", xlim=(0, 103))
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
