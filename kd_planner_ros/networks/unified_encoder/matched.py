"""Motion mask and flow of a network that compares its pictures. There are two places in the picture before for each pixel, that of the
rigid flow and the one where the most similar features were; the mask chooses, and the flow decoder says how far away the point was there.

The second place is that of the best correlation of a cell of 8x8 pixels, averaged over cells about it, or of a cell near it where colours
fit better. Cells count by how far they move: at the border of a car the road behind it does not, and the border itself is that of the mask,
which is made for each pixel. Blocks of pixels are then compared with those up to 3 pixels about it. The places are pixels, so that an error
of the depth leads to no wrong place.

Source: summed costs and neighbours' places are those of local stereo and optical flow: Scharstein and Szeliski, IJCV 2002; Barnes et al.,
"PatchMatch", 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from kd_planner_ros.networks.unified_encoder.matching import (
    AROUND,
    FOUND,
    NEAREST_M,
    SHARPNESS,
    STRIDE,
    WINDOW,
    Aligned,
    best,
    every_pixel,
    rays,
    seen_at,
    taken,
    window,
)
from kd_planner_ros.networks.unified_encoder.motion import FieldDecoder, MotionDecoder, beside
from kd_planner_ros.networks.unified_encoder.precision import unrounded

CLUED, FINEST = 2, 5
"""The levels of a field that read what matching says, at stride 8, and how similar the pictures are at the two places, at stride 1."""
HEARD = 64
"""Channels between what was found around the own place and the level."""
COMPARED = 4
"""Channels of how colours differ: at both places, of the pixel and of its block."""
LOUDNESS = 3.0
"""Differences of colours are multiplied by this: they are a tenth or so of a picture's contrast."""
NEAR = (0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)
"""The cells (right, down) whose places are tried."""
FURTHEST = 2
"""Cells away, of these."""
ABOUT = 1
"""Blocks are compared up to so many pixels away: of half-size pictures, then of whole ones. Two pixels of half-size ones take
longer and find hardly better places (docs/notes/unified_encoder.md)."""
BLOCK, LARGER_BLOCK = 3, 5
"""Rows and columns over which a difference is averaged, and those of half-size pictures where the places of cells are compared."""
KEENNESS = 24.0
"""The differences' factor before the softmax at first; it is learnt."""
REST = 0.02
"""Weight of a cell that does not move beside one that does."""
FARTHER_SCALE = 0.1
"""Metres that a unit of the field means."""
GAIN, BIAS = 2.0, 2.0
"""The complete flow leads to the second place where this times the mask's logit and this more is above 0: the final flow takes of it as
much as the mask says, and should find a whole motion there."""
FARTHEST_PX = 200.0
"""A place farther than this from the pixel counts as so far."""


class Told(nn.Module):
    """What the level of stride 8 of a field reads beside its features.

    Args:
        width: channels of the level.
    """

    def __init__(self, width: int):
        super().__init__()
        self.clue = beside(AROUND + 6, width)
        self.found = nn.Sequential(nn.Conv2d(FOUND, HEARD, 1), nn.ReLU(), beside(HEARD, width))

    def forward(self, seed: Tensor, clue: Tensor, found: Tensor) -> Tensor:
        """[B, width, H / 8, W / 8] of the pose as it seeds the field [B, 6, 1, 1] and what matching says (``Aligned``)."""
        return self.clue(torch.cat([clue, seed.expand(-1, -1, *clue.shape[-2:])], dim=1)) + self.found(found)


