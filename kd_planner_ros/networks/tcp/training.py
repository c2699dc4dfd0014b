"""What TCP is trained on: one picture, the measured state, executed positions and actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.tcp.processor import TCPProcessor, beta_mode
from kd_planner_ros.networks.training import Lessons, OptimiserDefaults, Score

OPTIMISER = OptimiserDefaults("adam", 1e-7)
BACKBONE = "backbone"


class TCPLessons(Lessons):
    """The prepared picture; everything else is in the rows that all networks share."""

    semantic = True

    def __init__(self, processor: TCPProcessor):
        self.processor = processor
        self.cameras = (processor.config.camera_id,)

    @property
    def key(self) -> Mapping[str, Any]:
        """The size of the input."""
        return {"height": self.processor.config.input_height, "width": self.processor.config.input_width}

    def record(self, frame: Frame, truth: Any, tick: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """RGB uint8 [H, W, 3]."""
        return {MAIN: self.processor.prepare(next(iter(frame.images.values())))}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """``image`` and ``state``; a hidden speed is 0."""
        state = self.processor.state_tensor(rows["speed"], rows["target"], rows["command"])
        state[torch.from_numpy(hidden_speed), 0] = 0.0
        return {"image": self.processor.image_tensor(arrays[MAIN]), "state": state.to(arrays[MAIN].device)}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """See ``TCPProcessor.targets``."""
        return self.processor.targets(rows["future"], rows["actions"], rows["speed"])

    def score(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """l2_m (mean over the four waypoints), l2_2s_m, and the mean absolute errors of the action modes in units of full
        steering lock and full pedal."""
        error = (outputs["waypoints"].float() - targets["waypoints"]).norm(dim=-1)
        known = targets["waypoints_mask"].float()
        alpha, beta = (outputs[name].float().cpu().numpy() for name in ("alpha", "beta"))
        modes = torch.from_numpy(beta_mode(alpha, beta).astype(np.float32)).to(error.device)
        wrong = (modes - (2.0 * targets["actions"][:, 0] - 1.0)).abs() * targets["actions_mask"][:, :1]
        acted = float(targets["actions_mask"][:, 0].sum())
        return {
            "l2_m": (float((error * known).sum()), float(known.sum())),
            "l2_2s_m": (float((error * known)[:, -1].sum()), float(known[:, -1].sum())),
            "acceleration_mae": (float(wrong[:, 0].sum()), acted), "steer_mae": (float(wrong[:, 1].sum()), acted)}

    def badness(self, scores: Mapping[str, float]) -> float:
        """Metres and shares, added."""
        return scores["l2_m"] + scores["steer_mae"] + scores["acceleration_mae"]


def config_fields(settings: Any, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, input and the camera that the recordings were made with."""
    fields = {"size": settings.size, "input_height": settings.input_height, "input_width": settings.input_width}
    if camera is not None:
        fields |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    return fields


def build_lessons(processor: TCPProcessor) -> TCPLessons:
    """The lessons for ``processor``."""
    return TCPLessons(processor)
