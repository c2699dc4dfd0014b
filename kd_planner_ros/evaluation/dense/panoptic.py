"""Panoptic quality as Kirillov et al. (CVPR 2019) define it and panopticapi counts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import PER_CLASS
from kd_planner_ros.evaluation.dense.classes import RowClass
from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, known_mean
from kd_planner_ros.evaluation.dense.segments import found_segments, merged_stuff, overlaps, true_segments
from kd_planner_ros.evaluation.dense.vocabulary import IGNORED, Classes

MATCH = 0.5
"""Segments of one class match above this intersection over union: there can be one match only."""


class PanopticMeasure(Measure):
    """``pq`` = ``sq`` (mean IoU of matches) * ``rq`` (F1 of matches), each the mean over classes that occur: over all, ``things`` and
    ``stuff``, and by class.

    A pixel without a true class is no error of the segment that covers it; a segment that lies to more than half there, or on
    crowds of its class, is left out.

    Args:
        least: true things of fewer pixels are treated as crowds.
    """

    kind = "panoptic"

    def __init__(self, classes: Classes, least: int = 0):
        self.classes, self._least = classes, least

    def counts(self, found: np.ndarray, truth: Any) -> Counts:
        """``found``: ids int32 [H, W]; ``truth`` has ``tags``, ``single`` and ``seen`` (``true_segments``)."""
        there = true_segments(truth.tags, truth.single, self.classes, truth.seen, self._least)
        said, strange = found_segments(found, self.classes, None, truth.seen)
        said = merged_stuff(said, self.classes)
        table = overlaps(there, said)
        shared, sizes = table[1:, 1:], (table[1:].sum(1), table[:, 1:].sum(0))
        iou = shared / np.maximum(sizes[0][:, None] + sizes[1][None] - shared - table[0, 1:][None], 1)
        match = (there.classes[:, None] == said.classes[None]) & (iou > MATCH) & ~there.crowd[:, None]
        matched, hit = match.any(1), match.any(0)
        excused = table[0, 1:] + (shared * (there.crowd[:, None] & (there.classes[:, None] == said.classes[None]))).sum(0)
        wrong = ~hit & ~(excused > MATCH * sizes[1])
        kinds = len(self.classes.labels)

        def by_class(of: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
            return np.bincount(of, weights, minlength=kinds).astype(float)

        pairs, _ = np.nonzero(match)
        return {"frames": 1, "iou": by_class(there.classes[pairs], iou[match]), "hits": by_class(there.classes[matched]),
                "missed": by_class(there.classes[~matched & ~there.crowd]), "wrong": by_class(said.classes[wrong]),
                "crowds": int(there.crowd.sum()), "excused": int((~hit & ~wrong).sum()), "strange": strange}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """As the class says, with ``frames``, ``segments`` (true ones) and ``left_out``."""
        nothing = np.zeros(len(self.classes.labels))
        hits, missed, wrong, iou = (sums.get(name, nothing) for name in ("hits", "missed", "wrong", "iou"))
        half = hits + (missed + wrong) / 2.0
        kinds = range(len(half))
        sq = [float(iou[k] / hits[k]) if hits[k] else (0.0 if half[k] else None) for k in kinds]
        rq = [float(hits[k] / half[k]) if half[k] else None for k in kinds]
        pq = [float(iou[k] / half[k]) if half[k] else None for k in kinds]
        out = {}
        for name, chosen in (("all", [True] * len(half)), ("things", self.classes.things), ("stuff", ~self.classes.things)):
            out[name] = {text: known_mean([value for value, one in zip(values, chosen, strict=True) if one])
                         for text, values in (("pq", pq), ("sq", sq), ("rq", rq))}
        left_out = {"crowds": int(sums.get("crowds", 0)), "found_on_crowds_or_unlabelled": int(sums.get("excused", 0)),
                    "ids_without_class": int(sums.get("strange", 0))}
        return {"frames": int(sums.get("frames", 0)), "segments": int((hits + missed).sum()), "left_out": left_out, **out.pop("all"), **out,
                "pq_by_class": dict(zip(self.classes.labels, pq, strict=True))}

    def baselines(self) -> dict[str, Baseline]:
        """The most frequent class of each pixel row, each as one segment."""
        return {"row_class": RowSegments(self.classes)}


class RowSegments(Baseline):
    """The row's most frequent class, without members."""

    rule = "most frequent class of the pixel row over the first half, one segment a class"

    def __init__(self, classes: Classes):
        self._classes, self._rows = classes, RowClass(max(len(classes.labels), 1))

    def fit(self, truth: Any) -> None:
        """Take in ``truth.tags``."""
        self._rows.fit(self._classes.truth(truth.tags))

    def guess(self, truth: Any) -> np.ndarray:
        """Ids int32 [H, W]."""
        kinds = self._rows.guess(truth.tags).astype(np.int32)
        return np.where(kinds == IGNORED, 0, (kinds + 1) * PER_CLASS)
