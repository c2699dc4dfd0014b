"""Auxiliary supervision: a small head draws a coarse semantic grid from the backbone's maps while training.

From a few thousand frames a backbone that starts from nothing learns slowly what a walker is when all it hears is that
the car braked. The grid tells it where walkers, vehicles, signals and the road are; the head is dropped when the weights
are shipped. Not part of TCP or PlanKD; off by default. Auxiliary semantics for driving: NEAT (Chitta et al., ICCV 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.imaging.class_grid import GROUPS, UNKNOWN

WIDTH = 64
GROUP_WEIGHTS = (0.25, 0.5, 1.0, 1.0, 2.0, 3.0)
"""Of each of GROUPS in the mean: the rarer and the more dangerous, the more."""


class SemanticHead(nn.Module):
    """Logits [B, len(GROUPS), h, w] on the grid of the finest map, from backbone maps coarse and fine [B, C_i, h_i, w_i].

    A feature pyramid of one width (Lin et al., CVPR 2017): each map by a 1x1 convolution, scaled up, added.
    """

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(count, WIDTH, 1) for count in channels)
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, len(GROUPS), 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        total = self.sides[0](maps[0])
        for side, coarse in zip(self.sides[1:], maps[1:], strict=True):
            total = total + nn.functional.interpolate(side(coarse), size, mode="nearest")
        return self.out(total)


def semantic_loss(logits: Tensor, grids: Tensor) -> Tensor:
    """Weighted mean cross-entropy over the known cells, a scalar in nats; 0 where none is known.

    Args:
        logits: [B, len(GROUPS), h, w], scaled to the grid where the sizes differ.
        grids: uint8 [B, rows, columns] of groups; UNKNOWN where nothing was recorded.
    """
    known = grids != UNKNOWN
    if not known.any():
        return (logits * 0.0).sum()
    if logits.shape[2:] != grids.shape[1:]:
        logits = nn.functional.interpolate(logits, grids.shape[1:], mode="nearest")
    target = torch.where(known, grids.long(), -100)
    return nn.functional.cross_entropy(logits.float(), target, logits.new_tensor(GROUP_WEIGHTS, dtype=torch.float32))
