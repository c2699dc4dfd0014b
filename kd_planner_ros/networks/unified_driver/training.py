"""What the unified driver is trained on: as the steering perceiver, with where the route leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.unified_driver.processor import UnifiedDriverProcessor, navigation_tensor
from kd_planner_ros.networks.unified_steering import training as steering
from kd_planner_ros.networks.unified_steering.training import HOLDS, OPTIMISER, STAGES, SteeringTask

__all__ = ["HOLDS", "OPTIMISER", "STAGES", "TrainOptions", "UnifiedDriverTask", "build_task", "config_fields"]


@dataclass(frozen=True)
class TrainOptions(steering.TrainOptions):
    """The unified driver's own training options."""

    route: bool = field(default=True, metadata={
        "help": "give command and target point to the steering head; the paper's head sees the pictures alone"})
    limit_mps: float = field(default=6.5, metadata={"help": "speed on a free road, m/s", "above": 0.0})


class UnifiedDriverTask(SteeringTask):
    """As ``SteeringTask``; the head is told command and target point unless the config says otherwise."""

    network = "unified_driver"

    def __init__(self, processor: UnifiedDriverProcessor, options: TrainOptions = TrainOptions()):
        super().__init__(processor, options)
        self.needs_route = processor.config.route

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """As ``SteeringTask.inputs``, with ``goal``."""
        seen = super().inputs(rows, arrays, hidden_speed)
        told = navigation_tensor(np.nan_to_num(rows["target"]), rows["command"])
        return {**seen, "goal": told.to(seen["window"].device)}


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """The fields of the steering perceiver (its ``training.py``), and those of the driver."""
    return {**steering.config_fields(size, options, camera, others), "route": options.route, "limit_mps": options.limit_mps}


def build_task(processor: UnifiedDriverProcessor, options: TrainOptions = TrainOptions()) -> UnifiedDriverTask:
    """The task for ``processor``."""
    return UnifiedDriverTask(processor, options)
