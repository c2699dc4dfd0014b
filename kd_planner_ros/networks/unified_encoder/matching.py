"""Positions of two pictures compared: a correlation of small features, plain for the pose, and around the places that the rigid flow
leads to for flow and motion mask, so that the offset of its peak is what a point moves by itself.

Source: the correlation of all pairs and the lookup in it of Teed and Deng, "RAFT", ECCV 2020, with one look; the places looked at are the
rigid flow's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, normalize

from kd_planner_ros.networks.unified_encoder.geometry import moved, transform
from kd_planner_ros.networks.unified_encoder.precision import unrounded

STRIDE = 8
"""Of the matching features."""
ROWS, COLUMNS = 3, 7
"""The window reaches so many cells up and down, left and right: 24 and 56 pixels. At 128x352 and 10 Hz the ground moves by 25 pixels at
most. What moves by itself fills many pixels when it is near: half of these pixels are within 9 to 21 pixels of the rigid flow's place, nine
of ten within 24 to 59 (two of the shared recordings)."""
WINDOW = (2 * ROWS + 1) * (2 * COLUMNS + 1)
PLAIN, AROUND, FOUND = WINDOW + 4, WINDOW + 7, WINDOW + 7
"""Channels of a clue: the window's correlations, the offset of the peak in cells (x, y) and the pixel's ray (x, y). One around the rigid
flow has the offset in metres across the line of sight and the logarithm of the depth beside. What was found around the own place has the
correlations there, the shift, its difference to the rigid flow's (x, y, length), all in cells, the best correlation, and by how much it is
above that at the rigid flow's place."""
SHARPNESS = 12.0
"""The correlations' factor before the softmax at first; it is learnt."""
SHARPER = 4.0
"""The factor beside it for the place of the best correlation; a cell or so around it the softmax is as sharp as everywhere."""
FARTHEST_CELLS = 12.0
"""Differences of shifts count up to here."""
STEM = 16, 24
"""Channels of the first convolutions."""
NEAREST_M = 0.5
"""No point is placed nearer to the camera."""
OUTSIDE = 3.0
"""Places count up to this far from the middle, where 1 is the picture's border."""


class Aligned(NamedTuple):
    """A source after the rigid flow, seen from the target, zero where the place lies outside of it.

    Attributes:
        image: the source's picture [B, 3, H, W].
        fine: its first feature [B, C, H / 4, W / 4].
        clue: [B, AROUND, H / 8, W / 8].
        found: what was found around the own place [B, FOUND, H / 8, W / 8].
        rigid: the rigid flow in metres [B, 3, H, W].
    """

    image: Tensor
    fine: Tensor
    clue: Tensor
    found: Tensor
    rigid: Tensor


def looked_up(target: Tensor, source: Tensor, places: Tensor) -> Tensor:
    """Inner products [B, WINDOW, h, w] of each cell of ``target`` [B, C, h, w] with the window of ``source`` around ``places``
    [B, 2, h, w] (x, y in cells), bilinear between cells, 0 outside; row by row from the upper left.

    The cells around a window are picked by their numbers: sampling takes engines nearly twice as long.
    """
    batch, _, height, width = places.shape
    volume = target.flatten(2).transpose(1, 2) @ source.flatten(2)  # all cells with all
    (x, right, in_x), (y, below, in_y) = _reach(places[:, 0], width, COLUMNS), _reach(places[:, 1], height, ROWS)
    index = y[..., :, None] * width + x[..., None, :]
    found = volume.gather(2, index.flatten(2)).view(index.shape) * (in_y[..., :, None] * in_x[..., None, :])
    found = found[..., :-1, :] * (1.0 - below) + found[..., 1:, :] * below
    found = found[..., :-1] * (1.0 - right) + found[..., 1:] * right
    return found.reshape(batch, height, width, WINDOW).permute(0, 3, 1, 2)


