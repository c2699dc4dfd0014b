"""Decoders of what moves between two pictures: the pose decoder on features of all scales, and the flow and mask decoders.

Source: the paper's sections III-B and III-C; Sun and Hariharan, "Dynamo-Depth", NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, interpolate, relu

from kd_planner_ros.networks.unified_encoder.geometry import inverted
from kd_planner_ros.networks.unified_encoder.matching import PLAIN, Matcher

POSE_SCALE = 0.01
FLOW_SCALE = 0.005
SEED_SCALE = 100.0
"""What the pose is multiplied by before it seeds the coarsest level of flow and mask."""
Heard = Callable[[int, Tensor, Tensor], Tensor | None]
"""What else a field's level reads: of the level's number, the pose as it seeds the field [B, 6, 1, 1], and the field so far
[B, out, h, w], it gives maps [B, width, h, w] or None."""


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
        matcher: what compares the pictures; flow and motion mask ask it as well. None: nothing does.
        rotation: as for ``pose_of_maps``.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int], head: int, matcher: Matcher | None = None, rotation: float = 1.0):
        super().__init__()
        before = (0, *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * channel + prior, width, 1), ResidualBlock(width, width, 2), ResidualBlock(width, width))
            for channel, prior, width in zip(channels, before, widths, strict=True))
        self.head = pose_head(widths[-1], head)
        self.matcher, self._rotation = matcher, rotation
        self.clue = None if matcher is None else beside(PLAIN, widths[1])

    def forward(self, pairs: Sequence[Tensor], clue: Tensor | None = None) -> Tensor:
        """[B, 6]: axis and angle in radians, and the translation in the network's units, which ``geometry.transform`` reads.

        Args:
            pairs: the four features of source and target, joined by channel, the source first.
            clue: what the matcher says (``Matcher.plain``).
        """
        maps: list[Tensor] = []
        for level, (stage, pair) in enumerate(zip(self.stages, pairs, strict=True)):
            narrow, *blocks = stage.children()
            x = narrow(torch.cat([*maps, pair], dim=1))
            if level == 1 and self.clue is not None:
                x = x + self.clue(clue)
            for block in blocks:
                x = block(x)
            maps = [x]
        return pose_of_maps(self.head(maps[0]), self._rotation)


def beside(width_in: int, width_out: int) -> nn.Conv2d:
    """Reads more beside a layer that has weights already: it begins at zero."""
    read = nn.Conv2d(width_in, width_out, 3, padding=1, bias=False)
    nn.init.zeros_(read.weight)
    return read


def pose_head(width: int, head: int) -> nn.Sequential:
    """Monodepth2's head on maps of ``width`` channels, by way of ``head`` channels; ``pose_of_maps`` reads what it gives."""
    return nn.Sequential(nn.Conv2d(width, head, 1), nn.ReLU(), nn.Conv2d(head, head, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(head, head, 3, padding=1), nn.ReLU(), nn.Conv2d(head, 12, 1))


def pose_of_maps(maps: Tensor, rotation: float) -> Tensor:
    """The pose [B, 6] (``PoseDecoder``) of a head's maps [B, 12, h, w]; the second six channels are not used, as published.

    Args:
        rotation: what the rotation is multiplied by besides. Below 1, learning moves the camera before it turns it: a turn that is not
            there moves far points as much as near ones, and from video alone a depth is found that fits to it.
    """
    pose = POSE_SCALE * maps.mean(dim=(2, 3))[:, :6]
    return pose if rotation == 1.0 else torch.cat([rotation * pose[:, :3], pose[:, 3:]], dim=1)


def pose_in_time(decoder: Callable[..., Tensor], pairs: Sequence[Tensor], targets: int) -> Tensor:
    """The poses [B S, 6] of ``pairs``, the earlier picture first in all of them: where the source is the later one its pair is turned
    round and its pose inverted. So both sources of a triplet say the same of the camera, and one answer serves both; with the source
    first always, as published, the mean of what both want is that the camera stands.

    Args:
        decoder: gives the pose of pairs, as ``PoseDecoder``.
        pairs: source and target joined by channel; the sources of the first ``targets`` rows are earlier, the others later.
    """
    if len(pairs[0]) == targets:
        return decoder(pairs)
    turned = [torch.cat([pair[:targets], torch.cat(pair[targets:].chunk(2, 1)[::-1], 1)]) for pair in pairs]
    pose = decoder(turned)
    return torch.cat([pose[:targets], inverted(pose[targets:])])


class FieldDecoder(nn.Module):
    """A field over the picture, refined level by level from stride 32 to that of the last.

    Args:
        levels: channels of the maps, coarse to fine.
        cap: most channels of a level's convolutions; 0: no limit.
        out: channels of the field: 3 for the flow, 1 for the mask.
        scale: of the field: outputs are small at first.
        fresh: whether the field begins at zero, and not with the pose.

    Attributes:
        wide: channels of the levels' convolutions.
    """

    def __init__(self, levels: Sequence[int], cap: int, out: int, scale: float, fresh: bool = False):
        super().__init__()
        wide = [min(one, cap) if cap else one for one in levels]
        self._scale, self._out, self.wide = scale, out, wide
        self.seed = None if fresh else nn.Conv2d(6, out, 1)
        self.look = nn.ModuleList(nn.Conv2d(level + out, width, 3, padding=1) for level, width in zip(levels, wide, strict=True))
        self.again = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in wide)
        # Another name where the field means something else: a start's last layers do not fit it.
        self._step = "mix" if fresh else "step"
        steps = nn.ModuleList(nn.Conv2d(2 * width, out, 1) for width in wide)
        self.add_module(self._step, steps)
        if fresh:
            for parameter in steps.parameters():
                nn.init.zeros_(parameter)

    def refine(self, maps: Sequence[Tensor], pose: Tensor, heard: Heard | None = None) -> list[Tensor]:
        """The field [B, out, h, w] of the last level, and those of the others down to stride 8: for s = 0 to 3 where there are six.

        Args:
            maps: of the levels.
            pose: [B, 6]; no gradient reaches it.
            heard: what else the levels read.
        """
        told = SEED_SCALE * pose.detach().roll(3, 1)[..., None, None]
        field = told.new_zeros(len(told), self._out, 1, 1) if self.seed is None else self.seed(told)
        steps: Any = self.get_submodule(self._step)
        found = []
        for number, (level, look, again, step) in enumerate(zip(maps, self.look, self.again, steps, strict=True)):
            field = interpolate(field, size=level.shape[-2:], mode="bilinear", align_corners=False)
            seen = look(torch.cat([level, field], dim=1))
            more = None if heard is None else heard(number, told, self._scale * field)
            seen = seen if more is None else seen + more
            field = field + step(torch.cat([seen, again(seen).relu()], dim=1))
            found.append(self._scale * field)
        return found[:1:-1]


