"""The network: the unified encoder's Swin in place of TCP's ResNet, under TCP's head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.tcp.model import INPUTS, OUTPUTS, STATE, TCP
from kd_planner_ros.networks.unified_encoder.segmentation import build_segmentation
from kd_planner_ros.networks.unified_tcp.config import UnifiedTCPConfig

__all__ = ["INPUTS", "OUTPUTS", "UnifiedTCP", "build_model", "example_inputs"]


class SwinEyes(nn.Module):
    """The Swin with TCP's embedding of the last map."""

    def __init__(self, config: UnifiedTCPConfig):
        super().__init__()
        self.encoder, _ = build_segmentation(config.widths)
        self.fc = nn.Linear(config.widths.swin.channels[-1], config.backbone.fc_width)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The four maps of a normalised picture [B, 3, H, W], strides 4 to 32."""
        return list(self.encoder(image))

    def embed(self, last: Tensor) -> Tensor:
        """Of the last map's mean over cells: [B, fc_width]."""
        return self.fc(last.mean((2, 3)))


class UnifiedTCP(TCP):
    """As TCP; ``stage1`` to ``stage4`` are the encoder's features."""

    def eyes(self, config: UnifiedTCPConfig) -> SwinEyes:
        """See ``TCP.eyes``."""
        return SwinEyes(config)


def build_model(config: UnifiedTCPConfig) -> UnifiedTCP:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedTCP(config)


def example_inputs(config: UnifiedTCPConfig, batch: int = 1) -> dict[str, Tensor]:
    """Zero inputs of the right shapes."""
    return {"image": torch.zeros(batch, 3, config.input_height, config.input_width), "state": torch.zeros(batch, STATE)}
