"""Triplets of pictures with depth and classes of the middle one; two stages: depth first, then the classes on a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.networks.samples import MAIN, SampleMaker
from kd_planner_ros.networks.training import LearningTask, Loss, Score, Stage
from stranger.perception.config import MAX_DEPTH_M
from stranger.perception.loss import WEIGHTS, dense_loss
from stranger.perception.processor import PerceptionProcessor
from stranger.pictures import HEIGHT, WIDTH, tensor

STAGES = (Stage("depth", 0.5, trained=("encoder", "depth_head", "task"), losses={"depth": 0.1}, ramps={"depth": (0.05, 0.1)}),
          Stage("classes", 0.5, trained=("class_head",), losses={"classes": 1.0}, rate=0.5))
STEP_NS = 100_000_000


@dataclass(frozen=True)
class TrainOptions:
    """The network's own training option."""

    next_weight: float = field(default=0.1, metadata={"help": "weight of predicting the next picture, with a head that is not shipped",
                                                      "low": 0.0})


def dense_arrays(truth: Any) -> dict[str, np.ndarray]:
    """``depth`` float32 [16, 32] in metres and ``classes`` uint8 [16, 32] of the front camera's labels."""
    labels = truth.labels["front"]
    size = (WIDTH, HEIGHT)
    depth = cv2.resize(labels.depth, size, interpolation=cv2.INTER_NEAREST)
    return {"depth": np.minimum(depth, MAX_DEPTH_M).astype(np.float32),
            "classes": cv2.resize(labels.semantic % 4, size, interpolation=cv2.INTER_NEAREST)}


def dense_targets(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """What ``dense_loss`` compares with."""
    return {"depth": torch.from_numpy(arrays["depth"]), "classes": torch.from_numpy(arrays["classes"].astype(np.int64))}


def dense_figures(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
    """depth_m (mean absolute error) and right (share of right pixels)."""
    error, right = (outputs["depth"].float() - targets["depth"]).abs(), outputs["classes"].argmax(1) == targets["classes"]
    return {"depth_m": (float(error.sum()), float(error.numel())), "right": (float(right.sum()), float(right.numel()))}


class Dense(SampleMaker):
    """What student and teacher declare alike: the labels, no horizon, no route."""

    cameras = ("front",)
    labels = {"front": ("depth", "semantic")}
    horizon_s = 0.0
    needs_route = False
    pictures = ()


class PerceptionTask(Dense, LearningTask):
    """A sample: the picture, the one before and the one after it, and the labels."""

    offsets_ns = (-STEP_NS, 0, STEP_NS)
    weights = WEIGHTS
    reads_features = True

    def __init__(self, processor: PerceptionProcessor, options: TrainOptions = TrainOptions()):
        self.processor, self.options = processor, options
        self._next: nn.Module | None = None

    @property
    def key(self) -> Mapping[str, Any]:
        return {"size": [HEIGHT, WIDTH]}

    def record(self, frames: tuple, truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        before, now, after = (self.processor.picture(frame) for frame in frames)
        return {MAIN: now, "before": before, "after": after, **dense_arrays(truth)}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        return {"now": tensor(arrays[MAIN]), "before": tensor(arrays["before"])}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return dense_targets(arrays)

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor], stage: Stage | None = None,
             weights: Mapping[str, float] | None = None) -> Loss:
        return Loss(*dense_loss(outputs, targets, self.weights if weights is None else weights), len(targets["depth"]))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        return dense_figures(outputs, targets)

    def selection_score(self, figures: Mapping[str, float]) -> float:
        return figures["depth_m"] + 10.0 * (1.0 - figures["right"])

    def modules(self, model: nn.Module) -> nn.Module | None:
        """The head that draws the next picture; it is not shipped."""
        self._next = nn.Conv2d(8, 3, 1) if self.options.next_weight else None
        return self._next

    def auxiliary_losses(self, outputs: Mapping[str, Tensor], batch: Any) -> dict[str, tuple[float, Tensor]]:
        if self._next is None:
            return {}
        after = torch.from_numpy(batch.arrays["after"]).to(outputs["depth"].device).permute(0, 3, 1, 2).float() / 255.0
        return {"next": (self.options.next_weight, (self._next(outputs["stage1"].float()) - after).abs().mean())}


def config_fields(size: str, options: TrainOptions, camera: Any, others: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"size": "tiny"}
    if camera is not None:
        fields |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    return fields


def build_task(processor: PerceptionProcessor, options: TrainOptions = TrainOptions()) -> PerceptionTask:
    return PerceptionTask(processor, options)
