"""What the ego-status network is trained on: the rows that all networks share, and no picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.ego_status.config import LONGEST_S, MOST_STEPS, STEP_S, STEPS
from kd_planner_ros.networks.ego_status.processor import EgoStatusProcessor
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import LearningTask, Loss, OptimiserDefaults, Score, Stage

OPTIMISER = OptimiserDefaults("adamw", 1e-4)


@dataclass(frozen=True)
class TrainOptions:
    """The ego-status network's own training options."""

    steps: int = field(default=STEPS, metadata={"help": "waypoints of a plan", "low": 1, "high": MOST_STEPS})
    step_s: float = field(default=STEP_S, metadata={"help": "seconds between two waypoints", "above": 0.0, "high": LONGEST_S})
    target: bool = field(default=False, metadata={"help": "give the network the route's target point too", "input": True})


class EgoStatusTask(LearningTask):
    """A sample: its row. The pictures of a recording's first camera say when a sample is taken, and nothing is read of them."""

    cameras = ()
    pictures = ()
    weights = {"waypoints": 1.0}

    def __init__(self, processor: EgoStatusProcessor, options: TrainOptions = TrainOptions()):
        self.processor = processor
        config = processor.config
        self.step_s, self.horizon_s = config.step_s, config.steps * config.step_s
        self.reads = ("speed", "target") if config.target else ("speed",)

    @property
    def key(self) -> Mapping[str, Any]:
        """Nothing: the arrays are empty."""
        return {}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """``MAIN`` without a pixel."""
        return {MAIN: np.zeros((0, 0, 3), np.uint8)}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """``state``; a hidden speed is 0."""
        speed = np.where(hidden_speed, 0.0, rows["speed"])
        return {"state": self.processor.state_tensor(speed, rows["target"], rows["command"]).to(arrays[MAIN].device)}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """``waypoints`` [B, T, 2] metres with ``known`` [B, T], and ``held`` [B, T, 2], those of a car that keeps speed and heading."""
        future = rows["future"].astype(np.float32)
        known = np.isfinite(future).all(axis=2)
        ahead = rows["speed"][:, None] * self.processor.config.times_s
        held = np.stack([ahead, np.zeros_like(ahead)], -1).astype(np.float32)
        return {"waypoints": torch.from_numpy(np.nan_to_num(future)),
                "known": torch.from_numpy(known), "held": torch.from_numpy(held)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """The mean absolute error of the known coordinates, metres."""
        known = targets["known"].float()
        wrong = (outputs["waypoints"].float() - targets["waypoints"]).abs().mean(-1)
        part = (wrong * known).sum() / known.sum().clamp_min(1.0)
        weight = (self.weights if weights is None else weights)["waypoints"]
        return Loss(weight * part, {"waypoints": part.detach()}, len(known))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """``l2_m``: mean error over the known waypoints, metres; ``l2_end_m``: of the last one; ``constant_velocity_m``: mean error of a
        car that keeps speed and heading."""
        known = targets["known"].float()
        error, held = ((one.float() - targets["waypoints"]).norm(dim=-1) * known for one in (outputs["waypoints"], targets["held"]))
        return {"l2_m": (float(error.sum()), float(known.sum())), "l2_end_m": (float(error[:, -1].sum()), float(known[:, -1].sum())),
                "constant_velocity_m": (float(held.sum()), float(known.sum()))}

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """The mean error, metres."""
        return figures["l2_m"]


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, horizon and inputs; no camera shapes the network."""
    return {"size": size, "steps": options.steps, "step_s": options.step_s, "target": options.target}


def build_task(processor: EgoStatusProcessor, options: TrainOptions = TrainOptions()) -> EgoStatusTask:
    """The task for ``processor``."""
    return EgoStatusTask(processor, options)
