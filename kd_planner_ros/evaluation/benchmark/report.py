"""The table as JSON, CSV, Markdown, a page with plots, and lines for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from kd_planner_ros import __version__
from kd_planner_ros.evaluation.benchmark import plots
from kd_planner_ros.evaluation.benchmark.recipe import FIGURES, LABEL_TEXTS, Paper
from kd_planner_ros.evaluation.benchmark.table import flat_columns, flatten
from kd_planner_ros.evaluation.run_folder import write_text

_DIGITS = {"driving_score": 2, "route_completion": 2}
_OWN = ("collision_rate_per_km", "infraction_rate_per_km")


def write_report(out: Path, rows: Sequence[Mapping[str, Any]], paper: Paper, facts: Mapping[str, Any],
                 missing: Sequence[str]) -> Path:
    """Write ``table.json``, ``table.csv``, ``table.md``, ``report.html`` into ``out``; the page's path.

    Args:
        rows: of ``build_table``. facts: what ``benchmark.json`` holds. missing: models without a drive.
    """
    out = Path(out)
    write_text(out / "table.json", json.dumps({"suite": facts["suite"], "rows": list(rows), "missing": list(missing)},
                                              indent=1, sort_keys=True) + "\n")
    text = io.StringIO()
    table = csv.DictWriter(text, flat_columns(), lineterminator="\n")
    table.writeheader()
    table.writerows(flatten(row) for row in rows)
    write_text(out / "table.csv", text.getvalue())
    write_text(out / "table.md", "\n".join(markdown(rows)) + "\n")
    figures = [plots.score_over_parameters(rows, paper, facts["suite"]), plots.methods_side_by_side(rows)]
    environment = jinja2.Environment(loader=jinja2.PackageLoader("kd_planner_ros.evaluation"), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template("benchmark.html.j2").render(
        rows=[_page_row(row) for row in rows], figures=[figure for figure in figures if figure], missing=list(missing),
        facts={**facts, "vehicles_text": _traffic(facts)}, version=__version__)
    write_text(out / "report.html", page)
    return out / "report.html"


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table for a terminal."""
    width = max([len("model"), *(len(row["model"]) for row in rows)])
    head = f"{'model':<{width}} {'seeds':>5} {'DS':>14} {'paper':>6} {'RC':>7} {'IS':>6} {'coll':>6} {'coll/km':>8} " \
           f"{'infr':>6} {'infr/km':>8} {'Mparam':>7} {'GMAC':>6} {'ms':>6}"
    found = [head]
    for row in rows:
        mean, deviation = row["mean"], row["std"]["driving_score"]
        score = f"{mean['driving_score']:.2f} +-{deviation:5.2f}"
        found.append(
            f"{row['model']:<{width}} {len(row['seeds']):>5} {score:>14} "
            f"{_cell(row['paper'].get('driving_score'), 2):>6} {mean['route_completion']:7.2f} "
            f"{mean['infraction_score']:6.3f} {mean['collision_rate_legacy']:6.3f} "
            f"{mean['collision_rate_per_km']:8.3f} {mean['infraction_rate_legacy']:6.3f} "
            f"{mean['infraction_rate_per_km']:8.3f} "
            f"{_cell(row['parameters'], 2, 1e6):>7} {_cell(row['macs'], 2, 1e9):>6} {_cell(row['latency_ms'], 1):>6}")
    return found


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table for a README: what drove how well, and how well its waypoints fit."""
    head = ("model", "method", "seeds", "driving score", "paper", "completion %", "infraction score", "collisions / km",
            "infractions / km", "held-out error m", "parameters", "MACs", "ms", "paper ms")
    found = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        page = _page_row(row)
        driven = {key: cell["ours"] for key, cell in zip((*FIGURES, *_OWN), page["cells"], strict=True)}
        cells = (row["model"], page["method"], str(len(row["seeds"])), driven["driving_score"],
                 _cell(row["paper"].get("driving_score"), 1), driven["route_completion"], driven["infraction_score"],
                 driven["collision_rate_per_km"], driven["infraction_rate_per_km"], _cell(row["held_out_m"], 2),
                 *page["costs"][1:3], *page["costs"][4:6])
        found.append("| " + " | ".join(cells) + " |")
    return found


def _page_row(row: Mapping[str, Any]) -> dict[str, Any]:
    several = len(row["seeds"]) > 1

    def ours(key: str) -> str:
        digits = _DIGITS.get(key, 3)
        return f"{row['mean'][key]:.{digits}f}" + (f" ± {row['std'][key]:.{digits}f}" if several else "")

    cells = [{"ours": ours(key), "paper": _cell(row["paper"].get(key), _DIGITS.get(key, 3))} for key in FIGURES]
    cells += [{"ours": ours(key), "paper": None} for key in _OWN]
    costs = [_cell(row["held_out_m"], 3), _cell(row["parameters"], 2, 1e6, " M"), _cell(row["macs"], 2, 1e9, " G"), _cell(row["paper_gflops"], 2),
             _cell(row["latency_ms"], 1, suffix=" (busy machine)" if row["busy"] else ""), _cell(row["paper_ms"], 1)]
    return {"model": row["model"], "method": LABEL_TEXTS.get(row["label"], ""), "seeds": row["seeds"], "cells": cells,
            "costs": costs, "engine": row["engine"]}


def _cell(value: float | None, digits: int, unit: float = 1.0, suffix: str = "") -> str:
    return "" if value is None else f"{value / unit:.{digits}f}{suffix}"


def _traffic(facts: Mapping[str, Any]) -> str:
    vehicles = facts.get("vehicles")
    return f"{vehicles} vehicles" if vehicles is not None else "the benchmark's number of vehicles"
