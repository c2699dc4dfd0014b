"""Frames to tensors and outputs to a Perception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.planner import Processor
from stranger.perception.config import LABELS, Config
from stranger.pictures import small, tensor


class PerceptionProcessor(Processor[Perception]):
    """Encodes the front picture and the one before it; the same picture twice where there is no earlier one."""

    def __init__(self, config: Config):
        self.config = config

    def picture(self, frame: Frame) -> np.ndarray:
        """The front picture, scaled."""
        if "front" not in frame.images:
            raise SensorError("a picture from camera 'front'", f"pictures from {sorted(frame.images) or 'no camera'}", "mount the camera")
        return small(frame.images["front"])

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        now = [self.picture(frame) for frame in frames]
        before = [self.picture(frame.history[0]) if frame.history and frame.history[0] else one
                  for frame, one in zip(frames, now, strict=True)]
        return {"now": tensor(np.stack(now)), "before": tensor(np.stack(before))}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Perception:
        size = frame.images["front"].shape[1::-1]  # as large as the camera's picture
        depth = cv2.resize(outputs["depth"][0].detach().float().cpu().numpy(), size, interpolation=cv2.INTER_LINEAR)
        classes = cv2.resize(outputs["classes"][0].argmax(0).cpu().numpy().astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        dense = {"depth": DenseOutput("depth", depth), "classes": DenseOutput("classes", classes, LABELS)}
        return Perception(frame.stamp_ns, "front", dense, frame.calibrations.get("front"))


def build_processor(config: Config) -> PerceptionProcessor:
    return PerceptionProcessor(config)
