"""Whether a model was trained on the map of the recordings that it is measured on. ``benchmark`` refuses such a model, ``evaluate`` marks
its figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.notices import say_once
from kd_planner_ros.core.towns import town_of

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording
    from kd_planner_ros.bags.source import Source

Part = tuple[str, str]
"""(town, part of a data set's published split, "" where there is none)."""


def part_of(recording: Recording) -> Part:
    """What ``recording`` shows; the town is "" where it does not name its map."""
    return town_of(recording.map_name), recording.split


def recorded_parts(sources: Iterable[Source], where: str) -> set[Part]:
    """``known_parts`` of the recordings at ``sources``.

    Raises:
        BagError: a recording that cannot be read.
    """
    from kd_planner_ros.bags.reader import open_bag

    found = []
    for source in sources:
        with open_bag(source) as recording:
            found.append(part_of(recording))
    return known_parts(found, where)


def known_parts(found: Collection[Part], where: str) -> set[Part]:
    """Those of ``found``, one of each recording, that name a map. The others are told on stderr: whether a model was trained on those is
    not known."""
    if nameless := sum(not town for town, _ in found):
        say_once(f"{nameless} of {len(found)} recordings in {where} do not say on which map they were made: a model that was trained "
                 "on them is not found out")
    return {(town, part) for town, part in found if town}


def trained_on(card: ModelCard, held: Collection[Part]) -> list[str]:
    """The maps of ``held`` on which ``card`` says that the model, its teacher or its start was trained, as words, sorted; a map without a
    name may be any. Of recordings that belong to a part of a data set's published split, the part counts and not the whole map: models of
    another part of it are not among those."""
    seen = card.recordings_seen if held else set()
    return [in_words(one) for one in sorted(seen) if not one[0] or any(_overlap(one, other) for other in held)]


def _overlap(one: Part, other: Part) -> bool:
    return one[0] == other[0] and (not one[1] or not other[1] or one[1] == other[1])


def in_words(part: Part) -> str:
    """``part`` for a reader: ``dair_a (val)``."""
    town, split = part
    return (town or "a map without a name") + (f" ({split})" if split else "")


def marks(cards: Mapping[str, ModelCard], held: Collection[Part]) -> dict[str, list[str]]:
    """``trained_on`` of those of ``cards``, by planner, that name a map of ``held``."""
    return {name: found for name, card in cards.items() if (found := trained_on(card, held))}


def mark(name: str, seen: Collection[str]) -> str:
    """``name`` of a table's row, marked where its first word is one of ``seen``, the names that ``marks`` gives: a row may say more."""
    return name + " (map seen)" * (name.partition(" ")[0] in seen)


def sentence(name: str, towns: Sequence[str]) -> str:
    """What a reader of the figures of planner ``name`` is told, where ``towns`` is what ``marks`` says of it."""
    return f"{name} was trained on {', '.join(towns)}, as these recordings: its figures say nothing of maps that it has not seen."
