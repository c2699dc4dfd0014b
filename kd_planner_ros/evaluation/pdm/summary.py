"""Means over scenes with their intervals, differences between planners scene by scene, and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.evaluation.pdm import labels
from kd_planner_ros.evaluation.pdm.blocks import TOTALS, Blocks, interval
from kd_planner_ros.evaluation.pdm.measure import Scores
from kd_planner_ros.evaluation.seen_maps import mark, sentence

PARTS = ("NC", "DAC", "DDC", "TLC", "EP", "TTC", "LK", "HC", "EC", "EP_v1", "C")
WANTED_SCENES = 500
"""Figures over fewer scenes are printed with a warning: differences of a few points lie within their intervals."""


def summarise(scores: Mapping[str, Scores], blocks: Blocks, baseline: str) -> dict[str, Any]:
    """By planner: the totals with intervals, the means of the parts, and the difference of each total to ``baseline``, paired by scene.
    Only the scenes of ``blocks`` count; each planner has all of them."""
    return {name: _row(one, scores.get(baseline) if name != baseline else None, blocks) for name, one in scores.items()}


def _row(own: Scores, base: Scores | None, blocks: Blocks) -> dict[str, Any]:
    def column(of: Scores, total: str) -> np.ndarray:
        return np.array([of[key][total] for key in blocks.keys])

    found: dict[str, Any] = {total: blocks.mean(column(own, total)) for total in TOTALS}
    found["parts"] = {part: float(column(own, part).mean()) for part in PARTS}
    if base is not None:
        found["over_baseline"] = {total: blocks.mean(column(own, total) - column(base, total)) for total in TOTALS}
    return found


def tables(result: Mapping[str, Any]) -> list[str]:
    """The result as lines of Markdown: one table a horizon, in per cent, and one by label where there are some."""
    lines: list[str] = []
    seen = result.get("trained_on", {})
    for horizon, one in result["horizons"].items():
        lines += ["", f"Over {horizon} s, {one['scenes']} scenes in {one['blocks']} blocks of time (per cent, 95 % intervals):", "",
                  "| planner | PDMS | EPDMS | EPDMS without human filter | PDMS over baseline | EPDMS over baseline | "
                  + " | ".join(PARTS[:9]) + " | C |", "|---" * (7 + len(PARTS[:9])) + "|"]
        lines += [_line(mark(name, seen), row) for name, row in one["planners"].items()]
        lines += [f"Not scored over {horizon} s: {name}: {why}." for name, why in one["not_scored"].items()]
        if fewer := {name: count for name, count in one["with_plans"].items() if name in one["planners"] and count > one["scenes"]}:
            lines += ["Scenes with plans of its own: " + ", ".join(f"{name} {count}" for name, count in fewer.items()) + "."]
        lines += [f"{name} left the known road in {count} scenes, which count as off the road." for name, count in
                  one.get("beyond", {}).items()]
        lines += _few(horizon, one)
        lines += labels.table(horizon, one)
    return [*lines[1:], *(sentence(name, towns) for name, towns in seen.items())]


def _few(horizon: str, one: Mapping[str, Any]) -> list[str]:
    """What to do where the scenes over ``horizon`` are fewer than ``WANTED_SCENES``; nothing where there are enough, or none."""
    if not one["planners"] or one["scenes"] >= WANTED_SCENES:
        return []
    widest = max(row["PDMS"]["high"] - row["PDMS"]["low"] for row in one["planners"].values())
    return [f"{one['scenes']} scenes over {horizon} s are few: an interval of PDMS is {100.0 * widest:.1f} points wide, and intervals "
            f"from few blocks of time ({one['blocks']}) are too narrow. At least {WANTED_SCENES} scenes that no planner was trained on are "
            "wanted: record more drives of a held-out map ('kd-planner record --no-disturb'), or lower --every-s."]


def _line(name: str, row: Mapping[str, Any]) -> str:
    over = row.get("over_baseline")
    totals = [interval(row[total]) for total in TOTALS] + [interval(over[total], "+") if over else "-" for total in TOTALS[:2]]
    parts = [f"{100.0 * row['parts'][part]:.1f}" for part in (*PARTS[:9], "C")]
    return f"| {name} | " + " | ".join([*totals, *parts]) + " |"
