"""Frames to tensors and outputs to a Plan; keeps the memory of the drive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.networks.planner import Processor
from stranger.pictures import HEIGHT, WIDTH, small, tensor
from stranger.planner.config import MEMORY, STEP_S, STEPS, Config

TIMES_S = STEP_S * np.arange(1, STEPS + 1)


def state_tensor(speed: np.ndarray, target: np.ndarray) -> Tensor:
    """[B, 3] of speed [B] and target point [B, 2]."""
    return torch.from_numpy(np.concatenate([np.asarray(speed)[:, None], np.asarray(target)], 1).astype(np.float32)) / 10.0


class PlannerProcessor(Processor[Plan]):
    """One drive at a time: ``reset`` begins another."""

    def __init__(self, config: Config):
        self.config = config
        self.reset()

    def reset(self) -> None:
        self._memory = torch.zeros(1, MEMORY)

    def pictures(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """The front picture and that of the nearest roadside camera; black where there is none."""
        if "front" not in frame.images:
            raise SensorError("a picture from camera 'front'", f"pictures from {sorted(frame.images) or 'no camera'}", "mount the camera")
        views = [view.image for view in frame.roadside if view.image is not None]
        return small(frame.images["front"]), small(views[0]) if views else np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        images, roadside = zip(*(self.pictures(frame) for frame in frames), strict=True)
        state = state_tensor(np.array([frame.ego.speed_mps for frame in frames]),
                             np.stack([frame.route_goal.target_point for frame in frames]))
        return {"image": tensor(np.stack(images)), "roadside": tensor(np.stack(roadside)), "state": state,
                "memory": self._memory.expand(len(frames), -1)}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        self._memory = outputs["memory"].detach().float().cpu()
        candidates = outputs["candidates"][0].detach().float().cpu().numpy().astype(float)
        scores = outputs["scores"][0].detach().float().softmax(0).cpu().numpy()
        best = candidates[int(scores.argmax())]
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, best, TIMES_S), frame.route_goal, candidates=candidates, scores=scores,
                    mode="cooperative" if frame.roadside else "alone")


def build_processor(config: Config) -> PlannerProcessor:
    return PlannerProcessor(config)
