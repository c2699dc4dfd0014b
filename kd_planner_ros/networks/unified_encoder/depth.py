"""The depth decoder: skips attended by channel, and disparity as the expectation over bins at four scales.

Source: Han et al., "TransDSSL", RA-L 2022, in the form of the unified encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm

from kd_planner_ros.networks.unified_encoder.precision import unrounded

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
    """Joins a coarse map with a skip of its size: the skip says how much each channel counts. The result is twice as large.

    A 1x1 convolution and the interpolation, whose weights sum to 1, give the same in either order: behind the convolution the
    interpolation costs a quarter. ``published``: before it, as in the paper's table of operations.
    """

    def __init__(self, width: int, width_out: int, published: bool = False):
        super().__init__()
        self._published = published
        self.look, self.weigh, self.refine = ResidualUnit(width), nn.Conv2d(width, width, 1), ResidualUnit(width)
        self.out = nn.Conv2d(width, width_out, 1)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """[B, width_out, 2 h, 2 w] of two maps [B, width, h, w]."""
        both = coarse + skip
        share = self.weigh(self.look(skip)).softmax(dim=1)
        joined = self.refine(both * share) + both
        return self.out(_twice(joined)) if self._published else _twice(self.out(joined))


class DisparityHead(nn.Module):
    """The expectation over ``BINS`` values between 0.01 and 1.

    Args:
        bound: as for ``DepthDecoder``.
    """

    def __init__(self, width: int, bound: float = 0.0):
        super().__init__()
        self._bound = bound
        self.layers = nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1), nn.Conv2d(width // 2, BINS, 3, padding=1))
        self.register_buffer("values", torch.linspace(0.01, 1.0, BINS), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Disparity [B, 1, h, w]."""
        if self._bound:
            x = layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
        logits = self.layers(x).permute(0, 2, 3, 1).float()  # bins last: twice as fast; bfloat16 has 3 digits
        with unrounded(x.device.type):
            if self._bound:
                logits = self._bound * (logits / self._bound).tanh()
            return (logits.softmax(dim=-1) @ self.values)[:, None]


class DepthDecoder(nn.Module):
    """Disparity at scales 0 (full size) to 3 from the features of one picture.

    Args:
        channels: of the features.
        widths: at strides 16, 8, 4, 2 and 1 (``Widths.depth``).
        published: the order of operations of the paper's table (``SkipFusion``).
        bound: largest size of a bin's logit, which is then read from features of mean 0 and deviation 1 a pixel; 0: none. Without one,
            learning from video puts all of a map into one bin within a hundred steps, and a softmax that does so has no gradient.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], published: bool = False, bound: float = 0.0):
        super().__init__()
        self._published = published
        w4, w3, w2, w1, w0 = widths
        self.lateral = nn.ModuleList(nn.Conv2d(c, w, 1, bias=False) for c, w in zip(channels, (w1, w2, w3, w4), strict=True))
        self.top, self.top_out = ResidualUnit(w4), nn.Conv2d(w4, w3, 1)
        self.fusions = nn.ModuleList(SkipFusion(wide, out, published) for wide, out in ((w3, w2), (w2, w1), (w1, w1), (w1, w0)))
        self.heads = nn.ModuleList(DisparityHead(w, bound) for w in (w2, w1, w1, w0))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Disparity [B, 1, H / 2^s, W / 2^s] for s = 0 to 3."""
        skip4, skip8, skip16, skip32 = (layer(one) for layer, one in zip(self.lateral, features, strict=True))
        x = self.top(skip32)
        x = self.top_out(_twice(x)) if self._published else _twice(self.top_out(x))
        found = []
        for fusion, head, skip in zip(self.fusions, self.heads, (skip16, skip8, skip4, _twice(skip4)), strict=True):
            x = fusion(x, skip)
            found.append(head(x))
        return found[::-1]
