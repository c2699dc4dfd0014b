"""The network: a unified encoder, and a steering head on the coarsest features of 16 pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.unified_encoder import model as seeing
from kd_planner_ros.networks.unified_encoder.model import UnifiedEncoder, feature_shapes
from kd_planner_ros.networks.unified_encoder.steering import WINDOW, build_steering
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig

INPUTS = (*seeing.INPUTS, "window", "earlier")
OUTPUTS = ("steer", *seeing.OUTPUTS)
EARLIER = WINDOW - 1
"""Pictures of the window before the present one."""
DEGREES = 10.0
"""The head's output 1 in degrees: about the spread of the labels."""


class UnifiedSteering(nn.Module):
    """What the unified encoder sees, and the steering of the last picture.

    Args:
        goal: numbers that say where the route leads, beside the pictures; 0: the head sees the pictures alone.
    """

    def __init__(self, config: UnifiedSteeringConfig, goal: int = 0):
        super().__init__()
        self.perception = UnifiedEncoder(config)
        channels, rows, columns = feature_shapes(config)[-1]
        self.told = goal > 0
        self.steering = build_steering(config.reading, channels, (rows, columns), config.small, goal)

    def forward(self, image: Tensor, before: Tensor, before_1: Tensor, before_2: Tensor, before_3: Tensor, before_4: Tensor,
                task: Tensor, window: Tensor, earlier: Tensor, goal: Tensor | None = None, features: bool = False) -> dict[str, Tensor]:
        """``steer`` [B]: angle of the front wheels in degrees, positive LEFT; and the outputs of ``UnifiedEncoder``.

        Args:
            window: the coarsest features of the 15 pictures before, oldest first [B, 15, C, h, w]. With the present
                picture's as the 16th nothing is looked at: ``steer`` alone comes back, and the other inputs are not read.
            earlier: how many of the 15 are known [B]; with 0 the present picture's features stand for all, as if the car had
                stood until now.
            goal: where the route leads [B, G]; read only by a head that was built for it.
            others: as ``UnifiedEncoder.forward`` has them.
        """
        if window.shape[1] == WINDOW:
            return {"steer": self.steer(window, goal)}
        seen = self.perception(image, before, before_1, before_2, before_3, before_4, task, features)
        return {"steer": self.steer(completed(window, earlier, seen["features_4"]), goal), **seen}

    def steer(self, window: Tensor, goal: Tensor | None = None) -> Tensor:
        """``steer`` of a whole window [B, 16, C, h, w]."""
        return DEGREES * self.steering(window, *((goal,) if self.told else ()))


def completed(window: Tensor, earlier: Tensor, features: Tensor) -> Tensor:
    """[B, 16, C, h, w] of ``window`` and ``earlier`` (``UnifiedSteering.forward``) and the coarsest features of the present picture."""
    now = features[:, None]
    return torch.cat([torch.where(earlier.view(-1, 1, 1, 1, 1) > 0.5, window, now), now], dim=1)


def build_model(config: UnifiedSteeringConfig) -> UnifiedSteering:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedSteering(config)


def example_inputs(config: UnifiedSteeringConfig, batch: int = 1) -> dict[str, Tensor]:
    """Inputs of zeros as the node gives them; all 15 pictures before are known."""
    return {**seeing.example_inputs(config, batch), "window": torch.zeros(batch, EARLIER, *feature_shapes(config)[-1]),
            "earlier": torch.full((batch,), float(EARLIER))}
