"""Decoders of what moves between two pictures: the pose decoder on features of all scales, and the flow and mask decoders.

Source: the paper's sections III-B and III-C; Sun and Hariharan, "Dynamo-Depth", NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, interpolate, relu

POSE_SCALE = 0.01
FLOW_SCALE = 0.005
SEED_SCALE = 100.0
"""What the pose is multiplied by before it seeds the coarsest level of flow and mask."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut."""

    def __init__(self, width_in: int, width_out: int, stride: int = 1, end=relu):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False), nn.BatchNorm2d(width_out), nn.ReLU(),
            nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False), nn.BatchNorm2d(width_out))
        same = width_in == width_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out))
        self._end = end

    def forward(self, x: Tensor) -> Tensor:
        """[B, width_out, h / stride, w / stride]."""
        return self._end(self.body(x) + self.shortcut(x))


class PoseDecoder(nn.Module):
    """The motion of the camera between two pictures from their features of all four scales.

    Args:
        channels: of one picture's features.
        widths: of the four stages.
        head: channels of the head.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], head: int):
        super().__init__()
        before = (0, *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * channel + prior, width, 1), ResidualBlock(width, width, 2), ResidualBlock(width, width))
            for channel, prior, width in zip(channels, before, widths, strict=True))
        self.head = pose_head(widths[-1], head)

    def forward(self, pairs: Sequence[Tensor]) -> Tensor:
        """[B, 6]: axis and angle in radians, and the translation in the network's units, which ``geometry.transform`` reads.

        Args:
            pairs: the four features of source and target, joined by channel, the source first.
        """
        x = self.stages[0](pairs[0])
        for stage, pair in zip(self.stages[1:], pairs[1:], strict=True):
            x = stage(torch.cat([x, pair], dim=1))
        return pose_of_maps(self.head(x))


def pose_head(width: int, head: int) -> nn.Sequential:
    """Monodepth2's head on maps of ``width`` channels, by way of ``head`` channels; ``pose_of_maps`` reads what it gives."""
    return nn.Sequential(nn.Conv2d(width, head, 1), nn.ReLU(), nn.Conv2d(head, head, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(head, head, 3, padding=1), nn.ReLU(), nn.Conv2d(head, 12, 1))


def pose_of_maps(maps: Tensor) -> Tensor:
    """The pose [B, 6] (``PoseDecoder``) of a head's maps [B, 12, h, w]; the second six channels are not used, as published."""
    return POSE_SCALE * maps.mean(dim=(2, 3))[:, :6]


class FieldDecoder(nn.Module):
    """A field over the picture, refined level by level from stride 32 to 1.

    Args:
        levels: channels of the maps, coarse to fine.
        cap: most channels of a level's convolutions; 0: no limit.
        out: channels of the field: 3 for the flow, 1 for the mask.
        scale: of the field: outputs are small at first.
    """

    def __init__(self, levels: Sequence[int], cap: int, out: int, scale: float):
        super().__init__()
        wide = [min(one, cap) if cap else one for one in levels]
        self._scale = scale
        self.seed = nn.Conv2d(6, out, 1)
        self.look = nn.ModuleList(nn.Conv2d(level + out, width, 3, padding=1) for level, width in zip(levels, wide, strict=True))
        self.again = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in wide)
        self.step = nn.ModuleList(nn.Conv2d(2 * width, out, 1) for width in wide)

    def refine(self, maps: Sequence[Tensor], pose: Tensor) -> list[Tensor]:
        """The field [B, out, H / 2^s, W / 2^s] for s = 0 to 3.

        Args:
            maps: of the levels; the last one has the picture's size.
            pose: [B, 6]; no gradient reaches it.
        """
        field = self.seed(SEED_SCALE * pose.detach().roll(3, 1)[..., None, None])
        found = []
        for level, look, again, step in zip(maps, self.look, self.again, self.step, strict=True):
            field = interpolate(field, size=level.shape[-2:], mode="bilinear", align_corners=False)
            seen = look(torch.cat([level, field], dim=1))
            field = field + step(torch.cat([seen, again(seen).relu()], dim=1))
            found.append(self._scale * field)
        return found[:1:-1]


class MotionDecoder(FieldDecoder):
    """A field over the picture from a pair's features and its pose.

    Args:
        channels: of one picture's features.
        half: channels at stride 2.
        cap, out: as for ``FieldDecoder``.
    """

    def __init__(self, channels: Sequence[int], half: int, cap: int, out: int):
        super().__init__([*(2 * one for one in reversed(channels)), half, 6], cap, out, FLOW_SCALE)
        self.narrow = nn.Conv2d(2 * channels[0], half, 1)
        self.finer = nn.Sequential(ResidualBlock(half, half, end=elu), ResidualBlock(half, half, end=elu))

    def forward(self, images: Tensor, pairs: Sequence[Tensor], pose: Tensor) -> list[Tensor]:
        """As ``refine``.

        Args:
            images: the two normalised pictures, joined by channel [B, 6, H, W], the source first.
            pairs: as for the pose decoder.
            pose: [B, 6]; no gradient reaches it.
        """
        # The 1x1 convolution gives the same behind the interpolation, whose weights sum to 1; before it, it costs a quarter.
        half = self.finer(interpolate(self.narrow(pairs[0].detach()), scale_factor=2, mode="bilinear", align_corners=False))
        return self.refine([*pairs[::-1], half, images], pose)
