"""Depth errors by the protocol of Eigen et al. (NeurIPS 2014) as it is used on KITTI.

Errors of each frame over its known pixels, then the mean over frames; predictions are limited to the same range as the truth.
Median scaling multiplies a frame's predictions by median(truth) / median(prediction), which forgives an unknown scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, ratio

MIN_DEPTH_M = 1e-3
DEPTH_FIGURES = ("abs_rel", "sq_rel", "rmse_m", "rmse_log", "delta_1", "delta_2", "delta_3")
"""Mean |d - t| / t; mean (d - t)^2 / t in metres; root mean square errors in metres and of the natural logarithm; share of
pixels whose ratio max(d / t, t / d) is below 1.25, 1.25^2 and 1.25^3."""
WAYS = ("metric", "median_scaled")
_BINS = 4096


@dataclass(frozen=True)
class FoundDepth:
    """``values`` [H, W], NaN unknown; ``metric``: whether they are metres, else they have an unknown scale."""

    values: np.ndarray
    metric: bool = True


def told_depth(output: DenseOutput) -> FoundDepth:
    """What an output of depth says of every pixel, in the sky too: a pixel must not drop out because it was taken for sky."""
    return FoundDepth(output.array) if output.raw is None else FoundDepth(output.raw, output.meta.get("raw") != "unscaled")


def depth_errors(predicted: np.ndarray, truth: np.ndarray, max_m: float) -> np.ndarray:
    """``DEPTH_FIGURES`` float64 [7] of one frame. ``predicted`` and ``truth`` [N >= 1] in metres, finite; ``truth`` in (0, max_m]."""
    found = np.clip(predicted, MIN_DEPTH_M, max_m)
    off, ratios = found - truth, found / truth
    logs, larger = np.log(ratios), np.maximum(ratios, 1.0 / ratios)
    squares = off * off
    return np.array([np.mean(np.abs(off) / truth), np.mean(squares / truth), math.sqrt(np.mean(squares)), math.sqrt(np.mean(logs * logs)),
                     *(np.mean(larger < 1.25 ** power) for power in (1, 2, 3))])


class DepthMeasure(Measure):
    """Depth errors in metres as predicted (``metric``) and after median scaling (``median_scaled``).

    Args:
        max_m: truth farther away than this is left out, and predictions are limited to it.
        further_m: further such limits, each with figures of its own under ``to_M_m``.
    """

    kind = "depth"

    def __init__(self, max_m: float, further_m: tuple[float, ...] = ()):
        self._max_m, self._further = max_m, tuple(sorted(set(further_m) - {max_m}))

    def counts(self, found: FoundDepth | np.ndarray, truth: np.ndarray) -> Counts:
        """``truth`` and a plain ``found`` [H, W] in metres, NaN unknown; a frame without a pixel known to both is left out and counted, one
        of unknown scale counts after median scaling alone."""
        found, metric = (found.values, found.metric) if isinstance(found, FoundDepth) else (found, True)
        known = np.isfinite(truth) & (truth >= MIN_DEPTH_M)
        told = known & ~np.isnan(found)
        wanted, said = truth[told].astype(float), np.clip(found[told].astype(float), MIN_DEPTH_M, np.finfo(np.float32).max)
        near = int((truth[known] <= self._max_m).sum())
        counts: dict[str, Any] = {"no_truth": known.size - int(known.sum()), "beyond_max": int(known.sum()) - near}
        for limit in (self._max_m, *self._further):
            used = wanted <= limit
            if limit == self._max_m:
                counts |= {"pixels": int(used.sum()), "unknown": near - int(used.sum())}
            counts |= _errors(said[used], wanted[used], limit, metric)
        return counts

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """``frames``, ``pixels``, ``left_out`` counts, and the means over frames of each way."""
        left_out = {name: int(sums.get(name, 0)) for name in ("no_truth", "beyond_max", "unknown")}
        left_out["frames"] = int(sums.get(f"{self._max_m:g} empty", 0))
        left_out["frames_without_metres"] = int(sums.get(f"{self._max_m:g} unscaled", 0))
        out = {"frames": int(sums.get(f"{self._max_m:g} frames", 0)), "pixels": int(sums.get("pixels", 0)), "left_out": left_out}
        out |= self._means(sums, self._max_m)
        return out | {f"to_{limit:g}_m": self._means(sums, limit) for limit in self._further}

    def _means(self, sums: Mapping[str, Any], limit: float) -> dict[str, Any]:
        empty, scaled = np.zeros(len(DEPTH_FIGURES)), sums.get(f"{limit:g} frames", 0)
        frames = {"metric": scaled - sums.get(f"{limit:g} unscaled", 0), "median_scaled": scaled}
        return {way: {name: ratio(value, frames[way])
                      for name, value in zip(DEPTH_FIGURES, sums.get(f"{limit:g} {way}", empty), strict=True)} for way in WAYS}

    def baselines(self) -> dict[str, Baseline]:
        """The median of each pixel row, and one depth for every pixel."""
        return {"row_median": RowMedian(self._max_m), "constant": RowMedian(self._max_m, by_row=False)}

    def where_told(self, guess: np.ndarray, found: FoundDepth | np.ndarray) -> FoundDepth | np.ndarray:
        """NaN where ``found`` is; in a frame of unknown scale it counts as ``found`` does."""
        if isinstance(found, FoundDepth):
            return replace(found, values=np.where(np.isnan(found.values), np.float32(np.nan), guess))
        return np.where(np.isnan(found), np.float32(np.nan), guess)


def _errors(found: np.ndarray, truth: np.ndarray, limit: float, metric: bool) -> dict[str, Any]:
    if not len(truth):
        return {f"{limit:g} empty": 1}
    scaled = found * (np.median(truth) / np.median(found))
    own = {f"{limit:g} metric": depth_errors(found, truth, limit)} if metric else {f"{limit:g} unscaled": 1}
    return {f"{limit:g} frames": 1, **own, f"{limit:g} median_scaled": depth_errors(scaled, truth, limit)}


class RowMedian(Baseline):
    """The trivial depth baseline: in each pixel row, or in the whole picture, the median of the truth that it was shown.

    Medians are taken from a histogram of 4096 logarithmic bins, so they are off by 0.2 % at most. A row without truth gives
    ``max_m``.
    """

    def __init__(self, max_m: float, by_row: bool = True):
        self.rule = f"median depth of the {'pixel row' if by_row else 'whole picture'} over the first half"
        self._max_m, self._by_row = max_m, by_row
        self._edges = np.geomspace(0.05, max_m, _BINS + 1)
        self._counts: np.ndarray | None = None
        self._made: np.ndarray | None = None

    def fit(self, truth: np.ndarray) -> None:
        """Take in ``truth`` [H, W], metres."""
        rows, self._made = len(truth), None
        if self._counts is None:
            self._counts = np.zeros((rows if self._by_row else 1, _BINS), np.int64)
        known = np.isfinite(truth) & (truth >= MIN_DEPTH_M) & (truth <= self._max_m)
        row = (np.nonzero(known)[0] * len(self._counts)) // rows
        scale = _BINS / math.log(self._edges[-1] / self._edges[0])
        bins = np.clip(np.log(truth[known] / self._edges[0]) * scale, 0, _BINS - 1).astype(np.int64)
        self._counts += np.bincount(row * _BINS + bins, minlength=self._counts.size).reshape(self._counts.shape)

    def guess(self, truth: np.ndarray) -> np.ndarray:
        """The baseline's depth float32 [H, W] for pictures of the shape of ``truth``, metres."""
        if self._made is None or self._made.shape != truth.shape:
            self._made = self._make(truth.shape)
        return self._made

    def _make(self, shape: tuple[int, ...]) -> np.ndarray:
        counts = self._counts if self._counts is not None else np.zeros((1, _BINS), np.int64)
        total = counts.sum(1)
        middle = (np.cumsum(counts, axis=1) >= np.maximum(total, 1)[:, None] / 2.0).argmax(1)
        medians = np.where(total > 0, np.sqrt(self._edges[middle] * self._edges[middle + 1]), self._max_m)
        rows = np.arange(shape[0]) * len(counts) // shape[0]
        return np.repeat(medians[rows, None], shape[1], axis=1).astype(np.float32)
