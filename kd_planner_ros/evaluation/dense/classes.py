"""Intersection over union of classes, pooled over all pixels, as Cityscapes does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, known_mean, ratio
from kd_planner_ros.evaluation.dense.vocabulary import IGNORED, Classes


class ClassMeasure(Measure):
    """IoU of each of ``classes``; both sides are class ids uint8 [H, W], ``IGNORED`` where nothing is said."""

    kind = "classes"

    def __init__(self, classes: Classes):
        self.classes = classes

    def counts(self, found: np.ndarray, truth: np.ndarray) -> Counts:
        """Pixels of which the network says nothing (``IGNORED``), as outside of the section of the picture that it sees, are left
        out and counted; so are those without a true class."""
        count = len(self.classes.labels)
        wanted = truth != IGNORED
        used = wanted & (found != IGNORED)
        said = np.minimum(self.classes.found(found[used]), count).astype(np.int64)  # an id without a label is wrong wherever it stands
        table = np.bincount(truth[used].astype(np.int64) * (count + 1) + said, minlength=count * (count + 1)).reshape(count, count + 1)
        return {"frames": 1, "table": table, "no_class": wanted.size - int(wanted.sum()), "unknown": int(wanted.sum()) - int(used.sum())}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """``iou`` by label (None for a class that is neither recorded nor predicted, or is compared with nothing), ``mean_iou`` over the
        others, ``accuracy``, ``frames``, ``pixels``, ``left_out`` pixels and labels that are compared with nothing."""
        labels, unmatched = self.classes.labels, self.classes.unmatched
        table = sums.get("table", np.zeros((len(labels), len(labels) + 1), np.int64))
        hits, pixels = np.diag(table), int(table.sum())
        unions = table.sum(1) + table[:, :-1].sum(0) - hits
        iou = {label: ratio(hit, union) if label not in unmatched else None for label, hit, union in zip(labels, hits, unions, strict=True)}
        return {"frames": int(sums.get("frames", 0)), "pixels": pixels,
                "left_out": {"no_class": int(sums.get("no_class", 0)), "unknown": int(sums.get("unknown", 0)),
                             "labels_without_tag": list(unmatched)},
                "mean_iou": known_mean(iou.values()), "accuracy": ratio(hits.sum(), pixels), "iou": iou}

    def baselines(self) -> dict[str, Baseline]:
        """The most frequent class of each pixel row, and of the whole picture."""
        count = max(len(self.classes.labels), 1)
        return {"row_class": RowClass(count), "majority_class": RowClass(count, by_row=False)}

    def where_told(self, guess: np.ndarray, found: np.ndarray) -> np.ndarray:
        """``IGNORED`` where ``found`` is."""
        return np.where(found == IGNORED, np.uint8(IGNORED), guess)


class RowClass(Baseline):
    """The trivial class baseline: in each pixel row the class that was most frequent in the truth that it was shown, over all
    rows where a row had none; or everywhere the class that was most frequent of all."""

    def __init__(self, count: int, by_row: bool = True):
        self.rule = f"most frequent class of the {'pixel row' if by_row else 'whole picture'} over the first half"
        self._count, self._by_row, self._counts = count, by_row, np.zeros((0, count), np.int64)

    def fit(self, truth: np.ndarray) -> None:
        """Take in class ids ``truth`` uint8 [H, W], ``IGNORED`` left out."""
        rows = len(truth)
        if not len(self._counts):
            self._counts = np.zeros((rows if self._by_row else 1, self._count), np.int64)
        known = truth != IGNORED
        row = (np.nonzero(known)[0] * len(self._counts)) // rows
        self._counts += np.bincount(row * self._count + truth[known], minlength=self._counts.size).reshape(self._counts.shape)

    def guess(self, truth: np.ndarray) -> np.ndarray:
        """The baseline's class ids uint8 [H, W] for pictures of the shape of ``truth``."""
        counts, shape = self._counts if len(self._counts) else np.zeros((1, self._count), np.int64), truth.shape
        most = np.where(counts.sum(1) > 0, counts.argmax(1), counts.sum(0).argmax())
        return np.repeat(most[np.arange(shape[0]) * len(counts) // shape[0], None], shape[1], axis=1).astype(np.uint8)
