"""Where a picture shows road users, as a dense map beside the sparse queries: an auxiliary task of training, and the source of proposals.

Feature maps learn slowly from sparse queries alone, which look at a few points: DETR's known slowness. Every cell of this map learns in
every step. Source: heat map and focal loss of Zhou et al., "Objects as Points", 2019, eq. 1; the logarithm of the
depth beside it stands for SparseDrive's auxiliary depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from kd_planner_ros.networks.distilldrive.config import KINDS
from kd_planner_ros.networks.distilldrive.layers import IMPROBABLE
from kd_planner_ros.networks.distilldrive.vision import NEAREST_M

WEIGHTS = {"heat": 1.0, "heat_depth": 0.2}
"""Of the losses."""
WIDEST = 2.5
"""Largest deviation of a road user's bump, in cells."""
SHARE = 0.2
"""The bump's deviation as a share of the road user's height in cells; at least ``NARROWEST``."""
NARROWEST = 0.6
FALL = 4.0
"""Exponent by which cells near a middle count less as wrong (beta)."""
USUAL_FOCAL = 0.5 / math.tan(math.radians(50.0))
"""Focal length of a camera of 100 degrees as a share of its picture's width."""


class HeatHead(nn.Module):
    """A pyramid's finest map to logits of each kind's middles, and the logarithm of the depth by the ``zoom``."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))
        self.out = nn.Conv2d(width, len(KINDS) + 1, 1)
        nn.init.constant_(cast(Tensor, self.out.bias)[:-1], IMPROBABLE)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """([B, V, K, h, w], [B, V, h, w]) of maps [B, V, D, h, w]."""
        found = self.out(self.body(maps.flatten(0, 1))).unflatten(0, maps.shape[:2])
        return found[:, :, :-1], found[:, :, -1]


def zoom(projection: Tensor) -> Tensor:
    """Focal lengths [...] of ``projection`` [..., 3, 4], whose third row has length 1, as multiples of ``USUAL_FOCAL``. A road user at the
    same depth is larger by this factor, which a map of cells cannot see: heads give the depth divided by it."""
    across, ahead = projection[..., 0, :3], projection[..., 2, :3]
    across = across - (across * ahead).sum(-1, keepdim=True) * ahead
    return (across.norm(dim=-1) / USUAL_FOCAL).clamp(min=0.01)


class Middles(NamedTuple):
    """Road users in pictures: ``row``, ``column`` int64 [B, V, A] of the map's cells, ``depth`` [B, V, A] metres, ``spread`` [B, V, A]
    cells, ``there`` bool [B, V, A]: the middle is in the picture."""

    row: Tensor
    column: Tensor
    depth: Tensor
    spread: Tensor
    there: Tensor


def middles(targets: Mapping[str, Tensor], rows: int, columns: int) -> Middles:
    """Where the road users to be found are in a map of ``rows`` and ``columns``.

    Args:
        targets: ``boxes`` [B, A, 10], ``kinds`` [B, A], ``shown`` bool [B, A], ``projection`` [B, V, 3, 4], ``seen`` [B, V].
    """
    boxes, projection = targets["boxes"], targets["projection"]
    found = torch.cat([boxes[..., :3], torch.ones_like(boxes[..., :1])], -1)[:, None] @ projection.transpose(-1, -2)
    depth = found[..., 2].clamp(min=NEAREST_M)
    share = found[..., :2] / depth[..., None]
    tall = boxes[:, None, :, 5].exp() * projection[..., 1, 2].abs()[..., None] / depth * rows
    column, row = (share[..., 0] * columns).floor().long(), (share[..., 1] * rows).floor().long()
    inside = (found[..., 2] > NEAREST_M) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    asked = (targets["kinds"] >= 0) & targets["shown"]
    return Middles(row.clamp(0, rows - 1), column.clamp(0, columns - 1), depth, (SHARE * tall).clamp(NARROWEST, WIDEST),
                   inside & asked[:, None] & (targets["seen"] > 0.5)[..., None])


def bumps(at: Middles, kinds: Tensor, rows: int, columns: int) -> Tensor:
    """The wanted map [B, V, K, rows, columns]: 1 in the cell of a middle, falling off as a Gaussian; the largest of each cell."""
    y, x = (torch.arange(count, device=kinds.device, dtype=at.depth.dtype) for count in (rows, columns))
    square = (y[:, None] - at.row[..., None, None]) ** 2 + (x - at.column[..., None, None]) ** 2
    single = (-square / (2.0 * at.spread[..., None, None] ** 2)).exp() * at.there[..., None, None]
    index = kinds.clamp(min=0)[:, None, :, None, None].expand_as(single)
    wanted = single.new_zeros(*single.shape[:2], len(KINDS), rows, columns)
    return wanted.scatter_reduce(2, index, single, "amax")


def heat_losses(logits: Tensor, depths: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``heat`` (focal loss, mean over the middles) and ``heat_depth`` (mean distance of the logarithm at the middles).

    Args:
        logits, depths: of ``HeatHead``.
        targets: see ``middles``.
    """
    rows, columns = logits.shape[-2:]
    at = middles(targets, rows, columns)
    wanted = bumps(at, targets["kinds"], rows, columns)
    logits, sure = logits.float(), logits.float().sigmoid()
    hit = -((1.0 - sure) ** 2) * logsigmoid(logits) * (wanted >= 1.0)
    missed = -((1.0 - wanted) ** FALL) * sure ** 2 * logsigmoid(-logits) * (wanted < 1.0)
    count = at.there.sum().clamp(min=1)
    looked = (targets["seen"] > 0.5)[..., None, None, None]
    told = depths.float().flatten(2).gather(2, at.row * columns + at.column) + zoom(targets["projection"]).log()[..., None]
    return {"heat": ((hit + missed) * looked).sum() / count, "heat_depth": ((told - at.depth.log()).abs() * at.there).sum() / count}
