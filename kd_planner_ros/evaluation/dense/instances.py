"""Average precision of instance masks as COCO counts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import PER_CLASS, InstanceMasks
from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, known_mean
from kd_planner_ros.evaluation.dense.segments import Segments, found_segments, overlaps, true_segments
from kd_planner_ros.evaluation.dense.vocabulary import IGNORED, Classes

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100
"""Instances of one class that count in one picture, those with the highest scores."""


@dataclass(frozen=True)
class Met:
    """Found instances against true ones, in pixels.

    Attributes:
        classes, scores: of the found ones [N].
        shared: of each pair [T, N]. area: of the found ones [N]. size: of the true ones [T].
    """

    classes: np.ndarray
    scores: np.ndarray
    shared: np.ndarray
    area: np.ndarray
    size: np.ndarray


class InstanceMeasure(Measure):
    """``ap`` over IoU 0.50 to 0.95 in steps of 0.05, ``ap_50`` and ``ap_75``: means over the classes of things that occur; ``ap_by_class``.
    Masks that overlap are compared as they are, where the network gives such; else each pixel belongs to one instance.

    Args:
        least: true things of fewer pixels are treated as crowds.
    """

    kind = "instances"

    def __init__(self, classes: Classes, least: int = 0):
        self.classes, self._least = classes, least

    def counts(self, found: tuple[np.ndarray, Mapping[int, float], InstanceMasks | None], truth: Any) -> Counts:
        """``found``: (ids int32 [H, W], confidence by id, overlapping masks or None); ``truth`` as in ``PanopticMeasure``."""
        ids, scores, masks = found
        there = true_segments(truth.tags, truth.single, self.classes, truth.seen, self._least)
        there = there.only(self.classes.things[there.classes])
        if masks is None:
            said, strange = found_segments(ids, self.classes, dict(scores), truth.seen)
            met = _apart(there, said.only(self.classes.things[said.classes]))
        else:
            met, strange = _overlapping(there, masks, self.classes, truth.seen), 0
        real = np.bincount(there.classes[~there.crowd], minlength=len(self.classes.labels))
        rows = [row for kind in np.unique(met.classes) for row in _matched(kind, there, met)]
        return {"frames": 1, "real": real, "crowds": int(there.crowd.sum()), "found": rows, "strange": strange,
                "without_score": 0 if scores or masks is not None else len(met.classes)}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """As the class says, with ``frames``, ``instances`` (true ones), ``found`` and ``left_out``."""
        labels, rows = self.classes.labels, sums.get("found", [])
        real = sums.get("real", np.zeros(len(labels), np.int64))
        kinds = np.array([kind for kind, *_ in rows], np.int64)
        scores = np.array([score for _, score, *_ in rows], float)
        hits, ignored = (np.array([row[place] for row in rows], bool).reshape(len(rows), len(THRESHOLDS)) for place in (2, 3))
        by_class = {}
        for kind, label in enumerate(labels):
            if real[kind]:
                own = kinds == kind
                by_class[label] = average_precision(scores[own], hits[own], ignored[own], int(real[kind]))

        def over(at: slice | int) -> float | None:
            return known_mean([float(np.mean(one[at])) for one in by_class.values()])

        return {"frames": int(sums.get("frames", 0)), "instances": int(real.sum()), "found": len(rows),
                "left_out": {"crowds": int(sums.get("crowds", 0)), "ids_without_class": int(sums.get("strange", 0)),
                             "scores_taken_as_1": int(sums.get("without_score", 0))},
                "ap": over(slice(None)), "ap_50": over(0), "ap_75": over(5),
                "ap_by_class": {label: float(by_class[label].mean()) if label in by_class else None
                                for label, thing in zip(labels, self.classes.things, strict=True) if thing}}

    def baselines(self) -> dict[str, Baseline]:
        """Each class of things as one instance: what classes without instances would reach."""
        return {"whole_classes": WholeClasses(self.classes)}


class WholeClasses(Baseline):
    """Every class of things is one instance."""

    rule = "the true pixels of each class of things, as one instance a class"

    def __init__(self, classes: Classes):
        self._classes = classes

    def guess(self, truth: Any) -> tuple[np.ndarray, dict[int, float], None]:
        """As ``InstanceMeasure.counts`` takes it."""
        kinds = self._classes.truth(truth.tags).astype(np.int32)
        thing = np.append(self._classes.things, np.zeros(IGNORED + 1 - len(self._classes.things), bool))[kinds]
        return np.where(thing, (kinds + 1) * PER_CLASS, 0), {}, None


def _apart(there: Segments, said: Segments) -> Met:
    """Instances that share no pixel."""
    table = overlaps(there, said)
    return Met(said.classes, said.scores, table[1:, 1:], table[:, 1:].sum(0), table[1:].sum(1))


def _overlapping(there: Segments, found: InstanceMasks, classes: Classes, seen: np.ndarray | None) -> Met:
    """Instances that may share pixels; what lies outside of ``seen`` does not count, nor does an instance without a pixel in it."""
    count = len(there) + 1
    inside = found.masks if seen is None else found.masks & seen
    shared = np.stack([np.bincount(there.index[one], minlength=count) for one in inside] or [np.zeros(count, np.int64)], axis=1)
    kinds = classes.counted_as[found.classes]
    kept = classes.things[kinds] & (shared.sum(0)[found.of] > 0) if len(found) else np.zeros(0, bool)
    own = shared[:, found.of[kept]]
    return Met(kinds[kept], found.scores[kept], own[1:], own.sum(0), np.bincount(there.index.ravel(), minlength=count)[1:])


def _matched(kind: int, there: Segments, met: Met) -> list[tuple[int, float, np.ndarray, np.ndarray]]:
    """(class, score, hits bool [10], ignored bool [10]) of each found instance of ``kind``: the best first takes what it covers best."""
    mine, own = np.nonzero(met.classes == kind)[0], np.nonzero(there.classes == kind)[0]
    mine = mine[np.argsort(-met.scores[mine], kind="stable")][:MOST]
    own = own[np.argsort(there.crowd[own], kind="stable")]  # crowds last
    crowd, shared = there.crowd[own], met.shared[np.ix_(own, mine)].T
    area, size = met.area[mine][:, None], met.size[own][None]
    iou = shared / np.maximum(np.where(crowd[None], area, area + size - shared), 1)
    hits, ignored = (np.zeros((len(mine), len(THRESHOLDS)), bool) for _ in range(2))
    for column, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(own), bool)
        for row in range(len(mine)):
            fits = (iou[row] >= min(threshold, 1.0 - 1e-10)) & (free | crowd)
            singles = np.nonzero(fits & ~crowd)[0]
            if len(singles):
                best = singles[len(singles) - 1 - int(iou[row, singles][::-1].argmax())]  # of equals the last, as COCO's loop
                free[best] = False
                hits[row, column] = True
            else:
                ignored[row, column] = bool((fits & crowd).any())
    return [(int(kind), float(met.scores[one]), hits[row], ignored[row]) for row, one in enumerate(mine)]


def average_precision(scores: np.ndarray, hits: np.ndarray, ignored: np.ndarray, real: int) -> np.ndarray:
    """Average precision at each threshold, float64 [10]: the mean over 101 recalls of the best precision at that recall or beyond.

    Args:
        scores: [N]. hits, ignored: bool [N, 10]. real: true instances, at least one.
    """
    order = np.argsort(-scores, kind="stable")
    right, wrong = (np.cumsum(one[order], axis=0) for one in (hits, ~hits & ~ignored))
    out = np.zeros(len(THRESHOLDS))
    for column in range(len(THRESHOLDS)):
        recall = right[:, column] / real
        precision = right[:, column] / np.maximum(right[:, column] + wrong[:, column], np.spacing(1))
        best = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(recall, RECALLS, side="left")
        out[column] = np.concatenate([best, [0.0]])[places].mean()
    return out
