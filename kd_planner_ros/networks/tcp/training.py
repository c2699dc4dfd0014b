"""What TCP is trained on: one picture, the measured state, executed positions and actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import base_to_planner
from kd_planner_ros.networks.blocks.auxiliary import WithAuxiliaryHeads
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.tcp.loss import WEIGHTS, imitation_loss
from kd_planner_ros.networks.tcp.model import example_inputs
from kd_planner_ros.networks.tcp.processor import TCPProcessor, beta_mode
from kd_planner_ros.networks.training import LearningTask, Loss, OptimiserDefaults, Score, Stage

OPTIMISER = OptimiserDefaults("adam", 1e-7)
BACKBONE = "backbone"
STAGES = (Stage("train", untrained=("value_traj", "value_ctrl")),)
"""No loss reaches the value heads. They stay in training mode: their dropout draws from the step's generator as it always has."""


@dataclass(frozen=True)
class TrainOptions:
    """TCP's own training options."""

    input_height: int = field(default=256, metadata={"help": "height of the network's input in pixels", "input": True})
    input_width: int = field(default=900, metadata={"help": "width of the network's input in pixels", "input": True})
    states_weight: float = field(default=0.0, metadata={
        "help": "weight of the auxiliary loss on the planning states (light, junction, vehicle, ...), with a head that is not "
        "shipped; 0: none", "low": 0.0})
    semantic_weight: float = field(default=0.0, metadata={
        "help": "weight of the auxiliary loss on a coarse semantic grid, with a head that is not shipped; it needs recordings "
        "with --labels semantic; 0: none", "low": 0.0})


class TCPTask(WithAuxiliaryHeads, LearningTask):
    """One prepared picture a sample; everything else is in the rows that all networks share."""

    reads = ("speed", "target")
    grid = True
    needs_control = True
    own_shards = False
    weights = WEIGHTS

    def __init__(self, processor: TCPProcessor, options: TrainOptions = TrainOptions()):
        self.processor = processor
        self.cameras = (processor.config.camera_id,)
        self.states_weight, self.semantic_weight = options.states_weight, options.semantic_weight

    def example_inputs(self) -> dict[str, Tensor]:
        """See ``WithAuxiliaryHeads``."""
        return example_inputs(self.processor.config)

    @property
    def key(self) -> Mapping[str, Any]:
        """The size of the input."""
        return {"height": self.processor.config.input_height, "width": self.processor.config.input_width}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """RGB uint8 [H, W, 3]."""
        return {MAIN: self.processor.prepare(next(iter(frames[0].images.values())))}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """``image`` and ``state``; a hidden speed is 0."""
        state = self.processor.state_tensor(rows["speed"], rows["target"], rows["command"])
        state[torch.from_numpy(hidden_speed), 0] = 0.0
        return {"image": self.processor.image_tensor(arrays[MAIN]), "state": state.to(arrays[MAIN].device)}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """See ``TCPProcessor.targets``."""
        return self.processor.targets(rows["future"], rows["actions"], rows["speed"])

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """See ``imitation_loss``."""
        return Loss(*imitation_loss(outputs, targets, self.weights if weights is None else weights), len(targets["waypoints"]))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
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

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """The sum of waypoint error in metres and the errors of steering and acceleration."""
        return figures["l2_m"] + figures["steer_mae"] + figures["acceleration_mae"]

    def from_base(self, points: np.ndarray) -> np.ndarray:
        """In TCP's planner frame."""
        return base_to_planner(points)


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, input and the camera that the recordings were made with."""
    fields = {"size": size, "input_height": options.input_height, "input_width": options.input_width}
    if camera is not None:
        fields |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    if camera is not None and camera.pose != Pose():  # where the recorder noted it
        fields |= {"camera_x_m": camera.pose.x, "camera_z_m": camera.pose.z}
    return fields


def build_task(processor: TCPProcessor, options: TrainOptions = TrainOptions()) -> TCPTask:
    """The task for ``processor``."""
    return TCPTask(processor, options)
