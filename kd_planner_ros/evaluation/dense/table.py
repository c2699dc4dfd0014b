"""The figures of an evaluation as lines of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kd_planner_ros.evaluation.seen_maps import sentence

_COUNTS = ("frames", "pixels", "left_out", "second_half", "kind", "segments", "instances", "found", "runs", "metres", "mse_by_fold")
"""Keys of a result that are no figures."""


def figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Every figure of one output by the names that lead to it: {"metric": {"abs_rel": 0.1}} -> {"metric abs_rel": 0.1}."""
    return dict(_flat({name: value for name, value in result.items() if name not in _COUNTS}, ""))


def _flat(result: Mapping[str, Any], before: str) -> Iterator[tuple[str, float | None]]:
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name} ")
        elif value is None or isinstance(value, (int, float)):
            yield f"{before}{name}", value


def table(result: Mapping[str, Any]) -> list[str]:
    """Of each figure: over all frames, over the second half, and that of each baseline there."""
    lines = ["| output | figure | all frames | second half | baselines |", "|---|---|---|---|---|"]
    for name, one in result["outputs"].items():
        later = figures({key: value for key, value in one["second_half"].items() if key != "baselines"})
        trivial = {text: figures({key: value for key, value in of.items() if key != "rule"})
                   for text, of in one["second_half"]["baselines"].items()}
        for figure, value in figures(one).items():
            beside = ", ".join(f"{text} {number(found[figure])}" for text, found in trivial.items() if found[figure] is not None)
            lines.append(f"| {name} | {figure} | {number(value)} | {number(later[figure])} | {beside or '-'} |")
    return lines


def recordings_table(result: Mapping[str, Any]) -> list[str]:
    """The first figure of each output by recording."""
    outputs = list(result["outputs"])
    first = {name: next(iter(figures(result["outputs"][name])), "") for name in outputs}
    lines = ["| recording | frames | without labels | " + " | ".join(f"{name}: {first[name]}" for name in outputs) + " |",
             "|---|---|---|" + "---|" * len(outputs)]
    for recording, one in result["recordings"].items():
        values = [figures(one["outputs"][name]).get(first[name]) if name in one["outputs"] else None for name in outputs]
        lines.append(f"| {recording} | {one['frames']} | {one['unlabelled']} | " + " | ".join(map(number, values)) + " |")
    return lines


def seen_lines(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures is told of a model that was trained on the recordings' maps; nothing of others."""
    return ["", sentence(result["model"], result["trained_on"])] if result["trained_on"] else []


def left_out(one: Mapping[str, Any]) -> str:
    """What was left out of one output's figures, in words."""
    parts = [f"{len(count) if isinstance(count, list) else count} {reason.replace('_', ' ')}" for reason, count in one["left_out"].items()
             if count]
    return ", ".join(parts) or "nothing"


def number(value: float | None) -> str:
    """Three decimals, ``-`` for None."""
    return "-" if value is None else f"{value:.3f}"
