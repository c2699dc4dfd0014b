"""The network: the unified encoder with Monodepth2's pose head on the coarsest features of both pictures.

Source: rows "shared" without a tick for the multi-scale pose decoder in Table I of the unified encoder's paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kd_planner_ros.networks.unified_encoder.model import INPUTS, OUTPUTS, UnifiedEncoder, example_inputs
from kd_planner_ros.networks.unified_encoder.motion import pose_head, pose_of_maps
from kd_planner_ros.networks.unified_single_scale.config import UnifiedSingleScaleConfig

__all__ = ["INPUTS", "OUTPUTS", "UnifiedSingleScale", "build_model", "example_inputs"]


class CoarsePose(nn.Module):
    """The motion of the camera between two pictures from their coarsest features.

    Args:
        width: channels of one picture's coarsest features.
        head: channels of the head.
        rotation: as for ``pose_of_maps``.
    """

    def __init__(self, width: int, head: int, rotation: float):
        super().__init__()
        self.head, self._rotation = pose_head(2 * width, head), rotation
        self.matcher = None

    def forward(self, pairs: Sequence[Tensor]) -> Tensor:
        """The pose [B, 6] as ``PoseDecoder`` gives it; of ``pairs`` the last one is read."""
        return pose_of_maps(self.head(pairs[-1]), self._rotation)


class UnifiedSingleScale(UnifiedEncoder):
    """As the unified encoder, but for the pose."""

    def __init__(self, config: UnifiedSingleScaleConfig):
        super().__init__(config)
        channels, head = config.widths.swin.channels[-1], config.widths.pose_head
        self.pose = CoarsePose(channels, head, config.rotation_scale)  # type: ignore[assignment]


def build_model(config: UnifiedSingleScaleConfig) -> UnifiedSingleScale:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedSingleScale(config)
