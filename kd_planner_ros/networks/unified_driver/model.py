"""The network: a unified encoder, and a steering head on the coarsest features of 16 pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.inputs import COMMANDS
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_encoder import model as seeing
from kd_planner_ros.networks.unified_encoder.model import UnifiedEncoder, feature_shapes
from kd_planner_ros.networks.unified_encoder.steering import WINDOW, build_steering

INPUTS = (*seeing.INPUTS, "window", "earlier", "goal")
OUTPUTS = ("steer", *seeing.OUTPUTS)
EARLIER = WINDOW - 1
"""Pictures of the window before the present one."""
GOAL = 2 + COMMANDS
DEGREES = 10.0
"""The head's output 1 in degrees: about the spread of the labels."""


class UnifiedDriver(nn.Module):
    """What the unified encoder sees, and the steering of the last picture."""

    def __init__(self, config: UnifiedDriverConfig):
        super().__init__()
        self.perception = UnifiedEncoder(config)
        channels, rows, columns = feature_shapes(config)[-1]
        self.route = config.route
        self.steering = build_steering(config.reading, channels, (rows, columns), config.small, GOAL if config.route else 0)

    def forward(self, image: Tensor, before: Tensor, before_1: Tensor, before_2: Tensor, before_3: Tensor, before_4: Tensor,
                task: Tensor, window: Tensor, earlier: Tensor, goal: Tensor, features: bool = False) -> dict[str, Tensor]:
        """``steer`` [B]: angle of the front wheels in degrees, positive LEFT; and the outputs of ``UnifiedEncoder``.

        Args:
            window: the coarsest features of the 15 pictures before, oldest first [B, 15, C, h, w]. With the present
                picture's as the 16th nothing is looked at: ``steer`` alone comes back, and the other inputs are not read.
            earlier: how many of the 15 are known [B]; with 0 the present picture's features stand for all, as if the car had
                stood until now.
            goal: ``navigation_tensor`` of the processor [B, 8]; read only where the config says ``route``.
            others: as ``UnifiedEncoder.forward`` has them.
        """
        told = (goal,) if self.route else ()
        if window.shape[1] == WINDOW:
            return {"steer": DEGREES * self.steering(window, *told)}
        seen = self.perception(image, before, before_1, before_2, before_3, before_4, task, features)
        now = seen["features_4"][:, None]
        window = torch.where(earlier.view(-1, 1, 1, 1, 1) > 0.5, window, now)
        return {"steer": DEGREES * self.steering(torch.cat([window, now], dim=1), *told), **seen}


def build_model(config: UnifiedDriverConfig) -> UnifiedDriver:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedDriver(config)


def example_inputs(config: UnifiedDriverConfig, batch: int = 1) -> dict[str, Tensor]:
    """Inputs of zeros as the node gives them; all 15 pictures before are known."""
    return {**seeing.example_inputs(config, batch), "window": torch.zeros(batch, EARLIER, *feature_shapes(config)[-1]),
            "earlier": torch.full((batch,), EARLIER), "goal": torch.zeros(batch, GOAL)}
