"""Pictures to feature maps, and what instances find of them: points projected into all cameras and sampled there at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from kd_planner_ros.networks.blocks.resnet_d import build_resnet_d
from kd_planner_ros.networks.blocks.swin import build_swin
from kd_planner_ros.networks.blocks.swin_specs import SwinWidths
from kd_planner_ros.networks.distilldrive.config import Size
from kd_planner_ros.networks.distilldrive.layers import steps

SWIN = SwinWidths(32, (2, 2, 2), (2, 4, 8), 4, 0.0)
"""The first three stages of ``unified_nano``'s encoder, so that its weights fit."""
NEAREST_M = 0.1
"""Points nearer to a camera's plane than this, or behind it, are not in its picture."""
POINT_DROPOUT = 0.15
PARTS = 4
"""Attentions of the front view's token."""
LAMP_LAYERS = ((16, 2), (32, 1), (48, 2), (48, 1), (64, 2), (64, 1))
"""Channels and stride of its layers."""


def build_backbone(name: str) -> nn.Module:
    """The backbone ``name`` of a size, which gives maps at the strides of ``channels_of``.

    Raises:
        ConfigError: ``name`` is swin, and transformers is not installed.
    """
    return build_swin(SWIN, "distilldrive", first=1) if name == "swin" else build_resnet_d(name)


def channels_of(name: str) -> dict[int, int]:
    """Channels of its maps by their strides, the least first."""
    return dict(zip((8, 16), SWIN.channels[1:], strict=True)) if name == "swin" else {4: 256, 8: 512, 16: 1024, 32: 2048}


class Neck(nn.Module):
    """A feature pyramid: each map gets what the deeper ones see. Maps of ``strides`` come out, ``width`` channels each."""

    def __init__(self, channels: Mapping[int, int], width: int, strides: Sequence[int]):
        super().__init__()
        self.first = list(channels).index(min(strides))
        self.given = len(strides)
        self.sides = nn.ModuleList(nn.Conv2d(one, width, 1) for one in list(channels.values())[self.first:])
        self.outs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in strides)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Finest first."""
        found = [side(one) for side, one in zip(self.sides, maps[self.first:], strict=True)]
        for index in range(len(found) - 1, 0, -1):
            found[index - 1] = found[index - 1] + interpolate(found[index], size=found[index - 1].shape[-2:], mode="nearest")
        return [out(one) for out, one in zip(self.outs, found[:self.given], strict=True)]


class FrontToken(nn.Module):
    """One token of the front camera's picture: where a light's colour reaches the planner.

    A lamp 27 m away covers two pixels of nano's picture, and the maps of the backbone lose it. So the token has
    layers of its own from the picture on, and ``PARTS`` attentions each choose a part of it, where a mean over all would lose it again.
    """

    def __init__(self, width: int):
        super().__init__()
        layers, channels = [], 3
        for wider, stride in LAMP_LAYERS:
            layers += [nn.Conv2d(channels, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)]
            channels = wider
        self.body = nn.Sequential(*layers)
        self.look, self.out = nn.Conv2d(channels + 2, PARTS, 1), nn.Linear(PARTS * channels, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised [B, 3, H, W] to [B, D]."""
        maps = self.body(pictures)
        rows, columns = (torch.linspace(-1.0, 1.0, count, device=maps.device, dtype=maps.dtype) for count in maps.shape[-2:])
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).expand(len(maps), -1, -1, -1)
        shares = self.look(torch.cat([maps, places], 1)).flatten(2).softmax(-1)
        return self.out((shares @ maps.flatten(2).transpose(1, 2)).flatten(1))


def in_pictures(points: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    """Where ``points`` [B, M, 3] of ``base_link`` lie in each camera's picture: (places [B, V, M, 2] as shares of width and height from -1
    to 1, bool [B, V, M]: inside it).

    Args:
        projection: [B, V, 3, 4]: (u, v, 1) times depth, u and v as shares of the picture from 0 to 1.
    """
    ahead = torch.cat([points, torch.ones_like(points[..., :1])], -1)
    shown = ahead[:, None] @ projection.transpose(-1, -2)
    depth = shown[..., 2]
    share = shown[..., :2] / depth.clamp(min=NEAREST_M)[..., None]
    inside = (depth > NEAREST_M) & ((share > 0.0) & (share < 1.0)).all(-1)
    return (share * 2.0 - 1.0).clamp(-2.0, 2.0), inside


class Aggregation(nn.Module):
    """What instances find at their points: a weighted mean over cameras, maps and points, with weights of their own in each group of
    channels. One ``grid_sample`` a map serves all cameras, instances and points."""

    def __init__(self, spec: Size, points: int):
        super().__init__()
        self.groups, self.levels, self.points = spec.groups, len(spec.strides), points
        self.camera = steps(12, spec.width, 1, 2)
        self.weights = nn.Linear(spec.width, self.levels * points * spec.groups)
        self.out = nn.Linear(spec.width, spec.width)

    def forward(self, contents: Tensor, embeds: Tensor, points: Tensor, maps: Sequence[Tensor], projection: Tensor, seen: Tensor) -> Tensor:
        """[B, N, 2 D]: what was found beside ``contents`` [B, N, D].

        Args:
            points: [B, N, P, 3] metres, ``base_link``.
            maps: [B V, D, h, w] each.
            seen: bool [B, V]: the camera gave a picture.
        """
        batch, count, cameras = contents.shape[0], contents.shape[1], projection.shape[1]
        where, inside = in_pictures(points.flatten(1, 2), projection)
        grid = where.flatten(0, 1)[:, :, None]
        found = torch.stack([grid_sample(one, grid, align_corners=False)[..., 0] for one in maps], 1)  # [B V, levels, D, N P]
        found = found.view(batch, cameras, self.levels, self.groups, -1, count, self.points)
        weights = self._weights(contents + embeds, projection, (inside & seen[..., None]).view(batch, cameras, count, self.points))
        mixed = (found * weights[:, :, :, :, None]).sum(-1).flatten(1, 2).sum(1)  # [B, groups, D / groups, N]
        return torch.cat([contents, self.out(mixed.flatten(1, 2).transpose(1, 2))], -1)

    def _weights(self, contents: Tensor, projection: Tensor, inside: Tensor) -> Tensor:
        """[B, V, levels, groups, N, P], sum 1 over V, levels and P where any point is inside a picture, else 0."""
        by_camera = contents[:, None] + self.camera(projection.flatten(2))[:, :, None]
        batch, cameras, count = by_camera.shape[:3]
        raw = self.weights(by_camera).view(batch, cameras, count, self.levels, self.points, self.groups).permute(0, 1, 3, 5, 2, 4)
        keep = inside[:, :, None, None]
        if self.training:
            keep = keep & (torch.rand(batch, cameras, 1, 1, count, self.points, device=raw.device) >= POINT_DROPOUT)
        masked = raw.masked_fill(~keep, -1e4).permute(0, 3, 4, 1, 2, 5)
        shares = masked.flatten(3).softmax(-1).view(masked.shape).permute(0, 3, 4, 1, 2, 5)
        return shares * keep.to(shares.dtype)
