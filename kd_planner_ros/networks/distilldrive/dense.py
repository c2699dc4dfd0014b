"""What the front picture shows in each of its cells, and how far away: an auxiliary task of training, which is not shipped.

Sparse queries tell feature maps of a few road users and lines a picture; cells teach them everywhere. Classes are those of
TCP's auxiliary grid (``imaging/class_grid.py``); the depth stands for the auxiliary depth branch of SparseDrive, which DistillDrive takes
over.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from kd_planner_ros.imaging.class_grid import CELL_PX, GROUPS, UNKNOWN, class_grid
from kd_planner_ros.imaging.resize import resize_labels
from kd_planner_ros.networks.blocks.semantic_head import semantic_loss
from kd_planner_ros.networks.distilldrive.heat import zoom

WEIGHTS = {"dense": 1.0, "dense_depth": 0.5}
"""Of the losses."""
FARTHEST_M, NEAREST_M = 80.0, 0.5
"""Depths beyond these teach nothing."""


def cell_labels(tags: np.ndarray, depth: np.ndarray) -> dict[str, np.ndarray]:
    """``groups`` uint8 [rows, columns] (``class_grid``) and ``depths`` float16 [rows, columns], metres at the middle of each cell.

    Args:
        tags: CARLA's, uint8 [H, W], of the picture as the network sees it. depth: float32 [H, W] likewise.
    """
    groups = class_grid(tags, *tags.shape)
    inside = depth[:groups.shape[0] * CELL_PX, :groups.shape[1] * CELL_PX]
    return {"groups": groups, "depths": resize_labels(inside, *groups.shape).clip(0.0, 1e4).astype(np.float16)}


class DenseHead(nn.Module):
    """A pyramid's finest map to logits of the groups, and the logarithm of the depth by ``heat.zoom``."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, len(GROUPS) + 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """[B, K + 1, h, w] of maps [B, D, h, w]; the last one is the depth's."""
        return self.body(maps)


def move_of(recorded: Tensor, changed: Tensor) -> Tensor:
    """[B, 2, 3]: shares (u, v, 1) of a picture as recorded to those of the picture that ``reframe.reframed`` made of it, from the
    projections [B, 3, 4] of both."""
    return changed[:, :2] @ torch.linalg.pinv(recorded)


def dense_losses(answers: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``dense`` (weighted cross entropy of the cells' groups) and ``dense_depth`` (mean distance of the logarithm).

    Args:
        answers: of ``DenseHead`` for the front camera's maps.
        targets: ``groups`` uint8 and ``depths`` [B, rows, columns] of the picture as recorded, ``move`` [B, 2, 3] (``move_of``) to the
            picture as it was seen, and of that one ``projection`` [B, V, 3, 4] and ``seen`` [B, V].
    """
    rows, columns = targets["groups"].shape[1:]
    v, u = (((torch.arange(count, device=answers.device) + 0.5) / count) for count in (rows, columns))
    middles = torch.stack([*torch.meshgrid(u, v, indexing="xy"), torch.ones(rows, columns, device=answers.device)], -1)
    places = torch.einsum("rck,bik->brci", middles, targets["move"])
    inside = ((places > 0.0) & (places < 1.0)).all(-1) & (targets["seen"][:, 0] > 0.5)[:, None, None]
    found = grid_sample(answers.float(), places * 2.0 - 1.0, align_corners=False)
    depth = targets["depths"].float()
    known = inside & (depth > NEAREST_M) & (depth < FARTHEST_M)
    told = found[:, -1] + zoom(targets["projection"][:, 0]).log()[:, None, None]
    apart = (told - depth.clamp(NEAREST_M, FARTHEST_M).log()).abs() * known
    return {"dense": semantic_loss(found[:, :-1], torch.where(inside, targets["groups"], UNKNOWN)),
            "dense_depth": apart.sum() / known.sum().clamp(min=1)}
