"""Answers where the picture showed nothing are no answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.imaging.dense_overlay import UNKNOWN_CLASS
from kd_planner_ros.imaging.resize import resize_labels

_UNKNOWN = {"depth": np.nan, "flow": np.nan, "probability": np.nan, "classes": UNKNOWN_CLASS, "ids": 0, "mask": 0}


def without_unseen(seen: Perception, shown: np.ndarray) -> Perception:
    """``seen`` with its outputs unknown where ``shown`` (bool [H, W] over the camera's picture) is False."""
    if shown.all():
        return seen
    return replace(seen, outputs={name: _masked(output, shown) for name, output in seen.outputs.items()})


def _masked(output: DenseOutput, shown: np.ndarray) -> DenseOutput:
    array = output.array.copy()
    array[~resize_labels(shown, *array.shape[:2])] = _UNKNOWN[output.kind]
    return replace(output, array=array, raw=None)
