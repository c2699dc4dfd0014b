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
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation.benchmark import labels, plots
from kd_planner_ros.evaluation.benchmark.recipe import Paper
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec, Figure
from kd_planner_ros.evaluation.benchmark.table import flat_columns, flatten

HEADINGS = {"drive": "Driving", "open_loop": "Plans against recordings",
            "cooperative": "Plans with roadside data against recordings", "dense": "Dense outputs against recorded labels"}


def write_report(out: Path, spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]], paper: Paper, facts: Mapping[str, Any],
                 missing: Sequence[str]) -> Path:
    """Write ``table.json``, ``table.csv``, ``table.md``, ``report.html`` into ``out``, and ``labels.md`` where models of one label differ
    in their seed alone; the page's path.

    Args:
        rows: of ``build_table``. facts: what ``benchmark.json`` holds. missing: models that were not measured.
    """
    out = Path(out)
    write_text(out / "table.json", json.dumps({"suite": facts["suite"], "rows": list(rows), "missing": list(missing)},
                                              indent=1, sort_keys=True) + "\n")
    text = io.StringIO()
    table = csv.DictWriter(text, flat_columns(spec), lineterminator="\n")
    table.writeheader()
    table.writerows(flatten(spec, row) for row in rows)
    write_text(out / "table.csv", text.getvalue())
    write_text(out / "table.md", "\n".join(markdown(spec, rows)) + "\n")
    if grouped := labels.markdown(spec, rows):
        write_text(out / "labels.md", "\n".join(grouped) + "\n")
    figures = [plots.score_over_parameters(spec, rows, paper, facts["suite"]), plots.methods_side_by_side(spec, rows)]
    environment = jinja2.Environment(loader=jinja2.PackageLoader("kd_planner_ros.evaluation"), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template("benchmark.html.j2").render(
        spec=spec, heading=HEADINGS[spec.kind], shown=[figure for figure in spec.figures if figure.text],
        rows=[_page_row(spec, row) for row in rows], figures=[figure for figure in figures if figure], missing=list(missing),
        published=bool(paper.results), unpublished=bool(paper.results) and not paper.has_suite(facts["suite"]),
        facts=facts, over=_over(spec, facts), version=__version__)
    write_text(out / "report.html", page)
    return out / "report.html"


def lines(spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table for a terminal."""
    width = max([len("model"), *(len(row["model"]) for row in rows)])
    first, *others = [figure for figure in spec.figures if figure.short] or [spec.figures[0]]
    columns = [(figure, max(7 if figure.digits < 3 else 6, len(figure.short) + 1)) for figure in others]
    found = [f"{'model':<{width}} {'seeds':>5} {first.short or first.name:>14} {'paper':>6} "
             + "".join(f"{figure.short:>{wide}} " for figure, wide in columns) + f"{'Mparam':>7} {'GMAC':>6} {'ms':>6}"]
    for row in rows:
        mean = row["mean"]
        score = "-" if mean[first.name] is None else f"{mean[first.name]:.{first.digits}f} +-{row['std'][first.name]:5.{first.digits}f}"
        cells = "".join(f"{_cell(mean[figure.name], figure.digits) or '-':>{wide}} " for figure, wide in columns)
        found.append(f"{row['model']:<{width}} {len(row['seeds']):>5} {score:>14} "
                     f"{_cell(row['paper'].get(first.name), first.digits):>6} {cells}"
                     f"{_cell(row['parameters'], 2, 1e6):>7} {_cell(row['macs'], 2, 1e9):>6} {_cell(row['latency_ms'], 1):>6}")
    return found


def markdown(spec: BenchmarkSpec, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table for a README: the figures, the held-out error and the cost of each model."""
    first, *others = [figure for figure in spec.figures if figure.text and figure.brief]
    head = ("model", "method", "seeds", first.text, "paper", *(figure.text for figure in others),
            "held-out error m", "parameters", "MACs", "ms", "paper ms")
    found = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        costs = _costs(row)
        cells = (row["model"], spec.label_text(row["label"]), str(len(row["seeds"])), shown(row, first),
                 _cell(row["paper"].get(first.name), max(first.digits - 1, 1)),
                 *(shown(row, figure) for figure in others), _cell(row["held_out_m"], 2), *costs[1:3], *costs[4:6])
        found.append("| " + " | ".join(cells) + " |")
    return found


def _page_row(spec: BenchmarkSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    cells = [{"ours": shown(row, figure), "paper": _cell(row["paper"].get(figure.name), figure.digits) if figure.paper else None}
             for figure in spec.figures if figure.text]
    return {"model": row["model"], "method": spec.label_text(row["label"]), "seeds": row["seeds"], "cells": cells,
            "costs": _costs(row), "engine": row["engine"]}


def shown(row: Mapping[str, Any], figure: Figure) -> str:
    """Mean and deviation, "-" where nothing was behind the figure."""
    if row["mean"][figure.name] is None:
        return "-"
    deviation = f" ± {row['std'][figure.name]:.{figure.digits}f}" if len(row["seeds"]) > 1 else ""
    return f"{row['mean'][figure.name]:.{figure.digits}f}{deviation}"


def _costs(row: Mapping[str, Any]) -> list[str]:
    return [_cell(row["held_out_m"], 3), _cell(row["parameters"], 2, 1e6, " M"), _cell(row["macs"], 2, 1e9, " G"),
            _cell(row["paper_gflops"], 2), _cell(row["latency_ms"], 1, suffix=" (busy machine)" if row["busy"] else ""),
            _cell(row["paper_ms"], 1)]


def _cell(value: float | None, digits: int, unit: float = 1.0, suffix: str = "") -> str:
    return "" if value is None else f"{value / unit:.{digits}f}{suffix}"


def _over(spec: BenchmarkSpec, facts: Mapping[str, Any]) -> str:
    """What the figures are means over, for the page's first line."""
    if spec.kind != "drive":
        return "means over recordings"
    vehicles = facts.get("vehicles")
    traffic = f"{vehicles} vehicles" if vehicles is not None else "the benchmark's number of vehicles"
    return f"{traffic}; means over routes, ± standard deviation over seeds"
