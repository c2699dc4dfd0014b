"""Figures of dense outputs: depth error and class IoU, what was left out, and trivial baselines. Pure functions on arrays.

Depth follows the protocol of Eigen et al. (NeurIPS 2014) as it is used on KITTI: errors of each frame over its known pixels,
then the mean over frames; predictions are limited to the same range as the truth. Median scaling multiplies a frame's
predictions by median(truth) / median(prediction), which forgives an unknown scale. Class IoU is pooled over all pixels, as
Cityscapes does it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.imaging.palette import TAGS

MIN_DEPTH_M = 1e-3
DEPTH_FIGURES = ("abs_rel", "sq_rel", "rmse_m", "rmse_log", "delta_1", "delta_2", "delta_3")
"""Mean |d - t| / t; mean (d - t)^2 / t in metres; root mean square errors in metres and of the natural logarithm; share of
pixels whose ratio max(d / t, t / d) is below 1.25, 1.25^2 and 1.25^3."""
IGNORED = 255
"""Truth class of a pixel whose recorded tag no label of the network stands for, and class that a network gives where it says nothing."""
ALIASES = {"person": "pedestrian", "trafficsign": "sign", "trafficlights": "trafficlight"}
"""Names of other data sets for CARLA's classes, without spaces and in lower case."""
_BINS = 4096


def depth_errors(predicted: np.ndarray, truth: np.ndarray, max_m: float) -> dict[str, float]:
    """``DEPTH_FIGURES`` of one frame. ``predicted`` and ``truth`` [N >= 1] in metres, finite; ``truth`` in (0, max_m]."""
    found = np.clip(np.asarray(predicted, float), MIN_DEPTH_M, max_m)
    truth = np.asarray(truth, float)
    off, ratio = found - truth, np.maximum(found / truth, truth / found)
    logs = np.log(found) - np.log(truth)
    values = (np.mean(np.abs(off) / truth), np.mean(off ** 2 / truth), math.sqrt(np.mean(off ** 2)), math.sqrt(np.mean(logs ** 2)),
              *(np.mean(ratio < 1.25 ** power) for power in (1, 2, 3)))
    return dict(zip(DEPTH_FIGURES, map(float, values), strict=True))


class DepthScore:
    """Depth errors over frames, in metres as predicted (``metric``) and after median scaling (``median_scaled``).

    Args:
        max_m: truth farther away than this is left out, and predictions are limited to it.
    """

    def __init__(self, max_m: float):
        self._max_m = max_m
        self._sums = {way: dict.fromkeys(DEPTH_FIGURES, 0.0) for way in ("metric", "median_scaled")}
        self._counts = dict.fromkeys(("frames", "pixels", "no_truth", "beyond_max", "unknown", "frames_left_out"), 0)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """One frame: ``predicted`` and ``truth`` [H, W] in metres, NaN unknown; a frame without a pixel known to both is left
        out and counted."""
        known = np.isfinite(truth) & (truth >= MIN_DEPTH_M)
        near = known & (truth <= self._max_m)
        used = near & ~np.isnan(predicted)
        counts = self._counts
        counts["no_truth"] += int((~known).sum())
        counts["beyond_max"] += int((known & ~near).sum())
        counts["unknown"] += int((near & ~used).sum())
        if not used.any():
            counts["frames_left_out"] += 1
            return
        counts["frames"] += 1
        counts["pixels"] += int(used.sum())
        found, wanted = np.clip(predicted[used].astype(float), MIN_DEPTH_M, np.finfo(np.float32).max), truth[used].astype(float)
        scaled = found * (np.median(wanted) / np.median(found))
        for way, values in (("metric", found), ("median_scaled", scaled)):
            for name, value in depth_errors(values, wanted, self._max_m).items():
                self._sums[way][name] += value

    def result(self) -> dict[str, Any]:
        """``frames``, ``pixels``, ``left_out`` counts, and the means over frames; None where no frame counted."""
        counts = self._counts
        means = {way: {name: value / counts["frames"] if counts["frames"] else None for name, value in sums.items()}
                 for way, sums in self._sums.items()}
        left_out = {name: counts[name] for name in ("no_truth", "beyond_max", "unknown")} | {"frames": counts["frames_left_out"]}
        return {"frames": counts["frames"], "pixels": counts["pixels"], "left_out": left_out, **means}


