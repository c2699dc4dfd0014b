"""The card beside the weights: facts about the weights, never choices of the site."""

from __future__ import annotations

import json
import reprlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.fields import require_types
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.towns import town_of

CARD, CARD_VERSION = "card.json", 1
_REMEDY = "restore the card or train again"


@dataclass(frozen=True)
class ModelCard:
    """Facts about shipped weights. ``network`` is a folder of networks/, ``config`` its config's fields.

    ``weights_sha256`` guards weights.safetensors; ``training`` says data, recipe, seed and command; ``scores`` hold
    figures, each with the command that made it. ``use`` says in a few words when to take the model.

    ``parts`` names modules whose weights lie in another model's folder, beside this one: by module its ``model`` and the ``sha256`` of
    its card. ``weights_sha256`` covers these too.
    """

    name: str
    network: str
    config: dict[str, Any]
    weights_sha256: str
    parameters: int
    card_version: int = CARD_VERSION
    weights_version: str = "1.0"
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    use: str = ""
    parts: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def maps_seen(self) -> set[str]:
        """The town (``town_of``) of every map that the weights, their start, their teacher and all before those were trained on; ""
        among them where a recording did not say."""
        return {town for town, _ in self.recordings_seen}

    @property
    def recordings_seen(self) -> set[tuple[str, str]]:
        """(town, part of a data set's published split) of all of those recordings; the part is "" where none is known."""
        return _recordings(self.training)

    @property
    def finished(self) -> bool:
        """Whether the training reached its planned length; True for older cards, which do not say so."""
        return bool(self.training.get("finished", True))

    def to_json(self) -> str:
        """The card as indented JSON with sorted keys: equal cards are equal bytes."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def read_card(folder: Path) -> ModelCard:
    """The card in ``folder``.

    Raises:
        CardError: no card, no JSON, a missing or unknown field, one of a wrong type, or a card version this code does not know.
    """
    path = folder / CARD
    if not path.is_file():
        raise CardError(f"a model card at {path}", "no such file", "run 'kd-planner models list'")
    with reading(CardError, f"JSON in {path}", _REMEDY):
        data = json.loads(path.read_text())
    if not isinstance(data, dict):
        raise CardError(f"a JSON object in {path}", type(data).__name__, _REMEDY)
    if data.get("card_version") != CARD_VERSION:
        raise CardError(f"card version {CARD_VERSION} in {path}", reprlib.repr(data.get("card_version")),
                        "train again with this version of kd_planner_ros, or install the version of the card")
    for kind, values in ((ModelCard, data), (_Training, data.get("training")), (_Scores, data.get("scores"))):
        require_types(kind, values if isinstance(values, dict) else {}, str(path), CardError)
    with reading(CardError, f"the fields of a model card in {path}", _REMEDY):
        card = ModelCard(**data)
    for module, of in card.parts.items():
        if not isinstance(of, dict) or sorted(of) != ["model", "sha256"] or not all(isinstance(one, str) for one in of.values()):
            raise CardError(f"'model' and 'sha256' of part '{module}' in {path}", reprlib.repr(of), _REMEDY)
        if Path(of["model"]).name != of["model"]:
            raise CardError(f"a folder's name as 'model' of part '{module}' in {path}", reprlib.repr(of["model"]), _REMEDY)
    return card


@dataclass(frozen=True)
class _Training:
    """Facts of a training that code reads, by their types."""

    recipe: dict[str, Any]
    planned: dict[str, Any]
    data: dict[str, Any]
    start: dict[str, Any]
    finished: bool


@dataclass(frozen=True)
class _Scores:
    """Scores that code reads, by their types."""

    validation: dict[str, Any]
    closed_loop_default_town: dict[str, Any]


def _recordings(training: Any) -> set[tuple[str, str]]:
    """Every map named under ``maps`` anywhere in a card's training facts, with its parts under ``splits`` beside them."""
    if not isinstance(training, dict):
        return set()
    here, splits = training.get("maps", ()), training.get("splits", {})
    maps = [str(one) for one in here] if isinstance(here, (list, tuple)) else []
    found = set()
    for one in maps:
        parts = splits.get(one) if isinstance(splits, dict) else None
        found |= {(town_of(one), str(part)) for part in (parts if isinstance(parts, list) and parts else [""])}
    return found.union(*(_recordings(value) for value in training.values()))
