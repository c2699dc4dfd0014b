"""The facts about a model that need no drive: its weights, parameters, multiply-accumulates and latency."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import ModelCard, read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation.seen_maps import in_words, trained_on
from kd_planner_ros.networks.describe import describe
from kd_planner_ros.networks.registry import find_network, is_weightless
from kd_planner_ros.runtime.paths import models_folder

WITHOUT_WEIGHTS = "expert"
BUSY_SHARE = 0.6
"""Load of the last minute over processors from which a latency is not to be trusted."""


@dataclass(frozen=True)
class StoredModel:
    """A model of a folder: where it lies, and its card."""

    folder: Path
    card: ModelCard


class ModelStore:
    """The models of one folder, and those ``shipped`` that are not there: models of the package that a benchmark compares its own with.
    Each card is read once."""

    def __init__(self, folder: Path, shipped: Collection[str] = ()):
        self.folder, self._shipped = Path(folder), frozenset(shipped)
        self._found: dict[str, StoredModel | None] = {}

    def get(self, name: str) -> StoredModel | None:
        """The model ``name``, None where there is none.

        Raises:
            CardError: its card is broken.
        """
        if name not in self._found:
            place = self.folder / name
            if name in self._shipped and not (place / "card.json").is_file():
                place = models_folder() / name
            self._found[name] = StoredModel(place, read_card(place)) if (place / "card.json").is_file() else None
        return self._found[name]

    def forget(self) -> None:
        """Drop the cards that were read; after a training they are read anew."""
        self._found.clear()


@dataclass(frozen=True)
class ModelFacts:
    """``parameters``, ``macs`` of one forward pass and ``latency_ms`` (median from pixels to the model's output, batch 1, on
    ``engine``; ``asked`` is the device and engine asked for); None where a planner has no weights. ``busy``: other work ran
    beside the measurement, so the latency says little. ``held_out_m``: mean error on the routes held out of its training,
    metres. ``papers_input``: its input is as large as the published one, so published costs may stand beside its own."""

    name: str
    network: str = ""
    size: str = ""
    weights_sha256: str = ""
    parameters: int | None = None
    macs: int | None = None
    held_out_m: float | None = None
    latency_ms: float | None = None
    engine: str = ""
    asked: str = ""
    busy: bool = False
    papers_input: bool = False


def drives_without_weights(name: str) -> bool:
    """Whether ``name`` is the expert or a planner that needs no weights."""
    return name == WITHOUT_WEIGHTS or is_weightless(name)


def require_unseen(name: str, store: ModelStore, town: str, recorded: Collection[tuple[str, str]] = ()) -> None:
    """Refuse a model whose card says that it, its teacher or its start was trained on ``town`` (or one of several, spaces between), on a
    map of ``recorded``, or on recordings that do not name their map. Nothing is said of a model that is not there.

    Args:
        recorded: (town, part) of the suite's recordings. Of those that belong to a part of a data set's published split, the part is held
            out and not the whole map: models of another part of it may be measured.

    Raises:
        ConfigError: it was.
    """
    held = list(dict.fromkeys([*((one, "") for one in town.split()), *sorted(recorded)]))
    found = store.get(name) if held else None
    if found is not None and trained_on(found.card, held):
        names = list(map(in_words, sorted(found.card.recordings_seen)))
        raise ConfigError(f"a model that has not seen {' or '.join(map(in_words, held))}", f"'{name}', trained on {', '.join(names)}",
                          "train it without that map, or give --allow-leak and report no score")


def model_facts(name: str, store: ModelStore, cache: Path, frames: int, device: str, engine: str,
                again_if_busy: bool = False) -> ModelFacts:
    """The facts of model ``name``; the latency is measured once and kept in ``cache`` while the weights stay the same.

    ``again_if_busy`` measures again where the machine was busy the last time.

    Raises:
        PlannerError, CardError: the model cannot be used.
    """
    found = store.get(name)
    if found is None:
        return ModelFacts(name)
    card = found.card
    known = _kept(cache, card)
    asked = f"{device} {engine}"
    if known is not None:
        unmeasured = frames > 0 and (known.latency_ms is None or known.asked != asked)
        if not unmeasured and not (known.busy and again_if_busy):
            return known
    facts = ModelFacts(name, card.network, str(card.config.get("size", "")), card.weights_sha256,
                       held_out_m=held_out_m(card), asked=asked, papers_input=_papers_input(card),
                       **_costs(found.folder, card, frames, device, engine))
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_text(cache, json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n")
    return facts


def held_out_m(card: ModelCard) -> float | None:
    """The validation figure that the card's network declares as its held-out error, metres; None where there is none."""
    return card.scores.get("validation", {}).get(describe(card.network).held_out)


def _papers_input(card: ModelCard) -> bool:
    from kd_planner_ros.runtime.params import has_papers_input

    network = find_network(card.network)
    return has_papers_input(network, network.config(card.config))


def _costs(folder: Path, card: ModelCard, frames: int, device: str, engine: str) -> dict[str, Any]:
    import torch

    from kd_planner_ros.runtime.bench import bench_latency
    from kd_planner_ros.runtime.load import load_model_runner
    from kd_planner_ros.runtime.params import count_macs, count_parameters

    network = find_network(card.network)
    config = network.config(card.config)
    with torch.device("meta"):
        model = network.build_model(config)
    costs: dict[str, Any] = {"parameters": count_parameters(model),
                             "macs": count_macs(model, network.example_inputs(config))}
    if frames:
        costs["busy"] = os.getloadavg()[0] > BUSY_SHARE * (os.cpu_count() or 1)
        measured = bench_latency(load_model_runner(str(folder), None, device, engine), frames)
        costs |= {"latency_ms": measured["p50_ms"], "engine": measured["engine"]}
    return costs


def _kept(cache: Path, card: ModelCard) -> ModelFacts | None:
    try:
        facts = ModelFacts(**json.loads(cache.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    if facts.weights_sha256 != card.weights_sha256:
        return None
    return replace(facts, papers_input=_papers_input(card))  # files from before it was kept lack it
