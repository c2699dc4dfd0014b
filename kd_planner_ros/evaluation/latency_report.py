"""What a latency sweep found: rows with means over seeds, a markdown table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.files import whole_file

FIGURES = ("driving_score", "route_completion", "infraction_score", "collision_rate_per_km", "infraction_rate_per_km")
COLOURS = ("#2a78d6", "#c9513f", "#1baf7a", "#8e5bd0", "#b97a00", "#161614")
MARKS = {"own": "*", "paper-input": "D"}
APART_MS = 3.0
MARK_LABELS = {"own": "at the model's own latency", "paper-input": "at the latency with the paper's input"}


def row(model: str, name: str, ms: float, ticks: int, by_seed: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """One model at one latency: ``mean`` and ``std`` (sample deviation over seeds, None with fewer than two) of each of
    FIGURES; both None where nothing was driven yet."""
    seeds = sorted(by_seed)
    values = {key: np.array([by_seed[seed][key] for seed in seeds]) for key in FIGURES}
    return {"model": model, "latency": name, "ms": ms, "ticks": ticks, "seeds": seeds,
            "mean": {key: float(found.mean()) for key, found in values.items()} if seeds else None,
            "std": {key: float(found.std(ddof=1)) for key, found in values.items()} if len(seeds) > 1 else None,
            "by_seed": {str(seed): by_seed[seed]["driving_score"] for seed in seeds}}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Driving score as markdown: a line a model, a column a latency; mean, deviation over seeds and number of seeds."""
    names = list(dict.fromkeys(one["latency"] for one in rows))
    lines = ["| model | " + " | ".join(name if name in MARKS else f"{name} ms" for name in names) + " |",
             "|---" * (len(names) + 1) + "|"]
    for model in dict.fromkeys(one["model"] for one in rows):
        cells = {one["latency"]: _cell(one) for one in rows if one["model"] == model}
        lines.append(f"| `{model}` | " + " | ".join(cells.get(name, "") for name in names) + " |")
    return "\n".join(lines) + "\n"


def _cell(one: Mapping[str, Any]) -> str:
    where = f" ({one['ms']:.0f} ms)" if one["latency"] in MARKS else ""
    if not one["mean"]:
        return "not driven" + where
    spread = f" ± {one['std']['driving_score']:.1f}" if one["std"] else ""
    return f"{one['mean']['driving_score']:.1f}{spread}{where}, {len(one['seeds'])} seed{'s' * (len(one['seeds']) != 1)}"


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Driving score over simulated latency (ticks of 50 ms), a line a model, bars: deviation over seeds; marks as in ``MARK_LABELS``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(one["model"] for one in rows))
    for index, (model, colour) in enumerate(zip(models, COLOURS * 4, strict=False)):
        shift = APART_MS * (index - (len(models) - 1) / 2.0)  # bars of several models at one latency stay apart
        driven = [one for one in rows if one["model"] == model and one["mean"]]
        curve = sorted({one["ticks"]: one for one in driven}.items())
        if curve:
            axes.errorbar([50.0 * ticks + shift for ticks, _ in curve], [one["mean"]["driving_score"] for _, one in curve],
                          [one["std"]["driving_score"] if one["std"] else 0.0 for _, one in curve], fmt="o-", color=colour,
                          capsize=3, ms=4, lw=1.4, label=model)
        for one in driven:
            if one["latency"] in MARKS:
                axes.plot(50.0 * one["ticks"] + shift, one["mean"]["driving_score"], MARKS[one["latency"]], color=colour, ms=11,
                          mec="white")
    axes.set(xlabel="simulated latency of a plan, ms", ylabel="driving score", ylim=(0, 103))
    axes.grid(alpha=0.25)
    for name in MARKS:
        if any(one["latency"] == name and one["mean"] for one in rows):
            axes.plot([], [], MARKS[name], color="#777777", ms=9, mec="white", label=MARK_LABELS[name])
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
    with whole_file(path) as part:
        figure.savefig(part, dpi=140, format="png", metadata={"Software": None})