def _reach(places: Tensor, size: int, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """(cells around ``places`` [B, h, w] along one axis of ``size`` cells [B, h w, 2 half + 2], the share of the later one of two
    neighbours [B, h w, 1, 1], 1 for the cells that there are)."""
    flat = places.flatten(1).clamp(-half - 1.0, float(size + half))
    first = flat.floor()
    cells = first[..., None] + torch.arange(-half, half + 2, device=places.device)
    inside = ((cells >= 0) & (cells <= size - 1)).to(places.dtype)
    return cells.clamp(0, size - 1).long(), (flat - first)[..., None, None], inside


class Matcher(nn.Module):
    """Matching features of one picture, and what comparing those of two says.

    Args:
        channels: of the encoder's features.
        width: channels of the matching features.
        intrinsics: pinhole matrix [3, 3] of the network's picture.
        size: rows and columns of it.
    """

    rays: Tensor
    cells: Tensor
    offsets: Tensor

    def __init__(self, channels: Sequence[int], width: int, intrinsics: Sequence[Sequence[float]], size: tuple[int, int]):
        super().__init__()
        # Patches of the encoder do not overlap, so its features change as a picture moves by less than a patch: convolutions see that.
        self.stem = nn.Sequential(nn.Conv2d(3, STEM[0], 3, 2, 1), nn.ReLU(), nn.Conv2d(STEM[0], STEM[1], 3, 2, 1), nn.ReLU(),
                                  nn.Conv2d(STEM[1], width, 3, 2, 1))
        self.fine, self.coarse = nn.Conv2d(channels[0], width, 2, 2), nn.Conv2d(channels[1], width, 1)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())
        self._intrinsics = intrinsics
        where = every_pixel(size)
        self.register_buffer("rays", rays(where, intrinsics), persistent=False)
        cells = where[:, :size[0] // STRIDE, :size[1] // STRIDE]
        self.register_buffer("cells", cells.contiguous(), persistent=False)  # [2, h, w]
        self.register_buffer("offsets", window(), persistent=False)

    def forward(self, image: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """Features of length 1 [B, width, H / 8, W / 8].

        Args:
            image: normalised picture [B, 3, H, W].
            fine, coarse: the encoder's first two features of it.
        """
        with unrounded(image.device.type):
            return normalize(self.stem(image.float()) + self.fine(fine.float()) + self.coarse(coarse.float()))

    def plain(self, target: Tensor, source: Tensor) -> Tensor:
        """The clue [B, PLAIN, h, w] of the matching features of two pictures."""
        with unrounded(target.device.type):
            here = self.cells.expand(len(target), -1, -1, -1)
            return torch.cat([*self._look(target, source, here), self._ray(len(target))], 1)

    def _look(self, target: Tensor, source: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(correlations [B, WINDOW, h, w] of each cell with the window around ``places`` [B, 2, h, w] in cells, 0 outside; the expected
        offset [B, 2, h, w] in cells)."""
        scores = looked_up(target, source, places)
        share = (self.sharpness.exp() * scores).softmax(1)
        return scores, torch.einsum("ok,bkhw->bohw", self.offsets.flatten(1), share)

    def _ray(self, count: int) -> Tensor:
        return _every(self.rays[None, :2], STRIDE).expand(count, -1, -1, -1)

    def logits(self, plain: Tensor, aligned: Aligned) -> dict[str, Tensor]:
        """Logits [B, WINDOW, h, w] of where in the window a cell was, by the names of ``match_loss.WINDOWS``."""
        return {"match_plain": self.sharpness.exp() * plain[:, :WINDOW], "match_around": self.sharpness.exp() * aligned.clue[:, :WINDOW]}

    def align(self, depth: Tensor, pose: Tensor, before: Tensor, fine: Tensor, plain: Tensor, target: Tensor, source: Tensor) -> Aligned:
        """The source after the rigid flow, and what was found; no gradient reaches depth and pose.

        Args:
            depth: of the target, metres [B, H, W].
            pose: radians and metres [B, 6].
            before: the source's normalised picture.
            fine: the source's first feature.
            plain: the clue of both (``plain``).
            target, source: matching features of both.
        """
        with unrounded(before.device.type):
            far = depth.detach().float()[:, None]
            where = far * self.rays
            there = moved(transform(pose.detach().float()), where)
            places = seen_at(there, self._intrinsics)
            coarse = _cells(places, STRIDE)
            scores, peak = self._look(target, source, coarse)
            found = self._found(plain[:, :WINDOW], scores, coarse - self.cells)
            own = _every(far, STRIDE)
            across = peak * own * (STRIDE / self._intrinsics[0][0])
            clue = torch.cat([scores, peak, self._ray(len(peak)), across, own.clamp(min=NEAREST_M).log()], 1)
            return Aligned(taken(before.float(), places), taken(fine.float(), _cells(places, 4)), clue, found, there - where)

    def _found(self, own: Tensor, around: Tensor, rigid: Tensor) -> Tensor:
        """``found`` of ``Aligned``, of the correlations around the own place and around the rigid flow's, and that place [B, 2, h, w] in
        cells from the own one."""
        shift = best(self.sharpness.exp() * own, self.offsets)
        apart, most = (shift - rigid).clamp(-FARTHEST_CELLS, FARTHEST_CELLS), own.amax(1, keepdim=True)
        length = (apart.square().sum(1, keepdim=True) + 1e-4).sqrt()
        return torch.cat([own, shift, apart, length, most, most - around[:, WINDOW // 2:WINDOW // 2 + 1]], 1)


def window() -> Tensor:
    """Offsets (x, y) of a window's cells [2, rows, columns]."""
    y, x = torch.meshgrid(torch.arange(-float(ROWS), ROWS + 1), torch.arange(-float(COLUMNS), COLUMNS + 1), indexing="ij")
    return torch.stack([x, y])


def best(logits: Tensor, offsets: Tensor) -> Tensor:
    """The offset [B, 2, h, w] in cells of the best of a window's ``logits`` [B, WINDOW, h, w], between cells by those next to it. No step
    depends on which of two equals is the best, so that engines agree."""
    cells = offsets.flatten(1)
    about = torch.einsum("ok,bkhw->bohw", cells, (SHARPER * logits.detach()).softmax(1))
    away = (cells[None, :, :, None, None] - about[:, :, None]).square().sum(1)
    return torch.einsum("ok,bkhw->bohw", cells, (logits - away / 2.0).softmax(1))


def every_pixel(size: tuple[int, int]) -> Tensor:
    """Columns and rows [2, H, W] of all pixels of a picture of ``size`` (rows, columns)."""
    rows, columns = torch.meshgrid(torch.arange(float(size[0])), torch.arange(float(size[1])), indexing="ij")
    return torch.stack([columns, rows])


def rays(places: Tensor, intrinsics: Sequence[Sequence[float]]) -> Tensor:
    """The points at depth 1 [3, H, W] that are seen at ``places`` [2, H, W]."""
    (fx, _, cx), (_, fy, cy) = intrinsics[0], intrinsics[1]
    return torch.stack([(places[0] - cx) / fx, (places[1] - cy) / fy, torch.ones_like(places[0])])


def seen_at(where: Tensor, intrinsics: Sequence[Sequence[float]]) -> Tensor:
    """Pixels [B, 2, H, W] of points [B, 3, H, W] in metres; a point nearer than ``NEAREST_M`` counts as so near."""
    (fx, _, cx), (_, fy, cy) = intrinsics[0], intrinsics[1]
    ahead = where[:, 2].clamp(min=NEAREST_M)
    return torch.stack([where[:, 0] / ahead * fx + cx, where[:, 1] / ahead * fy + cy], 1)


def _every(field: Tensor, stride: int) -> Tensor:
    """``field`` [B, C, H, W] in the middle of each cell of ``stride`` pixels."""
    return field[:, :, stride // 2::stride, stride // 2::stride]


def _cells(places: Tensor, stride: int) -> Tensor:
    """Places [B, 2, H, W] in pixels, of the middle of each cell, in cells [B, 2, h, w]."""
    return (_every(places, stride) - stride // 2) / stride


def taken(image: Tensor, places: Tensor) -> Tensor:
    """``image`` [B, C, h, w] at ``places`` [B, 2, r, c] (x, y) in its own cells, bilinear; 0 outside."""
    height, width = image.shape[-2:]
    # One scale for both and a transposition: engines interleave two maps that are stacked number by number.
    grid = places * places.new_tensor([2.0 / (width - 1), 2.0 / (height - 1)])[:, None, None] - 1.0
    return grid_sample(image, grid.clamp(-OUTSIDE, OUTSIDE).permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=True)
