"""The network is trained as TCP; its encoder begins as that of a unified encoder and learns more slowly than the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.tcp.training import TCPTask
from kd_planner_ros.networks.tcp.training import TrainOptions as TCPOptions
from kd_planner_ros.networks.training import OptimiserDefaults, Stage
from kd_planner_ros.networks.unified_encoder.training import SectionOptions, recorded_pose, section_fields
from kd_planner_ros.networks.unified_tcp.model import example_inputs
from kd_planner_ros.networks.unified_tcp.processor import UnifiedTCPProcessor

__all__ = ["BACKBONE", "OPTIMISER", "STAGES", "TrainOptions", "build_task", "config_fields"]
BACKBONE = "backbone.encoder"
OPTIMISER = OptimiserDefaults("adamw", 0.05, 0.1, (BACKBONE,))
"""An encoder that has learnt already moves at a tenth of the head's rate."""
_NORMS = tuple(f"{BACKBONE}.swin.hidden_states_norms.stage{number}" for number in (1, 2, 3))
STAGES = (Stage("train", untrained=("value_traj", "value_ctrl", *_NORMS)),)
"""As TCP's. The head reads the last map alone, so no loss reaches the norms of the other ones."""


@dataclass(frozen=True)
class TrainOptions(SectionOptions):
    """The network's own training options."""

    states_weight: float = field(default=0.0, metadata={
        "help": "weight of the auxiliary loss on the planning states (light, junction, vehicle, ...), with a head that is not "
        "shipped; 0: none", "low": 0.0})


class UnifiedTCPTask(TCPTask):
    """A sample: the encoder's section of the picture; everything else is in the rows that all networks share. There is no coarse semantic
    grid: that lies over the whole picture."""

    grid = False
    own_shards = True

    processor: UnifiedTCPProcessor

    def __init__(self, processor: UnifiedTCPProcessor, options: TrainOptions = TrainOptions()):
        super().__init__(processor, TCPOptions(states_weight=options.states_weight))

    def example_inputs(self) -> dict[str, Tensor]:
        """See ``WithAuxiliaryHeads``."""
        return example_inputs(self.processor.config)

    @property
    def key(self) -> Mapping[str, Any]:
        """The section of the picture."""
        config = self.processor.config
        return {"size": [config.input_height, config.input_width], "camera": [config.camera_x_m, config.camera_z_m]}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """RGB uint8 [H, W, 3].

        Raises:
            SensorError: the camera was elsewhere.
        """
        recorded_pose(frames[0], self.processor.config, "unified_tcp")
        return super().record(frames, truth, tick)


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """See ``section_fields``."""
    return section_fields(size, options, camera, others)


def build_task(processor: UnifiedTCPProcessor, options: TrainOptions = TrainOptions()) -> UnifiedTCPTask:
    """The task for ``processor``."""
    return UnifiedTCPTask(processor, options)
