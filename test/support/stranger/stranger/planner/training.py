"""Drives in order, three seconds ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.sensors import RoadsideWish
from kd_planner_ros.networks.samples import MAIN, Sequences
from kd_planner_ros.networks.training import LearningTask, Loss, NoOptions, Score, Stage
from stranger.perception.training import config_fields
from stranger.pictures import HEIGHT, WIDTH, tensor
from stranger.planner.config import MEMORY, STEP_S, STEPS
from stranger.planner.loss import WEIGHTS, winner_loss
from stranger.planner.processor import PlannerProcessor, state_tensor

__all__ = ["build_task", "config_fields"]


class PlannerTask(LearningTask):
    """A sample: the front picture and the roadside one. Slots of the batch walk through drives in order."""

    cameras = ("front",)
    horizon_s, step_s = STEP_S * STEPS, STEP_S
    roadside = RoadsideWish(views=1, range_m=150.0)
    sampling = Sequences(8)
    pictures = (MAIN,)
    weights = WEIGHTS

    def __init__(self, processor: PlannerProcessor):
        self.processor = processor
        self._memory: Tensor | None = None

    @property
    def key(self) -> Mapping[str, Any]:
        return {"size": [HEIGHT, WIDTH]}

    def record(self, frames: tuple, truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        image, roadside = self.processor.pictures(frames[0])
        return {MAIN: image, "roadside": roadside}

    def begin_step(self, reset: np.ndarray) -> None:
        if self._memory is None or len(self._memory) != len(reset):
            self._memory = torch.zeros(len(reset), MEMORY)
        self._memory = torch.where(torch.from_numpy(np.asarray(reset, bool))[:, None], 0.0, self._memory)

    def end_step(self, outputs: Mapping[str, Tensor]) -> None:
        self._memory = outputs["memory"].detach().float().cpu()

    def memory(self) -> Any:
        return self._memory

    def restore_memory(self, memory: Any) -> None:
        self._memory = memory

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        device = arrays[MAIN].device
        state = state_tensor(rows["speed"], rows["target"])
        state[torch.from_numpy(hidden_speed), 0] = 0.0
        memory = self._memory if self._memory is not None and len(self._memory) == len(rows) else torch.zeros(len(rows), MEMORY)
        return {"image": tensor(arrays[MAIN]), "roadside": tensor(arrays["roadside"]), "state": state.to(device),
                "memory": memory.to(device)}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {"path": torch.from_numpy(np.nan_to_num(rows["future"]).astype(np.float32))}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor], stage: Stage | None = None,
             weights: Mapping[str, float] | None = None) -> Loss:
        return Loss(*winner_loss(outputs, targets, self.weights if weights is None else weights), len(targets["path"]))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        chosen = outputs["candidates"].float()[torch.arange(len(targets["path"])), outputs["scores"].argmax(1)]
        away = (chosen - targets["path"]).norm(dim=-1)
        return {"l2_m": (float(away.sum()), float(away.numel()))}

    def selection_score(self, figures: Mapping[str, float]) -> float:
        return figures["l2_m"]


def build_task(processor: PlannerProcessor, options: NoOptions = NoOptions()) -> PlannerTask:
    return PlannerTask(processor)
