"""First boxes from the pictures themselves: where the heat map sees a road user, a query begins.

A fixed anchor finds a road user only where both are near each other; a picture shows the direction at once, and roughly the distance.
Source: the adaptive queries of Jiang et al., "Far3D" (AAAI 2024), here on the heat map of ``heat.py``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from kd_planner_ros.networks.distilldrive.config import KINDS, Size
from kd_planner_ros.networks.distilldrive.heat import HeatHead, zoom
from kd_planner_ros.networks.distilldrive.planning import gather

USUAL_SIZE_M = ((4.5, 1.9, 1.6), (7.0, 2.5, 3.0), (11.0, 2.9, 3.4), (2.2, 0.9, 1.5), (1.8, 0.7, 1.6), (0.7, 0.7, 1.8), (1.0, 1.0, 1.0))
"""Length, width and height by ``KINDS``; where boxes begin."""
LEAST_M, MOST_M = 1.0, 80.0
"""Depths are taken within these."""
BEHIND, NOWHERE = 100.0, -1e4
"""Cells beside a maximum rank behind all maxima, those of a camera without picture behind everything."""


class Proposals(nn.Module):
    """See ``forward``.

    Args:
        spec: widths of the network.
        count: number P of proposals.
    """

    sizes: Tensor
    rest: Tensor

    def __init__(self, spec: Size, count: int):
        super().__init__()
        self.count = count
        self.heat = HeatHead(spec.width)
        self.lift = nn.Linear(spec.width + len(KINDS), spec.width)
        self.register_buffer("sizes", torch.tensor(USUAL_SIZE_M).log(), persistent=False)
        self.register_buffer("rest", torch.tensor([0.0, 1.0, 0.0, 0.0]), persistent=False)

    def forward(self, maps: Tensor, projection: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The surest local maxima of the heat over all cameras and kinds as (contents [B, P, D], boxes [B, P, 10]). Boxes are of the usual
        size of their kind, stand still and look ahead; no gradient goes through them.

        Args:
            maps: [B, V, D, h, w], the pyramid's finest. projection: [B, V, 3, 4] (``vision.in_pictures``). seen: bool [B, V].
        """
        logits, depths = (one.detach() for one in self.heat(maps))
        rows, columns = logits.shape[-2:]
        sure = logits.amax(2)
        ranks = torch.where(sure >= max_pool2d(sure, 3, 1, 1), sure, sure - BEHIND)
        best = torch.where(seen[:, :, None, None], ranks, NOWHERE).flatten(1).topk(self.count, 1).indices
        cell = best % (rows * columns)
        places = torch.stack([(cell % columns + 0.5) / columns, (cell // columns + 0.5) / rows], -1)
        found, features = (gather(one.movedim(2, -1).flatten(1, 3), best) for one in (logits, maps))
        by_camera = gather(projection.flatten(2), best // (rows * columns)).unflatten(-1, (3, 4))
        told = depths.flatten(1).gather(1, best) + zoom(by_camera).log()
        depth = told.clamp(math.log(LEAST_M), math.log(MOST_M)).exp()
        middle = lifted(places, depth, by_camera)
        boxes = torch.cat([middle, self.sizes[found.argmax(-1)], self.rest.expand(*best.shape, -1)], -1)
        return self.lift(torch.cat([features, found.sigmoid()], -1)), boxes


def lifted(places: Tensor, depth: Tensor, projection: Tensor) -> Tensor:
    """The points [..., 3] of ``base_link``, metres, that ``projection`` [..., 3, 4] shows at ``places`` [..., 2], shares of the picture, at
    ``depth`` [...], metres along the camera's axis; 0 where it shows nothing. By Cramer's rule: products alone, which every engine has."""
    right = torch.cat([places, torch.ones_like(places[..., :1])], -1) * depth[..., None] - projection[..., 3]
    x, y, z = projection[..., 0], projection[..., 1], projection[..., 2]
    normal = _cross(y, z)
    volume = (x * normal).sum(-1)
    known = volume.abs() > 1e-9
    points = torch.stack([(right * normal).sum(-1), (right * _cross(z, x)).sum(-1), (right * _cross(x, y)).sum(-1)], -1)
    return points / torch.where(known, volume, 1.0)[..., None] * known[..., None]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """The cross product [..., 3]."""
    return torch.stack([a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1], a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
                        a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]], -1)