class MatchedMask(MotionDecoder):
    """The motion mask, and the place where matching finds each pixel.

    Args:
        channels, half, cap: as for ``MotionDecoder``.
        size: rows and columns of the picture.
    """

    pixels: Tensor
    offsets: Tensor

    def __init__(self, channels: Sequence[int], half: int, cap: int, size: tuple[int, int]):
        super().__init__(channels, half, cap, 1)
        self.told = Told(self.wide[CLUED])
        self.compare = beside(COMPARED, self.wide[FINEST])
        self.keenness, self.sharpness = (nn.Parameter(torch.tensor(one).log()) for one in (KEENNESS, SHARPNESS))
        self.register_buffer("pixels", every_pixel(size), persistent=False)
        self.register_buffer("offsets", window(), persistent=False)

    def decode(self, image: Tensor, before: Tensor, pairs: Sequence[Tensor], pose: Tensor, aligned: Aligned) -> tuple[list[Tensor], Tensor]:
        """(logits [B, 1, H / 2^s, W / 2^s] for s = 0 to 3; the second place from each pixel in pixels [B, 2, H, W]).

        Args:
            image, before: normalised pictures [B, 3, H, W].
            pairs: as for the pose decoder; the source's first feature lies where the rigid flow puts it.
            pose: [B, 6]; no gradient reaches it.
            aligned: what matching says.
        """
        shift = before.new_zeros(0)

        def heard(number: int, seed: Tensor, field: Tensor) -> Tensor | None:
            nonlocal shift
            if number == CLUED:
                return self.told(seed, aligned.clue, aligned.found)
            if number != FINEST:
                return None
            with unrounded(image.device.type):
                near = self._near(image.float(), before.float(), aligned.found[:, :WINDOW], field.float())
                shift, compared = self._refined(image.float(), before.float(), aligned.image, near)
            return self.compare(compared)

        return self(torch.cat([aligned.image, image], dim=1), pairs, pose, heard), shift

    def _near(self, image: Tensor, before: Tensor, scores: Tensor, logit: Tensor) -> Tensor:
        """Where each pixel was, from there [B, 2, H, W], by the cells' correlations ``scores`` [B, WINDOW, H / 8, W / 8] with the window
        around the own place, and by grey values where cells near it say another place. ``logit`` [B, 1, H, W]: how far cells count."""
        weight = avg_pool2d(logit.sigmoid(), STRIDE) + REST
        shift = STRIDE * best(self.sharpness.exp() * summed(scores, weight), self.offsets)
        height, width = shift.shape[-2:]
        wide = pad(shift, (FURTHEST,) * 4, mode="replicate")
        several = torch.cat([wide[..., FURTHEST + y:FURTHEST + y + height, FURTHEST + x:FURTHEST + x + width] for x, y in NEAR], 1)
        wide = interpolate(torch.cat([weight * several, weight], 1), scale_factor=STRIDE // 2, mode="bilinear", align_corners=False)
        several = (wide[:, :-1] / wide[:, -1:]).unflatten(1, (len(NEAR), 2))  # [B, places, 2, H / 2, W / 2]
        small, other = (avg_pool2d(one.mean(1, keepdim=True), 2) for one in (image, before))
        places = self.pixels[:, :small.shape[-2], :small.shape[-1]] + several.detach().flatten(0, 1) / 2.0
        there = taken(other.repeat_interleave(len(NEAR), 0), places).unflatten(0, (len(image), len(NEAR)))
        away = averaged((there - small[:, None]).abs()[:, :, 0], LARGER_BLOCK)
        share = (-self.keenness.exp() * away).softmax(1)
        return interpolate((share[:, :, None] * several).sum(1), scale_factor=2, mode="bilinear", align_corners=False)

    def _refined(self, image: Tensor, before: Tensor, rigid: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """(``shift`` after blocks about it were compared; how colours at both places differ from the picture's [B, COMPARED, H, W], of each
        pixel and of its block). No gradient of the colours reaches ``shift``."""
        there = taken(before, self.pixels + shift.detach())
        off = torch.stack([(one - image).abs().mean(1) for one in (rigid, there)], 1)
        grey, grey_before = (one.mean(1, keepdim=True) for one in (image, before))
        small, other, apart = (avg_pool2d(one, 2) for one in (grey, there.mean(1, keepdim=True), off[:, :1]))
        step, left = blocks(small, other, self.keenness.exp())
        found = interpolate(torch.cat([2.0 * step, left, averaged(apart, BLOCK)], 1), scale_factor=2, mode="bilinear", align_corners=False)
        shift = shift + found[:, :2]
        step, _ = blocks(grey, taken(grey_before, self.pixels + shift.detach()), self.keenness.exp())
        return shift + step, LOUDNESS * torch.cat([off, found[:, 2:]], 1)


def blocks(image: Tensor, other: Tensor, keenness: Tensor) -> tuple[Tensor, Tensor]:
    """(Where in ``other`` [B, 1, h, w] the block about each pixel of ``image`` is found, from there in pixels (x, y) [B, 2, h, w], by the
    mean of places up to ``ABOUT`` pixels away; how they differ there [B, 1, h, w]). The more ``keenness``, the more the best counts.

    One place after the other: engines take twice as long for a softmax over all of them.
    """
    height, width = image.shape[-2:]
    wide, places = pad(other, (ABOUT,) * 4, mode="replicate"), range(2 * ABOUT + 1)
    away = {(x, y): averaged((wide[..., y:y + height, x:x + width] - image).abs(), BLOCK) for y in places for x in places}
    least = reduce(torch.minimum, away.values())
    share = {place: (keenness * (least - one)).exp() for place, one in away.items()}
    total = reduce(torch.add, share.values())
    steps = [reduce(torch.add, [(place[axis] - ABOUT) * one for place, one in share.items() if place[axis] != ABOUT]) for axis in (0, 1)]
    return torch.cat(steps, 1) / total, reduce(torch.add, [away[place] * one for place, one in share.items()]) / total


def averaged(values: Tensor, block: int) -> Tensor:
    """``values`` [B, C, h, w], each the mean of a block of so many rows and columns, as far as there are."""
    return avg_pool2d(values, block, 1, block // 2, count_include_pad=False)


def summed(scores: Tensor, weight: Tensor) -> Tensor:
    """``scores`` [B, C, h, w] after two means over 3x3 cells, weighted by ``weight`` [B, 1, h, w]."""
    both = averaged(averaged(torch.cat([weight * scores, weight], 1), 3), 3)
    return both[:, :-1] / both[:, -1:]


class MatchedFlow(FieldDecoder):
    """The complete flow. How much farther away a point was changes slowly over an object, so this field ends at stride 8.

    Args:
        channels: of one picture's features.
        cap: as for ``FieldDecoder``.
        size: rows and columns of the picture.
        intrinsics: pinhole matrix [3, 3] of the network's picture.
    """

    pixels: Tensor
    rays: Tensor

    def __init__(self, channels: Sequence[int], cap: int, size: tuple[int, int], intrinsics: Sequence[Sequence[float]]):
        super().__init__([2 * one for one in channels[:0:-1]], cap, 1, FARTHER_SCALE, fresh=True)
        self._intrinsics = intrinsics
        self.told = Told(self.wide[CLUED])
        self.register_buffer("pixels", every_pixel(size), persistent=False)
        self.register_buffer("rays", rays(self.pixels, intrinsics), persistent=False)

    def farther(self, pairs: Sequence[Tensor], pose: Tensor, clue: Tensor, found: Tensor) -> Tensor:
        """Metres [B, 1, H / 8, W / 8] that a point was farther away at the second place.

        Args:
            pairs: those of the pose decoder but the first.
            pose: [B, 6]; no gradient reaches it.
            clue, found: as in ``Aligned``.
        """
        def heard(number: int, seed: Tensor, _: Tensor) -> Tensor | None:
            return self.told(seed, clue, found) if number == CLUED else None

        return self.refine(pairs[::-1], pose, heard)[0]

    def complete(self, field: Tensor, shift: Tensor, logit: Tensor, depth: Tensor, rigid: Tensor) -> Tensor:
        """The complete flow in metres [B, 3, H, W]; no gradient reaches ``logit``, ``depth`` and ``rigid``.

        Args:
            field: ``farther``.
            shift: the second place from each pixel, in pixels [B, 2, H, W].
            logit: the mask's [B, 1, H, W].
            depth: metres [B, H, W].
            rigid: the rigid flow in metres [B, 3, H, W].
        """
        with unrounded(shift.device.type):
            field, far, rigid = field.float(), depth.detach().float()[:, None], rigid.detach().float()
            field = interpolate(field, size=shift.shape[-2:], mode="bilinear", align_corners=False)
            share = (GAIN * logit.detach().float() + BIAS).sigmoid()
            own = (seen_at(far * self.rays + rigid, self._intrinsics) - self.pixels).clamp(-FARTHEST_PX, FARTHEST_PX)
            right, down = (own + share * (shift - own)).split(1, 1)
            farther = (rigid[:, 2:] + share * (field - rigid[:, 2:])).maximum(NEAREST_M - far)
            (fx, _, _), (_, fy, _) = self._intrinsics[0], self._intrinsics[1]
            return farther * self.rays + (far + farther) * torch.cat([right / fx, down / fy, torch.zeros_like(far)], 1)
