"""A mask of tags (drivable area, lane markings) and a mask of what moves, each against the true one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, ratio

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
"""A disc of one pixel's radius."""
THRESHOLDS = 150
"""Probabilities that the sweep over a motion mask tries."""


def widened(mask: np.ndarray) -> np.ndarray:
    """bool [H, W]: ``mask`` and its neighbours above, below, left and right."""
    return cv2.dilate(mask.astype(np.uint8), _CROSS, borderValue=0).astype(bool)


def scores(hits: float, said: float, there: float) -> dict[str, float | None]:
    """``iou``, ``f1``, ``precision`` and ``recall`` of ``hits`` among ``said`` and ``there`` pixels."""
    return {"iou": ratio(hits, said + there - hits), "f1": ratio(2.0 * hits, said + there), "precision": ratio(hits, said),
            "recall": ratio(hits, there)}


class MaskMeasure(Measure):
    """A mask against a true one, pooled over all pixels.

    ``mean_iou`` is the mean of the mask's IoU and of the rest's. Of ``lines`` the IoU is taken after both masks were widened by one
    pixel, ``iou_exact`` without; a pixel of a line counts for ``f1`` where the other mask has one at most a pixel away, as BDD100K's
    evaluation has it.
    """

    kind = "mask"

    def __init__(self, lines: bool = False):
        self._lines = lines

    def counts(self, found: np.ndarray, truth: tuple[np.ndarray, np.ndarray]) -> Counts:
        """``found`` bool [H, W]; ``truth``: (bool [H, W], bool [H, W] where it is known and the network sees)."""
        wanted, known = truth
        said, wanted = found & known, wanted & known
        counts: dict[str, Any] = {"frames": 1, "pixels": int(known.sum()), "left_out": known.size - int(known.sum()),
                                  "exact": _table(said, wanted, known)}
        if self._lines:
            wide, broad = widened(said) & known, widened(wanted) & known
            counts |= {"wide": _table(wide, broad, known), "near": np.array([(said & broad).sum(), (wanted & wide).sum()])}
        return counts

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """``iou``, ``mean_iou``, ``f1``, ``precision``, ``recall``, ``frames``, ``pixels`` and ``left_out`` pixels."""
        hits, said, there, pixels = exact = sums.get("exact", np.zeros(4, np.int64))
        out: dict[str, Any] = scores(*exact[:3]) | {"mean_iou": _mean_iou(hits, said, there, pixels)}
        if self._lines:
            found, wanted = sums.get("near", np.zeros(2, np.int64))
            precision, recall = ratio(found, said), ratio(wanted, there)
            both = (precision or 0.0) + (recall or 0.0)
            wide = sums.get("wide", np.zeros(4, np.int64))
            out = {"iou": scores(*wide[:3])["iou"], "iou_exact": out["iou"], "mean_iou": _mean_iou(*wide),
                   "f1": ratio(2.0 * (precision or 0.0) * (recall or 0.0), both) if both else (None if not there + said else 0.0),
                   "precision": precision, "recall": recall}
        return {"frames": int(sums.get("frames", 0)), "pixels": int(sums.get("pixels", 0)),
                "left_out": {"unknown": int(sums.get("left_out", 0))}, **out}

    def baselines(self) -> dict[str, Baseline]:
        """The same mask in every picture."""
        return {"fixed": FixedMask()}


