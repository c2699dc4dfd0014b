"""All drives of a closed-loop evaluation on one HTML page, each with a link to its own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from kd_planner_ros import __version__
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation import report_radio
from kd_planner_ros.evaluation.score import RouteRecord


def write(out: Path, summary: Mapping[str, Any], records: Sequence[RouteRecord], folders: Sequence[Path]) -> Path:
    """Write ``report.html`` into ``out`` and give back its path.

    Args:
        summary: what ``closed_loop.conclude`` found.
        records: one a drive; ``folders`` are their run folders, below ``out``.
    """
    environment = jinja2.Environment(loader=jinja2.PackageLoader("kd_planner_ros.evaluation"), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    rows = [_row(record, folder, out) for record, folder in zip(records, folders, strict=True)]
    path = Path(out) / "report.html"
    write_text(path, environment.get_template("evaluation.html.j2").render(
        summary=summary, rows=rows, cards=_cards(summary), radio=report_radio.of_drives(summary.get("v2x") or {}), version=__version__))
    return path


def _row(record: RouteRecord, folder: Path, out: Path) -> dict[str, Any]:
    page = folder / "report.html"
    return {"route": record.route_id, "seed": record.seed, "weather": record.notes.get("weather", ""),
            "score": record.score_composed, "completion": record.score_route, "penalty": record.score_penalty,
            "status": record.status, "link": page.relative_to(out).as_posix() if page.exists() else "",
            "infractions": [f"{len(texts)} x {kind.replace('_', ' ')}" for kind, texts in record.infractions.items() if texts]}


def _cards(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    mean, std, several = summary["mean"], summary["std"], len(summary["seeds"]) > 1

    def card(label: str, key: str, digits: int, unit: str, note: str, **more: Any) -> dict[str, Any]:
        spread = f"± {std[key]:.{digits}f}; " if several else ""
        return {"label": label, "value": f"{mean[key]:.{digits}f}", "unit": unit, "note": spread + note, **more}

    return [card("Driving score", "driving_score", 1, "/ 100", "mean of completion times penalty", hero=True),
            card("Completion", "route_completion", 1, "%", "of the route"),
            card("Penalty", "infraction_score", 2, "", "1 is clean"),
            card("Collisions", "collision_rate_per_km", 2, "/ km", f"{mean['collision_rate_legacy']:.3f} in PlanKD's unit"),
            card("Rule breaks", "infraction_rate_per_km", 2, "/ km", f"{mean['infraction_rate_legacy']:.3f} in PlanKD's unit"),
            card("Lights run", "red_lights_per_km", 2, "/ km", "red lights, among the rule breaks")]