class MotionDecoder(FieldDecoder):
    """A field over the picture from a pair's features and its pose.

    Args:
        channels: of one picture's features.
        half: channels at stride 2.
        cap, out: as for ``FieldDecoder``.
        published: the order of operations of the paper's table: the 1x1 convolution behind the interpolation, whose weights sum to 1. It
            gives the same before it, and costs a quarter.
    """

    def __init__(self, channels: Sequence[int], half: int, cap: int, out: int, published: bool = False):
        super().__init__([*(2 * one for one in reversed(channels)), half, 6], cap, out, FLOW_SCALE)
        self._published = published
        self.narrow = nn.Conv2d(2 * channels[0], half, 1)
        self.finer = nn.Sequential(ResidualBlock(half, half, end=elu), ResidualBlock(half, half, end=elu))

    def forward(self, images: Tensor, pairs: Sequence[Tensor], pose: Tensor, heard: Heard | None = None) -> list[Tensor]:
        """As ``refine``.

        Args:
            images: the two normalised pictures, joined by channel [B, 6, H, W], the source first.
            pairs: as for the pose decoder.
            pose: [B, 6]; no gradient reaches it.
            heard: as for ``refine``.
        """
        fine = pairs[0].detach()
        half = self.narrow(_twice(fine)) if self._published else _twice(self.narrow(fine))
        return self.refine([*pairs[::-1], self.finer(half), images], pose, heard)


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
