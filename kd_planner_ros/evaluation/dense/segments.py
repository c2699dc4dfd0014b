"""Segments of a picture: what panoptic quality and average precision compare, as indices that are counted fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.outputs import PER_CLASS
from kd_planner_ros.evaluation.dense.vocabulary import IGNORED, Classes

_TABLE = 4_000_000
"""Ids up to this are found by a table, larger ones by sorting."""


@dataclass(frozen=True)
class Segments:
    """Segments of one picture.

    Attributes:
        index: int64 [H, W], 0 where no segment is, else 1 + row of the segment.
        classes: int64 [N], the network's class ids.
        crowd: bool [N]; several members of a thing's class that are not told apart. Nobody must find them, nobody is blamed who does.
        scores: float64 [N].
    """

    index: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.classes)

    def only(self, kept: np.ndarray) -> Segments:
        """The segments in ``kept``, bool [N]; the others are no segments."""
        table = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
        return Segments(table[self.index], self.classes[kept], self.crowd[kept], self.scores[kept])


def true_segments(tags: np.ndarray, single: np.ndarray, classes: Classes, seen: np.ndarray | None = None, least: int = 0) -> Segments:
    """What is there, in ``classes``: each member of a class of things, and each other class as one segment.

    Args:
        tags: recorded tags uint8 [H, W].
        single: int32 [H, W], above 0: number of the road user; 0 and below: none. Pixels of a class of things without a number are a
            crowd.
        seen: bool [H, W]; pixels that the network does not see belong to no segment.
        least: things of fewer pixels are crowds.
    """
    kinds = classes.truth(tags).astype(np.int64)
    thing = np.append(classes.things, np.zeros(IGNORED + 1 - len(classes.things), bool))[kinds]
    number = np.where(thing & (single > 0), single, 0)
    span = int(number.max(initial=0)) + 1
    key = np.where(kinds == IGNORED, 0, kinds * span + number + 1)
    if seen is not None:
        key = np.where(seen, key, 0)
    index, keys = compact(key)
    kind, number = np.divmod(keys - 1, span)
    areas = np.bincount(index.ravel(), minlength=len(keys) + 1)[1:]
    crowd = classes.things[kind] & ((number == 0) | (areas < least))
    return Segments(index, kind, crowd, np.ones(len(keys)))


def found_segments(ids: np.ndarray, classes: Classes, scores: dict[int, float] | None = None,
                   seen: np.ndarray | None = None) -> tuple[Segments, int]:
    """The segments of a network's ``ids`` int32 [H, W] (``PER_CLASS``), and how many ids named no class and were left out.

    Args:
        scores: confidence of each id; segments without one have 1.
        seen: as in ``true_segments``.
    """
    index, keys = compact(np.where(ids > 0, ids, 0) if seen is None else np.where(seen & (ids > 0), ids, 0))
    kind = keys // PER_CLASS - 1
    fits = (kind >= 0) & (kind < len(classes.labels))
    known = classes.counted_as[np.where(fits, kind, 0)]
    given = scores or {}
    found = Segments(index, known, np.zeros(len(keys), bool), np.array([given.get(int(key), 1.0) for key in keys]))
    return found.only(fits), int((~fits).sum())


def merged_stuff(segments: Segments, classes: Classes) -> Segments:
    """``segments`` with one segment for each class that is no thing."""
    stuff = ~classes.things[segments.classes]
    key = np.where(stuff, -1 - segments.classes, np.arange(len(segments)))
    unique, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    if len(unique) == len(segments):
        return segments
    table = np.concatenate([[0], inverse + 1])
    return Segments(table[segments.index], segments.classes[first], segments.crowd[first], segments.scores[first])


def compact(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int64 [H, W]: 0 where ``key`` is 0, else 1 + its place in the second; the other keys that occur, increasing)."""
    top = int(key.max(initial=0))
    if top >= _TABLE:
        keys, inverse = np.unique(key, return_inverse=True)
        has_none = bool(len(keys)) and keys[0] == 0
        return inverse.reshape(key.shape) + (0 if has_none else 1), keys[1:] if has_none else keys
    there = np.zeros(top + 1, bool)
    there[key.ravel()] = True
    there[0] = False
    table = np.cumsum(there) * there
    return table[key], np.nonzero(there)[0]


def overlaps(truth: Segments, found: Segments) -> np.ndarray:
    """Pixels of each pair, int64 [1 + T, 1 + F]; row and column 0 are pixels without a segment."""
    count = len(found) + 1
    return np.bincount(truth.index.ravel() * count + found.index.ravel(), minlength=(len(truth) + 1) * count).reshape(-1, count)
