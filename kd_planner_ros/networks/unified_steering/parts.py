"""The steering perceiver in parts: those of the unified encoder, and its steering head."""

from __future__ import annotations

from torch import Tensor, nn

from kd_planner_ros.networks.parts import NetworkPart
from kd_planner_ros.networks.unified_encoder import parts as seeing
from kd_planner_ros.networks.unified_encoder.model import FEATURES
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig
from kd_planner_ros.networks.unified_steering.model import DEGREES, UnifiedSteering, completed


class _Steering(nn.Module):
    def __init__(self, model: UnifiedSteering):
        super().__init__()
        self.steering = model.steering

    def forward(self, features: Tensor, window: Tensor, earlier: Tensor) -> dict[str, Tensor]:
        return {"steer": DEGREES * self.steering(completed(window, earlier, features))}


def build_parts(model: UnifiedSteering, config: UnifiedSteeringConfig) -> tuple[NetworkPart, ...]:
    """The parts of the unified encoder, then ``steering``, which reads the window of the frames before."""
    return (*seeing.build_parts(model.perception, config),
            NetworkPart("steering", ("encoder",), ("encoder",), module=_Steering(model), inputs=(FEATURES[-1], "window", "earlier"),
                        outputs=("steer",)))
