"""One encoder, two heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stranger.perception.config import CLASSES, MAX_DEPTH_M, Config
from stranger.pictures import HEIGHT, WIDTH, block

INPUTS, OUTPUTS = ("now", "before"), ("depth", "classes")


class PerceptionNet(nn.Module):
    """``now`` and ``before`` [B, 3, 16, 32] in; ``depth`` [B, 16, 32] metres and ``classes`` [B, 4, 16, 32] logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = block(6, 8)
        self.depth_head = nn.Conv2d(8, 1, 1)
        self.class_head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, now: Tensor, before: Tensor, features: bool = False) -> dict[str, Tensor]:
        """The outputs; with ``features`` the encoder's map ``stage1`` [B, 8, 16, 32] too."""
        seen = self.encoder(torch.cat([now, before], 1))
        outputs = {"depth": MAX_DEPTH_M * self.depth_head(seen)[:, 0].sigmoid(), "classes": self.class_head(seen)}
        return outputs | ({"stage1": seen} if features else {})


def build_model(config: Config) -> PerceptionNet:
    return PerceptionNet()


def example_inputs(config: Config, batch: int = 1) -> dict[str, Tensor]:
    return {name: torch.zeros(batch, 3, HEIGHT, WIDTH) for name in INPUTS}
