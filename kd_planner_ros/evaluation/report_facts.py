"""What a report says of planner and drive: the facts, the training in short, and the card's scores, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_planner_ros.evaluation.run_folder import Run
from kd_planner_ros.runtime.zoo import SUITES

CARD_KEYS = ("network", "parameters", "weights_version", "weights_sha256", "licence", "use", "config")
UNITS = {"routes": "routes", "frames": "frames", "samples": "samples", "n": "runs"}
"""Counts below a card's scores that say how much was measured -> the word behind the number."""
TEXTS = ("engine", "machine", "date", "command")
"""Other facts below a card's scores that are no scores."""


def facts_of(run: Run, card: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Name and value of everything known about the planner and the drive but its scores; ``card`` is empty for a planner without weights,
    None where it cannot be read any more."""
    rows = [("planner", run.info.planner)]
    if card is None:
        rows.append(("weights", "unknown: the planner's card cannot be read any more"))
    elif not card:
        rows.append(("weights", "none: this planner has nothing learned"))
    else:
        rows += [(key.replace("_", " "), grouped(card[key]) if key == "parameters" else plain(card[key])) for key in CARD_KEYS
                 if card.get(key)]
        if lines := training_lines(_mapping(card.get("training"))):
            rows.append(("training", "\n".join(lines)))
    rows += [("map", run.info.route.town), ("route", run.info.route.name), ("seed", str(run.info.seed))]
    if run.info.camera:
        spec = run.info.camera
        rows.append(("camera", f"{spec.id}: {spec.width} x {spec.height}, {spec.fov_deg:g}° wide, at x {spec.pose.x:g} m, "
                               f"z {spec.pose.z:g} m"))
    return rows + [(key.replace("_", " "), plain(value)) for key, value in run.info.facts.items()]


def training_lines(training: Mapping[str, Any]) -> list[str]:
    """A card's training in at most five lines: method and teacher, start, data, maps, length; the recipe stands on the card."""
    data, begun = _mapping(training.get("data")), _mapping(training.get("start")).get("name")
    found = training.get("teacher")
    teachers = [str(one["name"]) for one in (found if isinstance(found, (list, tuple)) else [found]) if _mapping(one).get("name")]
    maps = data.get("maps") if isinstance(data.get("maps"), (list, tuple)) else ()
    lines = [", ".join(filter(None, [plain(training.get("method", "")), f"teacher {', '.join(teachers)}" if teachers else ""])),
             f"started from {begun}" if begun else "",
             ", ".join(f"{grouped(data[key])} {key}" for key in ("recordings", "samples") if key in data),
             f"maps {plain(maps)}" if maps else "",
             ", ".join(_length(training))]
    return [line for line in lines if line]


def _length(training: Mapping[str, Any]) -> list[str]:
    words = [f"{plain(training[key])} {key}" for key in ("epochs", "steps") if key in training]
    if "seed" in training:
        words.append(f"seed {plain(training['seed'])}")
    if training.get("finished") is False:
        planned = _mapping(training.get("planned")).get("epochs")
        words.append("ended early" if planned is None else f"ended before the {plain(planned)} epochs planned")
    return words


def score_groups(card: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The card's scores by what they were measured on: ``name``, ``about`` (how much, when, by which command), and ``rows`` of ``name``,
    ``value`` and ``spread``, the standard deviation between seeds, empty for one seed."""
    return [_group(key, found if isinstance(found, Mapping) else {key: found})
            for key, found in _mapping((card or {}).get("scores")).items()]


def _group(key: str, found: Mapping[str, Any]) -> dict[str, Any]:
    seeds, spreads = found.get("seeds"), _mapping(found.get("std"))
    many = isinstance(seeds, (list, tuple)) and len(seeds) > 1
    about = [f"{grouped(found[name])} {unit}" for name, unit in UNITS.items() if name in found]
    if seeds:
        about.append(f"{'seeds' if many else 'seed'} {plain(seeds)}")
    about += [plain(found[name]) for name in TEXTS if name in found]
    rows = [{"name": _words(name), "value": plain(value), "spread": plain(spreads[name]) if many and name in spreads else ""}
            for name, value in found.items() if name not in (*UNITS, *TEXTS, "std", "seeds")]
    return {"name": SUITES.get(key, _words(key)), "about": "; ".join(about), "rows": rows}


def grouped(number: Any) -> str:
    """A count, from five digits on in groups of three; what is no whole number as ``plain`` says it."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not float(number).is_integer():
        return plain(number)
    return f"{int(number):,}".replace(",", " ") if abs(number) >= 10_000 else str(int(number))


def plain(value: Any) -> str:
    """``value`` in words: lists and mappings with commas, those inside others in brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inner(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_inner, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _inner(value: Any) -> str:
    return f"({plain(value)})" if isinstance(value, (Mapping, list, tuple)) else plain(value)


def _words(name: str) -> str:
    return str(name).removeprefix("outputs/").replace("_", " ").replace("/", ", ")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
