"""The teacher's samples hold the labels as inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import LearningTask, Loss, NoOptions, Score, Stage
from stranger.perception.loss import WEIGHTS, dense_loss
from stranger.perception.training import Dense, config_fields, dense_arrays, dense_figures, dense_targets
from stranger.pictures import HEIGHT, WIDTH
from stranger.teacher.processor import TeacherProcessor

__all__ = ["build_task", "config_fields"]


class TeacherTask(Dense, LearningTask):
    """A sample: the picture, for whoever looks at it, and the labels."""

    weights = WEIGHTS

    def __init__(self, processor: TeacherProcessor):
        self.processor = processor

    @property
    def key(self) -> Mapping[str, Any]:
        return {"size": [HEIGHT, WIDTH]}

    def record(self, frames: tuple, truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        return {MAIN: self.processor.picture(frames[0]), **dense_arrays(truth)}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        return {"true_depth": arrays["depth"].float(), "true_classes": arrays["classes"].long()}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return dense_targets(arrays)

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor], stage: Stage | None = None,
             weights: Mapping[str, float] | None = None) -> Loss:
        return Loss(*dense_loss(outputs, targets, self.weights if weights is None else weights), len(targets["depth"]))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        return dense_figures(outputs, targets)

    def selection_score(self, figures: Mapping[str, float]) -> float:
        return figures["depth_m"]


def build_task(processor: TeacherProcessor, options: NoOptions = NoOptions()) -> TeacherTask:
    return TeacherTask(processor)
