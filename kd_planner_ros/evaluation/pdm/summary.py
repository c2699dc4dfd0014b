"""Means over scenes with their intervals, differences between planners scene by scene, and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.evaluation.pdm.measure import Key, Scores
from kd_planner_ros.evaluation.seen_maps import sentence

TOTALS = ("PDMS", "EPDMS", "EPDMS_unfiltered")
PARTS = ("NC", "DAC", "DDC", "TLC", "EP", "TTC", "LK", "HC", "EC", "EP_v1", "C")
CONFIDENCE = 0.95
WANTED_SCENES = 500
"""Figures over fewer scenes are printed with a warning: differences of a few points lie within their intervals."""


class Blocks:
    """Scenes by blocks of time of their drive: what lies near in time is alike, so whole blocks are drawn.

    ``keys``: the scenes; ``draws`` [R, B] how often each of B blocks is in each of R resamples. The same seed gives the same draws.
    """

    def __init__(self, keys: Sequence[Key], block_s: float, resamples: int, seed: int):
        self.keys = list(keys)
        names = sorted({(name, int(stamp / 1e9 // block_s)) for name, stamp in self.keys})
        rows = {name: row for row, name in enumerate(names)}
        self._block = np.array([rows[name, int(stamp / 1e9 // block_s)] for name, stamp in self.keys], int)
        rng, count = np.random.default_rng([seed, 0x626F6F74]), len(names)
        self.draws = rng.multinomial(count, np.full(count, 1.0 / count), resamples) if count else np.zeros((resamples, 0), int)

    def mean(self, values: Sequence[float]) -> dict[str, float]:
        """Mean of ``values``, one a scene, with the ends of its 95 % interval (percentiles of the resamples)."""
        count = self.draws.shape[1]
        array = np.asarray(values, float)
        sums, sizes = np.bincount(self._block, array, count), np.bincount(self._block, minlength=count)
        means = (self.draws @ sums) / (self.draws @ sizes)
        low, high = np.quantile(means, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
        return {"mean": float(array.mean()), "low": float(low), "high": float(high)}


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
    """The result as lines of Markdown: one table a horizon, in per cent."""
    lines: list[str] = []
    seen = result.get("trained_on", {})
    for horizon, one in result["horizons"].items():
        lines += ["", f"Over {horizon} s, {one['scenes']} scenes in {one['blocks']} blocks of time (per cent, 95 % intervals):", "",
                  "| planner | PDMS | EPDMS | EPDMS without human filter | PDMS over baseline | EPDMS over baseline | "
                  + " | ".join(PARTS[:9]) + " | C |", "|---" * (7 + len(PARTS[:9])) + "|"]
        lines += [_line(name + " (map seen)" * (name.partition(" ")[0] in seen), row) for name, row in one["planners"].items()]
        lines += [f"Not scored over {horizon} s: {name}: {why}." for name, why in one["not_scored"].items()]
        if fewer := {name: count for name, count in one["with_plans"].items() if name in one["planners"] and count > one["scenes"]}:
            lines += ["Scenes with plans of its own: " + ", ".join(f"{name} {count}" for name, count in fewer.items()) + "."]
        lines += [f"{name} left the known road in {count} scenes, which count as off the road." for name, count in
                  one.get("beyond", {}).items()]
        lines += _few(horizon, one)
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
    totals = [_interval(row[total]) for total in TOTALS] + [_interval(over[total], "+") if over else "-" for total in TOTALS[:2]]
    parts = [f"{100.0 * row['parts'][part]:.1f}" for part in (*PARTS[:9], "C")]
    return f"| {name} | " + " | ".join([*totals, *parts]) + " |"


def _interval(one: Mapping[str, float], sign: str = "") -> str:
    return f"{100.0 * one['mean']:{sign}.1f} ({100.0 * one['low']:{sign}.1f} to {100.0 * one['high']:{sign}.1f})"
