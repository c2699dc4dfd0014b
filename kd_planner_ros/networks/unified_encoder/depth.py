"""The depth decoder: skips attended by channel, and disparity as the expectation over bins at four scales.

Source: Han et al., "TransDSSL", RA-L 2022, in the form of the unified encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

BINS = 32
NEAREST, FARTHEST = 0.1, 100.0
"""Limits of depth in the network's units: disparity 1 and 0."""


def depth_of(disparity: Tensor) -> Tensor:
    """Depth in the network's units of a disparity in [0.01, 1]: 9.1 to 0.1."""
    return 1.0 / (1.0 / FARTHEST + (1.0 / NEAREST - 1.0 / FARTHEST) * disparity)


class ResidualUnit(nn.Module):
    """x + conv(ReLU(conv(ReLU(x)))), without normalisation."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        return x + self.second(self.first(x.relu()).relu())


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class SkipFusion(nn.Module):
    """Joins a coarse map with a skip of its size: the skip says how much each channel counts. The result is twice as large."""

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.look, self.weigh, self.refine = ResidualUnit(width), nn.Conv2d(width, width, 1), ResidualUnit(width)
        self.out = nn.Conv2d(width, width_out, 1)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """[B, width_out, 2 h, 2 w] of two maps [B, width, h, w]."""
        both = coarse + skip
        share = self.weigh(self.look(skip)).softmax(dim=1)
        return self.out(_twice(self.refine(both * share) + both))


class DisparityHead(nn.Module):
    """The expectation over ``BINS`` values between 0.01 and 1."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1), nn.Conv2d(width // 2, BINS, 3, padding=1))
        self.register_buffer("values", torch.linspace(0.01, 1.0, BINS).view(1, BINS, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Disparity [B, 1, h, w]."""
        return (self.layers(x).softmax(dim=1) * self.values).sum(dim=1, keepdim=True)


class DepthDecoder(nn.Module):
    """Disparity at scales 0 (full size) to 3 from the features of one picture.

    Args:
        channels: of the features.
        widths: at strides 16, 8, 4, 2 and 1 (``Widths.depth``).
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]):
        super().__init__()
        w4, w3, w2, w1, w0 = widths
        self.lateral = nn.ModuleList(nn.Conv2d(c, w, 1, bias=False) for c, w in zip(channels, (w1, w2, w3, w4), strict=True))
        self.top, self.top_out = ResidualUnit(w4), nn.Conv2d(w4, w3, 1)
        self.fusions = nn.ModuleList([SkipFusion(w3, w2), SkipFusion(w2, w1), SkipFusion(w1, w1), SkipFusion(w1, w0)])
        self.heads = nn.ModuleList(DisparityHead(w) for w in (w2, w1, w1, w0))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Disparity [B, 1, H / 2^s, W / 2^s] for s = 0 to 3."""
        skip4, skip8, skip16, skip32 = (layer(one) for layer, one in zip(self.lateral, features, strict=True))
        x = self.top_out(_twice(self.top(skip32)))
        found = []
        for fusion, head, skip in zip(self.fusions, self.heads, (skip16, skip8, skip4, _twice(skip4)), strict=True):
            x = fusion(x, skip)
            found.append(head(x))
        return found[::-1]