class ClassScore:
    """Intersection over union of classes, pooled over all pixels.

    Args:
        labels: the network's class names in the order of its ids: names of CARLA's tags, or several joined by ``+`` (one class
            for all of them); case, spaces and underscores do not count.
    """

    def __init__(self, labels: Sequence[str]):
        self.labels = tuple(labels)
        self._class_of_tag, self.unmatched = match_tags(labels)
        self._table = np.zeros((len(labels), len(labels) + 1), np.int64)
        self._frames = self._ignored = self._unknown = 0

    def truth_classes(self, tags: np.ndarray) -> np.ndarray:
        """The network's class ids uint8 [H, W] of recorded ``tags`` uint8 [H, W]; ``IGNORED`` where no label stands for the tag."""
        return self._class_of_tag[tags]

    def add(self, predicted: np.ndarray, tags: np.ndarray) -> None:
        """One frame: ``predicted`` class ids and recorded ``tags``, both uint8 [H, W]. Pixels of which the network says nothing
        (``IGNORED``), as outside of the section of the picture that it sees, are left out and counted."""
        count, wanted = len(self.labels), self.truth_classes(tags)
        used = (wanted != IGNORED) & (predicted != IGNORED)
        self._unknown += int(((wanted != IGNORED) & ~used).sum())
        found = np.minimum(predicted[used], count).astype(np.int64)  # an id without a label is wrong wherever it stands
        self._table += np.bincount(wanted[used].astype(np.int64) * (count + 1) + found, minlength=count * (count + 1)).reshape(
            count, count + 1)
        self._frames += 1
        self._ignored += int((wanted == IGNORED).sum())

    def result(self) -> dict[str, Any]:
        """``iou`` by label (None for a class that is neither recorded nor predicted, or has no tag), ``mean_iou`` over the others,
        ``accuracy``, ``frames``, ``pixels``, ``left_out`` pixels and labels without a tag."""
        hits, all_pixels = np.diag(self._table), int(self._table.sum())
        unions = self._table.sum(1) + self._table[:, :-1].sum(0) - hits
        iou = {label: float(hit / union) if union and label not in self.unmatched else None
               for label, hit, union in zip(self.labels, hits, unions, strict=True)}
        known = [value for value in iou.values() if value is not None]
        return {"frames": self._frames, "pixels": all_pixels,
                "left_out": {"no_class": self._ignored, "unknown": self._unknown, "labels_without_tag": list(self.unmatched)},
                "mean_iou": sum(known) / len(known) if known else None,
                "accuracy": float(hits.sum() / all_pixels) if all_pixels else None, "iou": iou}


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


class RowMedian:
    """The trivial depth baseline: in each pixel row the median of the truth that it was shown.

    Medians are taken from a histogram of 4096 logarithmic bins, so they are off by 0.2 % at most. A row without truth gives
    ``max_m``.
    """

    rule = "median depth of the pixel row over the first half"

    def __init__(self, max_m: float):
        self._max_m = max_m
        self._edges = np.geomspace(0.05, max_m, _BINS + 1)
        self._counts: np.ndarray | None = None
        self._made: np.ndarray | None = None

    def fit(self, truth: np.ndarray) -> None:
        """Take in ``truth`` [H, W], metres."""
        rows, self._made = len(truth), None
        if self._counts is None:
            self._counts = np.zeros((rows, _BINS), np.int64)
        known = np.isfinite(truth) & (truth >= MIN_DEPTH_M) & (truth <= self._max_m)
        row = (np.nonzero(known)[0] * len(self._counts)) // rows
        bins = np.clip(np.searchsorted(self._edges, truth[known], "right") - 1, 0, _BINS - 1)
        self._counts += np.bincount(row * _BINS + bins, minlength=self._counts.size).reshape(self._counts.shape)

    def predict(self, shape: tuple[int, ...]) -> np.ndarray:
        """The baseline's depth float32 [H, W] for pictures of ``shape``, metres."""
        if self._made is None or self._made.shape != tuple(shape):
            self._made = self._make(shape)
        return self._made

    def _make(self, shape: tuple[int, ...]) -> np.ndarray:
        counts = self._counts if self._counts is not None else np.zeros((1, _BINS), np.int64)
        total = counts.sum(1)
        middle = (np.cumsum(counts, axis=1) >= np.maximum(total, 1)[:, None] / 2.0).argmax(1)
        medians = np.where(total > 0, np.sqrt(self._edges[middle] * self._edges[middle + 1]), self._max_m)
        rows = np.arange(shape[0]) * len(counts) // shape[0]
        return np.repeat(medians[rows, None], shape[1], axis=1).astype(np.float32)


class RowClass:
    """The trivial class baseline: in each pixel row the class that was most frequent in the truth that it was shown, over all
    rows where a row had none."""

    rule = "most frequent class of the pixel row over the first half"

    def __init__(self, count: int):
        self._count, self._counts = count, np.zeros((0, count), np.int64)

    def fit(self, truth: np.ndarray) -> None:
        """Take in class ids ``truth`` uint8 [H, W], ``IGNORED`` left out."""
        rows = len(truth)
        if not len(self._counts):
            self._counts = np.zeros((rows, self._count), np.int64)
        known = truth != IGNORED
        row = (np.nonzero(known)[0] * len(self._counts)) // rows
        self._counts += np.bincount(row * self._count + truth[known], minlength=self._counts.size).reshape(self._counts.shape)

    def predict(self, shape: tuple[int, ...]) -> np.ndarray:
        """The baseline's class ids uint8 [H, W] for pictures of ``shape``."""
        counts = self._counts if len(self._counts) else np.zeros((1, self._count), np.int64)
        most = np.where(counts.sum(1) > 0, counts.argmax(1), counts.sum(0).argmax())
        return np.repeat(most[np.arange(shape[0]) * len(counts) // shape[0], None], shape[1], axis=1).astype(np.uint8)


def resize_nearest(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``array`` [h, w] at the nearest pixel of each of [H, W], so that no values are mixed across edges."""
    if array.shape == tuple(shape):
        return array
    rows, columns = ((np.arange(size) * 2 + 1) * own // (2 * size) for size, own in zip(shape, array.shape, strict=True))
    return array[rows[:, None], columns[None, :]]


def figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of ``DepthScore.result`` or ``ClassScore.result`` by a short name, in the order of a table."""
    if "iou" in result:
        return {"mean IoU": result["mean_iou"], "accuracy": result["accuracy"],
                **{f"IoU {label}": value for label, value in result["iou"].items()}}
    return {f"{name}{' scaled' if way == 'median_scaled' else ''}": value for way in ("metric", "median_scaled")
            for name, value in result[way].items()}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
