"""Steering against the recorded driver's, in shares of full lock, positive LEFT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, mean

FOLDS = 10
"""Blocks of time, as ten-fold cross-testing has them."""


@dataclass(frozen=True)
class Steered:
    """What the recorded driver did at one frame."""

    recording: str
    steer: float


class SteeringMeasure(Measure):
    """``mse`` and ``mae``; ``mse_by_fold`` over ten blocks of the frames in the order of time, their mean and standard deviation."""

    kind = "steering"

    def counts(self, found: float, truth: Steered) -> Counts:
        """``found`` NaN: the network is not ready."""
        return {"frames": 1, "off": [found - truth.steer]} if math.isfinite(found) else {"not_ready": 1}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """As the class says, with ``frames`` and ``left_out``."""
        off = np.array(sums.get("off", []))
        folds = [mean(part ** 2) for part in np.array_split(off, FOLDS)] if len(off) >= FOLDS else []
        return {"frames": int(sums.get("frames", 0)), "left_out": {"not_ready": int(sums.get("not_ready", 0))}, "mse": mean(off ** 2),
                "mae": mean(np.abs(off)), "mse_fold_mean": mean(folds), "mse_fold_std": float(np.std(folds)) if folds else None,
                "mse_by_fold": {str(number): value for number, value in enumerate(folds)}}

    def baselines(self) -> dict[str, Baseline]:
        """The mean, and what the driver did at the frame before."""
        return {"mean": MeanSteering(), "last": LastSteering()}

    def where_told(self, guess: float, found: float) -> float:
        """NaN where ``found`` is."""
        return guess if math.isfinite(found) else math.nan


class MeanSteering(Baseline):
    """One value."""

    rule = "the driver's mean steering over the first half"

    def __init__(self) -> None:
        self._seen: list[float] = []

    def fit(self, truth: Steered) -> None:
        """Take in a value."""
        self._seen.append(truth.steer)

    def guess(self, truth: Steered) -> float:
        """The mean, 0 where nothing was seen."""
        return mean(self._seen) or 0.0


class LastSteering(Baseline):
    """The last value."""

    rule = "the driver's own steering at the frame before"

    def __init__(self) -> None:
        self._last: Steered | None = None

    def follow(self, truth: Steered) -> None:
        """Remember a value."""
        self._last = truth

    def guess(self, truth: Steered) -> float:
        """The last value in this recording, 0 in its first frame."""
        return self._last.steer if self._last is not None and self._last.recording == truth.recording else 0.0
