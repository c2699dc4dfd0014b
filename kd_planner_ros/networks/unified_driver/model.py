"""The network: that of the steering perceiver, whose head is told where the route leads unless the config says otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_planner_ros.networks.blocks.inputs import COMMANDS
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_steering import model as steering
from kd_planner_ros.networks.unified_steering.model import UnifiedSteering

INPUTS = (*steering.INPUTS, "goal")
OUTPUTS = steering.OUTPUTS
GOAL = 2 + COMMANDS
"""Numbers that say where the route leads: ``navigation_tensor`` of the processor."""


def build_model(config: UnifiedDriverConfig) -> UnifiedSteering:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedSteering(config, GOAL if config.route else 0)


def example_inputs(config: UnifiedDriverConfig, batch: int = 1) -> dict[str, Tensor]:
    """Inputs of zeros as the node gives them; all 15 pictures before are known."""
    return {**steering.example_inputs(config, batch), "goal": torch.zeros(batch, GOAL)}
