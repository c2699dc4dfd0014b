"""Two closed-loop evaluations of the same drives, drive by drive: collisions with an exact test, scores with intervals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.evaluation.score import COLLISIONS, RouteRecord, read_records

TREATED = ("planner", "weights_sha256", "fallback_planner", "fallback_weights_sha256", "latency", "latency_sha256", "fallback_latency",
           "fallback_latency_sha256", "roll_forward", "engine", "device", "v2x")
"""Settings in which two evaluations may differ, and all that begin with ``v2x_``: they say who drives, not where."""
CONFIDENCE = 0.95
RESAMPLES = 5000

Key = tuple[str, int, str]
"""A drive: route, seed, weather."""


@dataclass(frozen=True)
class CompareConfig:
    """What to compare. Each field is an option of ``kd-planner evaluate compare``."""

    baseline: Path = field(metadata={"help": "OUT of an 'evaluate closed-loop'"})
    other: Path = field(metadata={"help": "OUT of another one over the same map, routes, seeds and traffic"})
    resamples: int = field(default=RESAMPLES, metadata={
        "help": "resamples behind each interval (95 %%, bootstrap over routes)", "low": 100, "high": 100_000})
    seed: int = field(default=0, metadata={"help": "seed of the resamples", "low": 0})
    out: Path | None = field(default=None, metadata={"help": "file to write the figures to as JSON (default: none)"})


def run(config: CompareConfig) -> dict[str, Any]:
    """``pairs`` of both evaluations, and their folders as ``baseline`` and ``other``; written to ``config.out`` where that is given.

    Raises:
        ConfigError: as ``require_alike``, ``drives_in`` and ``pairs``.
    """
    check_fields(config)
    require_alike(config.baseline, config.other)
    found = {"baseline": str(config.baseline), "other": str(config.other),
             **pairs(drives_in(config.baseline), drives_in(config.other), config.resamples, config.seed)}
    if config.out is not None:
        write_text(config.out, json.dumps(found, indent=1) + "\n")
    return found


def require_alike(baseline: Path, other: Path) -> None:
    """Refuse two evaluations that differ in more than in who drives and what the radio does.

    Raises:
        ConfigError: an evaluation that is missing; other maps, routes or traffic.
    """
    settings = [_settings(folder) for folder in (baseline, other)]
    if differ := sorted(name for name in settings[0].keys() | settings[1].keys()
                        if name not in TREATED and not name.startswith("v2x_") and settings[0].get(name) != settings[1].get(name)):
        raise ConfigError(f"an evaluation with the {differ[0]} of {baseline} ({settings[0].get(differ[0])!r})",
                          f"{settings[1].get(differ[0])!r} in {other}", "compare evaluations of the same drives")


def pairs(baseline: Mapping[Key, RouteRecord], other: Mapping[Key, RouteRecord], resamples: int = RESAMPLES,
          seed: int = 0) -> dict[str, Any]:
    """The comparison over the drives that both sides have, ``drives`` over ``routes``.

    ``events`` holds for each of ``collision`` (any), ``pedestrian``, ``vehicle`` and ``completed`` the counts of drives
    in which it happened: ``baseline``, ``other``, ``only_baseline``, ``only_other``; and ``p``, of the exact McNemar test, two-sided:
    the probability of so uneven a split of the drives that differ if both were alike. ``scores`` holds for driving score and route
    completion (per cent) both means, and ``difference`` (other minus baseline) with the ends of its interval; ``collision`` beside them
    is that of the share of drives with a collision. ``unpaired`` counts drives that only one of them has, which are left out.

    Raises:
        ConfigError: no drive in common.
    """
    keys = sorted(baseline.keys() & other.keys())
    if not keys:
        raise ConfigError("drives of the same route, seed and weather in both evaluations", "none", "evaluate over the same routes")
    first, second = ([one[key] for key in keys] for one in (baseline, other))
    return {"drives": len(keys), "routes": len({key[0] for key in keys}),
            "unpaired": {"baseline": len(baseline) - len(keys), "other": len(other) - len(keys)},
            "events": {name: _event([happened(one) for one in first], [happened(one) for one in second])
                       for name, happened in EVENTS.items()},
            "scores": _scores(keys, first, second, resamples, seed)}


def _settings(folder: Path) -> dict[str, Any]:
    path = Path(folder) / "evaluation.json"
    if not path.is_file():
        raise ConfigError(f"an evaluation in {folder}", "no evaluation.json", "run 'kd-planner evaluate closed-loop --out' for it first")
    with reading(ConfigError, f"settings of an evaluation in {path}", "delete the folder and evaluate again"):
        return dict(json.loads(path.read_text()))


def drives_in(folder: Path) -> dict[Key, RouteRecord]:
    """The drives of the evaluation in ``folder``. A drive that stands in it twice would be counted twice.

    Raises:
        ConfigError: the evaluation is unfinished or broken, or has a drive twice.
    """
    records = read_records(Path(folder) / "statistics.json")
    found = {(record.route_id, record.seed, str(record.notes.get("weather", ""))): record for record in records}
    if len(found) < len(records):
        raise ConfigError(f"each route, seed and weather once in {folder}", f"{len(records) - len(found)} drives more",
                          "evaluate again into another folder")
    return found


def _collided(kinds: Sequence[str], record: RouteRecord) -> bool:
    return any(record.infractions.get(kind) for kind in kinds)


EVENTS: Mapping[str, Callable[[RouteRecord], bool]] = {
    "collision": lambda record: _collided(COLLISIONS, record),
    "pedestrian": lambda record: _collided(("collisions_pedestrian",), record),
    "vehicle": lambda record: _collided(("collisions_vehicle",), record),
    "completed": lambda record: record.status == "Completed",
}


def _event(first: Sequence[bool], second: Sequence[bool]) -> dict[str, Any]:
    only_first = sum(one and not other for one, other in zip(first, second, strict=True))
    only_second = sum(other and not one for one, other in zip(first, second, strict=True))
    return {"baseline": sum(first), "other": sum(second), "only_baseline": only_first, "only_other": only_second,
            "p": mcnemar(only_first, only_second)}


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of the exact McNemar test for so many pairs in which only one of both had the event. 8 against 1: 0.0391.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12 (1947); the
    exact form is the binomial test of one half.
    """
    from scipy.stats import binomtest

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue) if only_first + only_second else 1.0


