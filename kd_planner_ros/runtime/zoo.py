"""The shipped models as a table: one row a model, everything in it read from the cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import ModelCard, read_card
from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.find import list_models

HEADER = ("model", "take it for", "input", "parameters", "latency", "driving score / route completion, or what it sees")
SUITES = {"closed_loop_town05_short": "Town05 Short", "closed_loop_town05_long": "Town05 Long", "closed_loop_default_town": "default town"}
"""Key of a card's scores -> name of the suite in tables."""
DENSE = "dense_"
"""Begins the key of a card's scores for a perceiver; the rest is the suite of ``kd-planner benchmark`` or the user's own word."""
SEEN = {"Abs Rel": "depth/metric/abs_rel", "mIoU": "classes/mean_iou", "drivable IoU": "drivable/iou"}
"""A perceiver's headline: heading -> the figure's name below ``outputs/`` in ``evaluate dense`` and its benchmarks."""


@dataclass(frozen=True)
class ZooRow:
    """One shipped model in words: every field is ready to be printed."""

    name: str
    use: str
    inputs: str
    parameters: str
    latency: str
    scores: str

    def cells(self, link: str) -> tuple[str, ...]:
        """The cells of a Markdown row; ``link`` is the path from the page to the folder of models."""
        return (f"[`{self.name}`]({link}/{self.name}/card.json)", self.use, self.inputs, self.parameters, self.latency,
                self.scores)


def zoo(models_dir: Path | None = None) -> list[ZooRow]:
    """A row for each model of ``models_dir`` (the shipped ones when None), sorted by name.

    Raises:
        CardError: a card is broken or does not fit the code.
    """
    rows = []
    for folder in list_models(models_dir):
        card = read_card(folder)
        with reading(CardError, f"scores and latency on the card in {folder} as the benchmark writes them", "correct the card"):
            rows.append(_row(card))
    return rows


def markdown(rows: Iterable[ZooRow], link: str) -> str:
    """The Markdown table of ``rows``; ``link`` as ``ZooRow.cells`` takes it."""
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells(link) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(card: ModelCard) -> ZooRow:
    suites = [f"{text} {_score(card.scores[key])}" for key, text in SUITES.items() if key in card.scores]
    return ZooRow(card.name, card.use, _inputs(card), f"{card.parameters / 1e6:.1f} M", _latency(card.scores.get("latency")),
                  "; ".join((*suites, *seen(card.scores))))


def seen(scores: Mapping[str, Any]) -> list[str]:
    """The headline of each suite that a perceiver was judged over: ``town05 Abs Rel 0.118, mIoU 0.551, drivable IoU 0.960``. A figure
    that the card lacks is left out, and so is a suite without any."""
    found = []
    for key, score in scores.items():
        if not key.startswith(DENSE) or not isinstance(score, Mapping):
            continue
        figures = [f"{heading} {score[f'outputs/{name}']:.3f}" for heading, name in SEEN.items() if f"outputs/{name}" in score]
        if figures:
            found.append(f"{key.removeprefix(DENSE).replace('_', ' ')} {', '.join(figures)}")
    return found


def _inputs(card: ModelCard) -> str:
    """The sensors that the model asks for: cameras with their pictures' size in pixels, LiDARs by number."""
    rig = find_network(card.network).config(card.config).rig
    sizes = sorted({f"{camera.width}x{camera.height}" for camera in rig.cameras})
    words = [f"{len(rig.cameras)} camera{'s' if len(rig.cameras) > 1 else ''} {', '.join(sizes)}"] if rig.cameras else []
    words += [f"{len(rig.lidars)} LiDAR{'s' if len(rig.lidars) > 1 else ''}"] if rig.lidars else []
    return " and ".join(words) or "no sensor"


def _latency(score: Any) -> str:
    """``9.0 ms (openvino, 2 threads)``, or a dash where the card has no measurement."""
    return f"{score['p50_ms']:.1f} ms ({score['engine']})" if isinstance(score, dict) else "-"


def _score(score: dict[str, Any]) -> str:
    """``72.1 ± 10.4 / 100.0 % (3 seeds)``: mean and sample deviation over the traffic seeds; no deviation of a single seed."""
    seeds = len(score["seeds"])
    spread = f" ± {_tenths(score['std']['driving_score'])}" if seeds > 1 else ""
    return f"{_tenths(score['driving_score'])}{spread} / {_tenths(score['route_completion'])} % ({seeds} seed{'s' if seeds > 1 else ''})"


def _tenths(value: float) -> str:
    """``value`` with one digit, half up as a reader rounds: 99.55 is 99.6, which as a binary number is a little less than that."""
    return str(Decimal(str(value)).quantize(Decimal("0.1"), ROUND_HALF_UP))
