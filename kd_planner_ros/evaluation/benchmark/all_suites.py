"""Every suite of a benchmark by one command, and one table over all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation.benchmark.config import ALL, BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.outcomes import read_outcomes
from kd_planner_ros.evaluation.benchmark.pairs import find_pairs
from kd_planner_ros.evaluation.benchmark.report import shown
from kd_planner_ros.evaluation.benchmark.run import BenchmarkReport, begin, run
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec, find_spec


def asks_for_all(config: BenchmarkConfig) -> bool:
    """Whether ``config`` names all suites of its benchmark, and not one that is called so."""
    return config.suite == ALL and ALL not in find_spec(config.benchmark).suites


def run_all(config: BenchmarkConfig, train: Any = None) -> dict[str, Any]:
    """Run every suite of the benchmark, the baseline first. ``suites.md`` and ``suites.json`` in the folder above theirs hold all rows.

    Returns:
        ``benchmark``, ``page`` (path of ``suites.md``), and ``suites``: each one's report.

    Raises:
        As ``run``; what a suite lacks is refused before the first one is measured.
    """
    spec = find_spec(config.benchmark)
    place = Path(config.out) if config.out is not None else spec.out
    names = sorted(spec.suites, key=lambda name: name != spec.baseline)
    each = [replace(config, suite=name, out=place / name) for name in names]
    for one in each:
        begin(one)
    reports = [run(one, train) for one in each]
    lines = table(place, spec, reports)
    write_text(place / "suites.json", json.dumps({one.suite: one.rows for one in reports}, indent=1, sort_keys=True) + "\n")
    write_text(place / "suites.md", "\n".join(lines) + "\n")
    return {"benchmark": spec.name, "page": str(place / "suites.md"), "suites": [asdict(one) for one in reports]}


def table(place: Path, spec: BenchmarkSpec, reports: Sequence[BenchmarkReport]) -> list[str]:
    """The rows of all ``reports`` as lines of Markdown; where there is a baseline with the pairs of drives with a collision."""
    figures = [figure for figure in spec.figures if figure.text and figure.brief]
    paired = ["with a collision", f"only {spec.baseline}", "only here", "p (exact)"] if spec.baseline else []
    head = ["suite", "model", *(figure.text for figure in figures), *paired]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for report in reports:
        folder = place / report.suite
        pairs = find_pairs(folder, spec, report.suite, read_outcomes(folder)) if spec.baseline else {}
        for row in report.rows:
            cells = [report.suite, row["model"], *(shown(row, figure) for figure in figures)]
            lines.append("| " + " | ".join([*cells, *(_paired(pairs.get(row["model"]), report.suite == spec.baseline) if paired else [])])
                         + " |")
    return lines


def _paired(found: dict[str, Any] | None, own: bool) -> list[str]:
    """How many drives had a collision, and how those that differ from the baseline's are split."""
    if found is None:
        return ["-"] * 4
    event = found["events"]["collision"]
    split = ["", "", ""] if own else [str(event["only_baseline"]), str(event["only_other"]), f"{event['p']:.2g}"]
    return [f"{event['other']} of {found['drives']}", *split]