def _scores(keys: Sequence[Key], first: Sequence[RouteRecord], second: Sequence[RouteRecord], resamples: int,
            seed: int) -> dict[str, Any]:
    """Means and the paired difference. Whole routes are drawn: drives of one route are alike."""
    names = sorted({key[0] for key in keys})
    row = np.searchsorted(names, [key[0] for key in keys])
    count = len(names)
    draws = np.random.default_rng([seed, 0x70616972]).multinomial(count, np.full(count, 1.0 / count), resamples)
    found: dict[str, Any] = {}
    for name, value in {"driving_score": lambda one: one.score_composed, "route_completion": lambda one: one.score_route,
                        "collision": lambda one: 100.0 * EVENTS["collision"](one)}.items():
        before, after = (np.array([value(one) for one in side], float) for side in (first, second))
        sums, sizes = np.bincount(row, after - before, count), np.bincount(row, minlength=count)
        low, high = np.quantile((draws @ sums) / (draws @ sizes), [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
        found[name] = {"baseline": float(before.mean()), "other": float(after.mean()),
                       "difference": {"mean": float((after - before).mean()), "low": float(low), "high": float(high)}}
    return found


def table(found: Mapping[str, Any]) -> list[str]:
    """The comparison as lines of Markdown."""
    lines = ["| drives with | baseline | other | only baseline | only other | p (exact) |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {name} | {one['baseline']} | {one['other']} | {one['only_baseline']} | {one['only_other']} | {one['p']:.2g} |"
              for name, one in found["events"].items()]
    lines += ["", "| mean, per cent | baseline | other | difference (95 %) |", "| --- | --- | --- | --- |"]
    for name, one in found["scores"].items():
        gap = one["difference"]
        lines.append(f"| {name.replace('_', ' ')} | {one['baseline']:.1f} | {one['other']:.1f} | "
                     f"{gap['mean']:+.1f} ({gap['low']:+.1f} to {gap['high']:+.1f}) |")
    return lines
