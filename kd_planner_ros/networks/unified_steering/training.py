"""What a steering head is trained on: features that its frozen encoder made once of each picture, and the driver's steering."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.blocks.inputs import normalise
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import LearningTask, Loss, OptimiserDefaults, Score, Stage
from kd_planner_ros.networks.unified_encoder.config import READINGS
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_encoder.selfsup import steering_loss
from kd_planner_ros.networks.unified_encoder.training import PictureOptions, recorded_pose
from kd_planner_ros.networks.unified_encoder.training import config_fields as encoder_fields
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig
from kd_planner_ros.networks.unified_steering.model import EARLIER, INPUTS
from kd_planner_ros.networks.unified_steering.processor import UnifiedSteeringProcessor

OPTIMISER = OptimiserDefaults("adamw", 0.05)
STAGES = (Stage("steering", trained=("steering",)),)
HOLDS = {"unified_encoder": "perception"}
"""A run begins with all weights of a unified encoder: ``--warm-start MODEL``."""
FEATURES = "features"
STOOD_SHARE = 0.25
"""Of the windows in a training step so many are cut at a random picture, which stands for those before it: so does the planner fill
windows at its start and after gaps, and the past motion alone does not give the answer away."""


@dataclass(frozen=True)
class TrainOptions(PictureOptions):
    """A steering head's own training options."""

    supervision: str = field(default="truth", metadata={
        "help": "how the unified encoder of --warm-start learnt depth: truth (in metres) or self", "choices": ("truth", "self")})
    reading: str = field(default="probe", metadata={
        "help": "steering head: probe (one query attends to all pictures) or pooling (self-attentive pooling)", "choices": READINGS})


class Looks(Protocol):
    """A processor of a network with a steering head."""

    @property
    def config(self) -> UnifiedSteeringConfig:
        """What the network was built for."""

    @property
    def eyes(self) -> UnifiedEncoderProcessor:
        """Its unified encoder's."""


class SteeringTask(LearningTask):
    """A sample: the coarsest features of its picture; a batch holds those of the 15 samples before too. ``network`` has the steering
    head."""

    network = "unified_steering"

    horizon_s = 0.0
    needs_control, needs_route = True, False
    past = ((FEATURES, EARLIER),)
    pictures = (FEATURES,)
    weights = {"steering": 1.0}

    def __init__(self, processor: Looks, options: TrainOptions = TrainOptions()):
        self.processor, self.options = processor, options
        self.cameras = (processor.config.camera_id,)
        self._encoder: nn.Module | None = None
        self._device = torch.device("cpu")

    def modules(self, model: nn.Module) -> nn.Module | None:
        """None; the encoder of ``model`` makes the samples from now on, as it is now: no stage trains it."""
        encoder: Any = model.get_submodule("perception.encoder")
        self._encoder, self._device = copy.deepcopy(encoder).eval(), next(encoder.parameters()).device
        return None

    @property
    def encoder(self) -> nn.Module:
        """The encoder that makes the samples.

        Raises:
            ConfigError: the task was not given a model.
        """
        if self._encoder is None:
            raise ConfigError("samples of the network's own encoder", "a task without a model", "call modules(model) first")
        return self._encoder

    @property
    def key(self) -> Mapping[str, Any]:
        """The section of the picture, and the encoder's weights."""
        config, digest = self.processor.config, hashlib.sha256()
        for name, tensor in sorted(self.encoder.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return {"size": [config.input_height, config.input_width], "camera": [config.camera_x_m, config.camera_z_m],
                "encoder": digest.hexdigest()}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """``features`` float16 [C, h, w]; the main picture is empty, because nothing reads it.

        Raises:
            SensorError: as ``UnifiedEncoderProcessor.picture`` and ``recorded_pose``.
        """
        recorded_pose(frames[0], self.processor.config, self.network)
        picture = normalise(self.processor.eyes.picture(frames[0])[None]).to(self._device)
        with torch.inference_mode():
            coarsest = self.encoder(picture)[-1][0]
        return {MAIN: np.zeros((0, 0, 3), np.uint8), FEATURES: coarsest.cpu().numpy().astype(np.float16)}

    def augment(self, arrays: Mapping[str, np.ndarray], probability: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Windows cut at a random picture, ``STOOD_SHARE`` of them; the features of clean pictures otherwise."""
        windows = arrays[FEATURES].copy()
        for window in windows:
            if rng.random() < STOOD_SHARE:
                first = int(rng.integers(1, EARLIER + 1))
                window[:first] = window[first]
        return {FEATURES: windows}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """``window`` [B, 16, C, h, w], the present picture's features in it; nothing else is read."""
        window = arrays[FEATURES].float()
        return {**{name: window.new_zeros(len(window), 0) for name in INPUTS}, "window": window}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """``steer`` [B]: the expert's steering in degrees of the front wheels, positive LEFT; ``known`` [B]."""
        wanted = rows["actions"][:, 0, 1].astype(np.float32) * np.float32(self.processor.config.full_lock_deg)
        return {"steer": torch.from_numpy(np.nan_to_num(wanted)), "known": torch.from_numpy(np.isfinite(wanted))}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """Equation 5 over the samples whose steering is known; see ``steering_loss``."""
        known, found = targets["known"], outputs["steer"].float()
        part = steering_loss(found[known], targets["steer"][known]) if bool(known.any()) else 0.0 * found.sum()
        weight = (self.weights if weights is None else weights)["steering"]
        return Loss(weight * part, {"steering": part.detach()}, int(known.sum()))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """``steer_mse``: unweighted, in square degrees; ``steer_mae``: in shares of full lock."""
        known = targets["known"]
        error, count = (outputs["steer"].float() - targets["steer"])[known], float(known.sum())
        return {"steer_mse": (float(error.square().sum()), count),
                "steer_mae": (float(error.abs().sum()) / self.processor.config.full_lock_deg, count)}

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """The unweighted mean square error."""
        return figures["steer_mse"]


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """The fields of the unified encoder (its ``training.py``), and those of the steering head."""
    return {**encoder_fields(size, options, camera, others), "reading": options.reading, "small": size != "full"}


def build_task(processor: UnifiedSteeringProcessor, options: TrainOptions = TrainOptions()) -> SteeringTask:
    """The task for ``processor``."""
    return SteeringTask(processor, options)
