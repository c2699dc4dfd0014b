"""A convolution over true depth and classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from stranger.perception.config import CLASSES, MAX_DEPTH_M, Config
from stranger.pictures import HEIGHT, WIDTH, block

INPUTS, OUTPUTS = ("true_depth", "true_classes"), ("depth", "classes")


class TeacherNet(nn.Module):
    """``true_depth`` [B, 16, 32] metres and ``true_classes`` int64 [B, 16, 32] in; outputs as the student's."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = block(1 + CLASSES, 8)
        self.depth_head, self.class_head = nn.Conv2d(8, 1, 1), nn.Conv2d(8, CLASSES, 1)

    def forward(self, true_depth: Tensor, true_classes: Tensor, features: bool = False) -> dict[str, Tensor]:
        classes = one_hot(true_classes, CLASSES).permute(0, 3, 1, 2).float()
        seen = self.encoder(torch.cat([true_depth[:, None] / MAX_DEPTH_M, classes], 1))
        return {"depth": MAX_DEPTH_M * self.depth_head(seen)[:, 0].sigmoid(), "classes": self.class_head(seen)}


def build_model(config: Config) -> TeacherNet:
    return TeacherNet()


def example_inputs(config: Config, batch: int = 1) -> dict[str, Tensor]:
    return {"true_depth": torch.zeros(batch, HEIGHT, WIDTH), "true_classes": torch.zeros(batch, HEIGHT, WIDTH, dtype=torch.int64)}