def _table(said: np.ndarray, wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels in both, in ``said``, in ``wanted``, and all: int64 [4]."""
    return np.array([(said & wanted).sum(), said.sum(), wanted.sum(), known.sum()])


def _mean_iou(hits: float, said: float, there: float, pixels: float) -> float | None:
    own, rest = ratio(hits, said + there - hits), ratio(pixels - said - there + hits, pixels - hits)
    return None if own is None or rest is None else (own + rest) / 2.0


class FixedMask(Baseline):
    """Each pixel as it mostly was."""

    rule = "each pixel as in most pictures of the first half"

    def __init__(self) -> None:
        self._set: np.ndarray | None = None
        self._seen: np.ndarray | None = None

    def fit(self, truth: tuple[np.ndarray, np.ndarray]) -> None:
        """Take in a true mask and where it is known."""
        wanted, known = truth
        if self._set is None or self._seen is None or self._set.shape != wanted.shape:
            self._set, self._seen = np.zeros(wanted.shape, np.int32), np.zeros(wanted.shape, np.int32)
        self._set += wanted & known
        self._seen += known

    def guess(self, truth: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """bool [H, W]."""
        if self._set is None or self._seen is None or self._set.shape != truth[0].shape:
            return np.zeros(truth[0].shape, bool)
        return 2 * self._set > self._seen


class MotionMeasure(Measure):
    """Which pixels move: ``iou``, ``f1``, ``precision`` and ``recall`` at a probability of one half, and over a sweep of thresholds the
    best F1 (``best_f1``, at ``best_threshold``) and the area under precision over recall (``average_precision``)."""

    kind = "motion mask"

    def counts(self, found: np.ndarray, truth: Any) -> Counts:
        """``found`` [H, W]: probability, NaN unknown, everywhere where the network is not ready; ``truth`` has ``moving``, ``moving_known``
        and ``things``, bool [H, W]."""
        if not np.isfinite(found).any():
            return {"not_ready": 1}
        used = truth.moving_known & np.isfinite(found)
        said, moving = found[used], truth.moving[used]
        level = np.clip(np.floor(said * THRESHOLDS), 0, THRESHOLDS - 1).astype(np.int64)
        table = np.bincount(level * 2 + moving, minlength=2 * THRESHOLDS).reshape(THRESHOLDS, 2)
        half = said > 0.5
        return {"frames": 1, "pixels": len(said), "unknown": used.size - len(said), "levels": table,
                "half": np.array([(half & moving).sum(), half.sum(), moving.sum()])}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """As the class says, with ``moving_share``, ``frames``, ``pixels`` and ``left_out``."""
        half, levels = sums.get("half", np.zeros(3, np.int64)), sums.get("levels", np.zeros((THRESHOLDS, 2), np.int64))
        said, hits = levels[::-1].sum(1).cumsum()[::-1], levels[::-1, 1].cumsum()[::-1]  # at least so probable
        f1 = 2.0 * hits / np.maximum(said + half[2], 1)
        best = int(f1.argmax())
        some = bool(half[2])
        return {"frames": int(sums.get("frames", 0)), "pixels": int(sums.get("pixels", 0)),
                "left_out": {"not_ready": int(sums.get("not_ready", 0)), "unknown": int(sums.get("unknown", 0))},
                **scores(*half), "best_f1": float(f1[best]) if some else None, "best_threshold": best / THRESHOLDS if some else None,
                "average_precision": _area(hits, said, half[2]) if some else None, "moving_share": ratio(half[2], sums.get("pixels", 0))}

    def baselines(self) -> dict[str, Baseline]:
        """Nothing moves; everything that can."""
        return {"all_static": AllStatic(), "all_road_users": AllRoadUsers()}

    def where_told(self, guess: np.ndarray, found: np.ndarray) -> np.ndarray:
        """NaN where ``found`` is."""
        return np.where(np.isfinite(found), guess, np.float32(np.nan))


def _area(hits: np.ndarray, said: np.ndarray, there: int) -> float:
    """Sum over the thresholds, from the highest, of what recall gains times the precision there."""
    recall = np.concatenate([[0.0], hits[::-1] / there])
    precision = hits[::-1] / np.maximum(said[::-1], 1)
    return float((np.diff(recall) * precision).sum())


class AllStatic(Baseline):
    """Nothing moves."""

    rule = "nothing moves"

    def guess(self, truth: Any) -> np.ndarray:
        """Zeros float32 [H, W]."""
        return np.zeros(truth.moving.shape, np.float32)


class AllRoadUsers(Baseline):
    """Everything moves that is a road user."""

    rule = "every pixel moves that the labels say is a road user"

    def guess(self, truth: Any) -> np.ndarray:
        """float32 [H, W] of zeros and ones."""
        return truth.things.astype(np.float32)
