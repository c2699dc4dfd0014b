"""Speed and command to waypoints by a small multilayer perceptron.

Why it is here: in open loop, a network that sees nothing comes near to planners with cameras, because most recorded drives go
straight on at the speed that the car has (Zhai et al., "Rethinking the Open-Loop Evaluation of End-to-End Autonomous Driving in nuScenes",
2023; Li et al., "Is Ego Status All You Need for Open-Loop End-to-End Autonomous Driving?", CVPR 2024). An error of a planner with cameras
or with roadside data says what they are worth only beside the error of this network on the same plans; where this network is better,
a report says so. Deviation from the first paper: no acceleration and no past, since neither is a planner's input here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.inputs import COMMANDS
from kd_planner_ros.networks.ego_status.config import EgoStatusConfig

INPUTS = ("state",)
OUTPUTS = ("waypoints",)
SPEED_SCALE_MPS, TARGET_SCALE_M = 12.0, 30.0
"""What speed and target point are divided by in ``state``."""
OUTPUT_M = 10.0
"""The last layer's output 1 in metres."""


def state_width(config: EgoStatusConfig) -> int:
    """Numbers in ``state``: speed, one-hot command, and the target point where it is an input."""
    return 1 + COMMANDS + (2 if config.target else 0)


class EgoStatus(nn.Module):
    """See ``forward``."""

    times_s: Tensor

    def __init__(self, config: EgoStatusConfig):
        super().__init__()
        width = config.width
        self.layers = nn.Sequential(nn.Linear(state_width(config), width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                    nn.Linear(width, 2 * config.steps))
        self.register_buffer("times_s", torch.from_numpy(config.times_s).float(), persistent=False)

    def forward(self, state: Tensor, features: bool = False) -> dict[str, Tensor]:
        """``waypoints`` [B, T, 2], metres in ``base_link``: those of a car that keeps speed and heading, and a correction.

        Args:
            state: [B, 7 or 9] (``EgoStatusProcessor.state_tensor``).
        """
        ahead = SPEED_SCALE_MPS * state[:, :1] * self.times_s
        correction = OUTPUT_M * self.layers(state).unflatten(1, (-1, 2))
        return {"waypoints": torch.stack([ahead, torch.zeros_like(ahead)], -1) + correction}


def build_model(config: EgoStatusConfig) -> EgoStatus:
    """The network with fresh weights from torch's global generator."""
    return EgoStatus(config)


def example_inputs(config: EgoStatusConfig, batch: int = 1) -> dict[str, Tensor]:
    """A standing car without a command."""
    return {"state": torch.zeros(batch, state_width(config))}
