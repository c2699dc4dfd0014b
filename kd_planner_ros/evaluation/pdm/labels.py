"""Labels: planners that were trained alike but for the seed, their scores pooled over training seeds and scenes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import numpy as np

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.evaluation.pdm.blocks import TOTALS, Blocks, ends, interval
from kd_planner_ros.evaluation.pdm.config import LONGER
from kd_planner_ros.evaluation.pdm.measure import Scores

LEAST = 2
"""Trainings of a label: one says nothing of how trainings differ."""
ENDINGS = ("", LONGER)
_NUMBER = re.compile(r"[-_.]?\d+$")


@dataclass(frozen=True)
class Label:
    """Planners of one training but for the seed: by seed, increasing, the name of its row."""

    name: str
    rows: Mapping[int, str]


def find_labels(cards: Mapping[str, ModelCard]) -> tuple[list[Label], dict[str, str]]:
    """(the labels of at least ``LEAST`` seeds among ``cards`` by row, why a row is in none though another was trained alike).

    Trained alike are models of one recipe and length, on the same recordings, begun as the same weights and taught by the same teacher. A
    label is called what the names of its models have in common: ``base`` for ``base_0`` and ``base_1``.
    """
    groups: dict[str, dict[int, str]] = {}
    doubled: dict[str, str] = {}
    for row, card in cards.items():
        if (kind := _kind(card)) is None:
            continue
        own, seed = groups.setdefault(kind, {}), int(card.training["seed"])
        if seed in own:
            doubled[row] = f"its recipe and seed are those of {own[seed]}"
        else:
            own[seed] = row
    several = [dict(sorted(own.items())) for own in groups.values() if len(own) >= LEAST]
    names = [_common(list(own.values())) for own in several]
    whole = [name if names.count(name) == 1 else " + ".join(own.values()) for name, own in zip(names, several, strict=True)]
    return [Label(name, own) for name, own in zip(whole, several, strict=True)], doubled


def _kind(card: ModelCard) -> str | None:
    """Everything that shapes a training but its seed; None where the card does not say it."""
    from kd_planner_ros.distill.recipes import complete

    facts = card.training
    if not isinstance(facts.get("recipe"), dict) or not isinstance(facts.get("seed"), int):
        return None
    recipe = {name: value for name, value in complete(facts["recipe"]).items() if name != "seed"}
    weights = [(facts.get(whose) or {}).get("sha256") for whose in ("start", "teacher")]
    return json.dumps([card.network, card.config, recipe, facts.get("planned"), (facts.get("data") or {}).get("sha256"), weights],
                      sort_keys=True, default=str)


def _common(names: Sequence[str]) -> str:
    stems = {_NUMBER.sub("", name) for name in names}
    return stems.pop() if len(stems) == 1 else commonprefix(list(names)).rstrip("-_.") or names[0]


def pool(labels: Sequence[Label], rows: Mapping[str, Scores], blocks: Blocks, baseline: str, seed: int) -> dict[str, Any]:
    """The labels over the scenes of ``blocks``: ``baseline``, the label, or else the planner, that the others are compared with ("": none),
    ``rows`` by label, and ``left_out``, why a label has none though one of its models is in the table.

    A row has ``models`` by seed; each total with the ends of its interval (95 %), its mean by seed (``by_seed``) and the sample deviation
    of those (``std``); and ``over_baseline``, the difference of each total to the baseline, likewise. An interval holds both chances:
    each resample draws seeds and whole blocks of time anew. A difference is taken within each resample: scenes are paired, and so are
    seeds where both labels have the same ones.

    Args:
        rows: scores by row of the table, each with every scene of ``blocks``. Those with plans that go on at constant speed have labels of
            their own.
        baseline: a label, a planner of one, or any planner.
        seed: of the draws of seeds.
    """
    own = {label.name + ending: models for ending in ENDINGS for label in labels
           if (models := {one: row + ending for one, row in label.rows.items() if row + ending in rows})}
    left_out = {name: f"of its models only {row} is in the table" for name, models in own.items() if len(models) < LEAST
                for row in models.values()}
    pooled = {name: _Pooled(list(models), [rows[row] for row in models.values()], blocks, seed) for name, models in own.items()
              if name not in left_out}
    base = _baseline(labels, pooled, rows, baseline)
    beside = pooled.get(base) or (_Pooled([], [rows[base]], blocks, seed) if base else None)
    return {"baseline": base, "left_out": left_out,
            "rows": {name: {"models": {str(one): row for one, row in own[name].items()}, **found.figures(),
                            **({"over_baseline": found.over(beside)} if beside is not None and beside is not found else {})}
                     for name, found in pooled.items()}}


def _baseline(labels: Sequence[Label], pooled: Mapping[str, Any], rows: Mapping[str, Scores], baseline: str) -> str:
    """The label of ``pooled`` that ``baseline`` names or belongs to, else its row; "" where there is neither."""
    label = next((one.name for one in labels if baseline == one.name or baseline in one.rows.values()), "")
    found = [label + ending for ending in ENDINGS if label and label + ending in pooled]
    return next(iter(found + [baseline + ending for ending in ENDINGS if baseline + ending in rows]), "")


class _Pooled:
    """Scores of one label: by total, the mean of each model over all scenes [K] and over those of each resample [K, R].

    ``shares`` [R, K]: the share of each seed in each resample. Labels of the same seeds have the same ones, others independent ones.
    """

    def __init__(self, seeds: Sequence[int], scores: Sequence[Scores], blocks: Blocks, seed: int):
        self.seeds, count = list(seeds), len(scores)
        columns = {total: [[one[key][total] for key in blocks.keys] for one in scores] for total in TOTALS}
        self.means = {total: np.array(found, float).mean(axis=1) for total, found in columns.items()}
        self.drawn = {total: np.stack([blocks.resampled(one) for one in found]) for total, found in columns.items()}
        rng = np.random.default_rng([seed, 0x73656564, *self.seeds])
        self.shares = rng.multinomial(count, np.full(count, 1.0 / count), len(blocks.draws)) / count

    def figures(self) -> dict[str, Any]:
        """Each total."""
        return {total: self._figure(self.means[total], self._resampled(total)) for total in TOTALS}

    def over(self, base: _Pooled) -> dict[str, Any]:
        """The difference of each total to that of ``base``; that of a seed to the model of the same seed, or to the mean of ``base`` where
        it has other ones."""
        beside = {total: found if self.seeds == base.seeds else found.mean() for total, found in base.means.items()}
        return {total: self._figure(self.means[total] - beside[total], self._resampled(total) - base._resampled(total)) for total in TOTALS}

    def _resampled(self, total: str) -> np.ndarray:
        return np.asarray((self.shares * self.drawn[total].T).sum(axis=1))

    def _figure(self, by_seed: np.ndarray, resampled: np.ndarray) -> dict[str, Any]:
        return {"mean": float(by_seed.mean()), **ends(resampled), "std": float(by_seed.std(ddof=1)),
                "by_seed": dict(zip(map(str, self.seeds), by_seed.tolist(), strict=True))}


def table(horizon: str, one: Mapping[str, Any]) -> list[str]:
    """The labels over one horizon as lines of Markdown, in per cent; empty where there are none."""
    found = one.get("labels") or {"rows": {}, "left_out": {}}
    lines = [f"Not pooled over {horizon} s: {name}: {why}." for name, why in found["left_out"].items()]
    if not found["rows"]:
        return lines
    base = found["baseline"] or "baseline"
    head = ("label", "seeds", "PDMS", "EPDMS", "EPDMS without human filter", f"PDMS over {base}", f"EPDMS over {base}", "PDMS by seed")
    return ["", f"Over {horizon} s by label, {one['scenes']} scenes (per cent, 95 % intervals over training seeds and blocks of time):", "",
            "| " + " | ".join(head) + " |", "|---" * len(head) + "|", *(_line(name, row) for name, row in found["rows"].items()), *lines]


def _line(name: str, row: Mapping[str, Any]) -> str:
    over = row.get("over_baseline")
    cells = [", ".join(row["models"]), *(interval(row[total]) for total in TOTALS),
             *(interval(over[total], "+") if over else "-" for total in TOTALS[:2]),
             ", ".join(f"{100.0 * value:.1f}" for value in row["PDMS"]["by_seed"].values())]
    return f"| {name} | " + " | ".join(cells) + " |"
