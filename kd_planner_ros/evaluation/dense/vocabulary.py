"""Names of classes: a network's labels, CARLA's tags, and what a mask says by its name.

CARLA's tags are the one vocabulary of labels: data sets are read into it (``bags/``), networks name their classes by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.imaging.palette import TAGS, THINGS

IGNORED = 255
"""Truth class of a pixel whose recorded tag no label of the network stands for, and class that a network gives where it says nothing."""
ALIASES = {"person": "pedestrian", "trafficsign": "sign", "trafficlights": "trafficlight"}
"""Names of other data sets for CARLA's classes, without spaces and in lower case."""
MEANINGS = {"drivable": "Road+RoadLine", "drivable_area": "Road+RoadLine", "lane_marking": "RoadLine", "lane_markings": "RoadLine",
            "lanes": "RoadLine", "motion": "motion", "moving": "motion", "motion_mask": "motion"}
"""What a mask or a probability says by the name of the output, where its ``meta`` has no ``of``: tags joined by +, or ``motion``."""
MOTION, LINES = "motion", "RoadLine"


def meaning(name: str, output: DenseOutput) -> str:
    """Tags (joined by +) that a mask or a probability stands for, ``motion``, or "" where neither ``meta`` nor ``name`` says it."""
    return output.meta.get("of", MEANINGS.get(name.rsplit("/", 1)[-1], ""))


@dataclass(frozen=True)
class Classes:
    """A network's classes against recorded tags.

    Args:
        labels: class names in the order of their ids: names of CARLA's tags, or several joined by ``+`` (one class for all of
            them); case, spaces and underscores do not count. A tag that several labels name belongs to the first of them.
        joined: groups of tags that the labels do not tell apart; a class that names nothing but tags of one group counts as the
            class of the group's first tag.
    """

    labels: tuple[str, ...]
    joined: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def of_tag(self) -> np.ndarray:
        """Class id uint8 [256] of each tag, ``IGNORED``: no label stands for it."""
        return match_tags(self.labels)[0]

    @cached_property
    def unmatched(self) -> tuple[str, ...]:
        """Labels that are compared with nothing: they match no tag, or are joined to another class."""
        return (*match_tags(self.labels)[1], *(self.labels[kind] for kind in np.nonzero(self.counted_as != np.arange(len(self.labels)))[0]))

    @cached_property
    def counted_as(self) -> np.ndarray:
        """Class id int64 [K] that each class counts as."""
        out = np.arange(len(self.labels))
        for group in self.joined:
            first, *others = (int(self.of_tag[tag_numbers((name,))[0]]) for name in group)
            for kind in others:
                if kind != IGNORED and first != IGNORED and set(np.nonzero(self.of_tag == kind)[0]) <= set(tag_numbers(group)):
                    out[kind] = first
        return out

    @cached_property
    def things(self) -> np.ndarray:
        """bool [K]: classes whose members are counted one by one."""
        found = np.zeros(len(self.labels), bool)
        found[[kind for kind in self.of_tag[tag_numbers(THINGS)] if kind != IGNORED]] = True
        return found

    def truth(self, tags: np.ndarray) -> np.ndarray:
        """Class ids uint8 [H, W] of recorded ``tags`` uint8 [H, W]; ``IGNORED`` where no label stands for the tag."""
        return self._truth[tags]

    @cached_property
    def _truth(self) -> np.ndarray:
        return np.append(self.counted_as, [IGNORED] * (256 - len(self.labels))).astype(np.uint8)[self.of_tag]

    def found(self, classes: np.ndarray) -> np.ndarray:
        """Class ids uint8 [H, W] as they are counted; ids without a label stay as they are."""
        return self._found[classes] if len(self.unmatched) else classes

    @cached_property
    def _found(self) -> np.ndarray:
        table = np.arange(256, dtype=np.uint8)
        table[:len(self.labels)] = self.counted_as
        return table


def match_tags(labels: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class id uint8 [256] of each of CARLA's tags (``IGNORED``: no label stands for it), and the labels that match no tag.

    A tag that several labels name belongs to the first of them.
    """
    tag_of = {_plain(name): number for number, (name, _) in enumerate(TAGS)}
    class_of_tag, unmatched = np.full(256, IGNORED, np.uint8), []
    for number, label in enumerate(labels):
        tags = [tag_of.get(ALIASES.get(_plain(part), _plain(part))) for part in label.split("+")]
        found = [tag for tag in tags if tag is not None and class_of_tag[tag] == IGNORED]
        class_of_tag[found] = number
        if not found:
            unmatched.append(label)
    return class_of_tag, tuple(unmatched)


def tag_numbers(names: Iterable[str]) -> list[int]:
    """Numbers of the tags called ``names``; names of no tag are left out."""
    wanted = {ALIASES.get(_plain(name), _plain(name)) for name in names}
    return [number for number, (name, _) in enumerate(TAGS) if _plain(name) in wanted]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
