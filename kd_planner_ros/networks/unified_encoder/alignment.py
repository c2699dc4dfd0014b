"""The camera's motion from the pictures themselves: steps of Gauss and Newton until the picture before, seen where the motion puts the
points of the depth map, has the contrast of the picture. They begin with the pose decoder's answer and, beside it, with a camera that
stands.

A decoder alone learns how fast cars drive in the towns that it knows, and says it of a standing car in another one.

Source: direct alignment of Kerl, Sturm and Cremers, "Robust Odometry Estimation for RGB-D Cameras", ICRA 2013, with the
network's own depth, and weights of Geman and McClure in place of a t-distribution's. Points are those of the steepest contrast of each
block, as in Engel, Koltun and Cremers, "Direct Sparse Odometry", TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from kd_planner_ros.networks.blocks.inputs import IMAGENET_STD
from kd_planner_ros.networks.unified_encoder.geometry import pose_of, transform
from kd_planner_ros.networks.unified_encoder.matching import NEAREST_M
from kd_planner_ros.networks.unified_encoder.precision import unrounded

LUMA = 0.299, 0.587, 0.114
LEVELS = (4, 3), (2, 2), (1, 2)
"""(factor by which pictures are made smaller, steps), coarse to fine. At a quarter of the size points move by a few pixels."""
BLOCK = 4
"""Pixels of the whole picture, each way, that have one point."""
LOUDNESS, QUIET = 12.0, 2.0
"""Brightness counts by its contrast to the surroundings: in the dark, too, and a headlight's edges, which move with the car, no more than
what it shines on. ``QUIET`` of 255 grey values are noise."""
SOFTNESS = 8.0
"""Differences above it count little. What moves by itself and what was hidden differ by more."""
LONGEST = 0.02, 0.04
"""No step turns the camera by more radians, or moves it by more units."""
STANDS = 0.5
"""A camera stands where the pictures then differ by less than this share: light that the car throws ahead moves with it."""
FAR = 8.0
"""Points farther away than so many units do not count: that is the sky."""
COARSE = 4
"""Surroundings are taken from pictures that are smaller by this."""
BLUR = 0.21
"""Share of each neighbour in a smoothed brightness: edges one pixel wide have no slope to follow."""
DAMPING = 1e-3
"""Part of each diagonal element that is added to it."""
LEAST = 1e-6
"""Added to the diagonal: pictures of one colour have no slope."""


class Level(NamedTuple):
    """The points of one size of the pictures, and the picture before at this size.

    Attributes:
        points: [B, 3, N] along the target's camera axes, in units.
        grey: contrast of the points [B, N].
        before: contrast and its slopes to the right and down [B, 3, h, w] of the picture before.
        lens: focal lengths and principal point (x, y each) in pixels of this size.
    """

    points: Tensor
    grey: Tensor
    before: Tensor
    lens: tuple[float, float, float, float]


class Alignment(nn.Module):
    """Refines a pose by the pictures' contrast.

    Args:
        intrinsics: pinhole matrix [3, 3] of the network's picture.
        size: rows and columns of it.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, intrinsics: Sequence[Sequence[float]], size: tuple[int, int]):
        super().__init__()
        larger = [interpolate(torch.eye(one // COARSE)[None], scale_factor=COARSE, mode="linear")[0] for one in size]
        self.register_buffer("rows", larger[0].T.contiguous(), persistent=False)  # products: engines interpolate one channel slowly
        self.register_buffer("columns", larger[1].contiguous(), persistent=False)
        (self._fx, _, self._cx), (_, self._fy, self._cy) = intrinsics[0], intrinsics[1]
        self._luma = [255.0 * share * deviation for share, deviation in zip(LUMA, IMAGENET_STD, strict=True)]

    def forward(self, image: Tensor, before: Tensor, depth: Tensor, pose: Tensor) -> Tensor:
        """The pose [B, 6] that fits the pictures best: the refined one, or ``pose`` itself where it fits better.

        Args:
            image, before: normalised pictures [B, 3, H, W].
            depth: of the target [B, H, W], in units; no gradient reaches it.
            pose: as ``geometry.transform`` reads it [B, 6], in units.
        """
        with unrounded(image.device.type), torch.no_grad():
            depth, told = depth.float()[:, None], transform(pose.float())
            grey, other = self._contrast(torch.cat([image, before]).float()).chunk(2)
            stands = torch.eye(4, device=told.device).expand_as(told)
            found = torch.cat([told, stands])  # one after the other in the batch, until the smallest pictures say which fits
            for number, (factor, steps) in enumerate(LEVELS):
                level = self._level(grey, other, depth, factor)
                found = _refined(level if number else _twice(level), found, steps)
                if not number:
                    moves, rests = found.chunk(2)
                    found = _better(level, moves, rests, STANDS)
            return pose_of(_better(level, found, told))

    def _contrast(self, image: Tensor) -> Tensor:
        """Brightness [B, 1, H, W] of normalised pictures, smoothed, less that of the surroundings, over how much it changes there."""
        red, green, blue = self._luma
        grey = red * image[:, :1] + green * image[:, 1:2] + blue * image[:, 2:]
        grey = _blurred(_blurred(grey, 3, BLUR), 2, BLUR)
        apart = grey - self._around(grey)
        return LOUDNESS * apart / (self._around(apart.square()).sqrt() + QUIET)

    def _around(self, grey: Tensor) -> Tensor:
        """The mean of some eight pixels each way about every pixel."""
        small = _blurred(_blurred(_smaller(grey, COARSE), 3, 0.25), 2, 0.25)
        return self.rows @ small @ self.columns

    def _level(self, grey: Tensor, before: Tensor, depth: Tensor, factor: int) -> Level:
        """The points of pictures that are smaller by ``factor``: of each block the one of the steepest contrast."""
        size = (grey.shape[-2] // factor, grey.shape[-1] // factor)
        small, other = (_smaller(one, factor) for one in (grey, before))
        lens = (self._fx / factor, self._fy / factor, (self._cx + 0.5) / factor - 0.5, (self._cy + 0.5) / factor - 0.5)
        far = depth[:, :, factor // 2::factor, factor // 2::factor]
        right, down = _slopes(small)
        rows, columns = (torch.arange(float(count), device=far.device) for count in size)
        places = [columns[None, None, None].expand_as(small), rows[None, None, :, None].expand_as(small)]
        maps = _blocks(torch.cat([(right.square() + down.square()) * (far < FAR), far, small, *places], 1), BLOCK // factor)
        most = maps[:, 0].amax(-1, keepdim=True)
        steepest = (maps[:, 0] == most).to(far.dtype)
        there, value, u, v = ((one * steepest).sum(-1) / steepest.sum(-1) for one in maps[:, 1:].unbind(1))
        ahead = torch.where(most[..., 0] > 0.0, there, 0.0)  # such a point is nowhere
        rays = torch.stack([(u - lens[2]) / lens[0], (v - lens[3]) / lens[1], torch.ones_like(u)], 1)
        return Level(rays * ahead[:, None], value, torch.cat([other, *_slopes(other)], 1), lens)


def _smaller(grey: Tensor, factor: int) -> Tensor:
    """The means of squares of ``factor``, a power of 2. Engines pool a single channel slowly."""
    if factor == 1:
        return grey
    half = grey[..., ::2, :] + grey[..., 1::2, :]
    return _smaller(0.25 * (half[..., ::2] + half[..., 1::2]), factor // 2)


def _blurred(grey: Tensor, along: int, share: float) -> Tensor:
    """``grey`` [B, 1, H, W] with a ``share`` of both neighbours ``along`` a dimension."""
    wide, size = _with_border(grey, along), grey.shape[along]
    return (1.0 - 2.0 * share) * grey + share * (wide.narrow(along, 0, size) + wide.narrow(along, 2, size))


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes [B, 1, H, W] to the right and down, by Scharr's filter."""
    found = []
    for along in (3, 2):
        smooth = _blurred(grey, 5 - along, 0.1875)
        wide, size = _with_border(smooth, along), grey.shape[along]
        found.append(0.5 * (wide.narrow(along, 2, size) - wide.narrow(along, 0, size)))
    return found[0], found[1]


def _with_border(grey: Tensor, along: int) -> Tensor:
    return torch.cat([grey.narrow(along, 0, 1), grey, grey.narrow(along, grey.shape[along] - 1, 1)], along)


def _blocks(maps: Tensor, cells: int) -> Tensor:
    """``maps`` [B, C, H, W] as [B, C, blocks, cells * cells]."""
    return maps.unflatten(3, (-1, cells)).unflatten(2, (-1, cells)).transpose(3, 4).flatten(4).flatten(2, 3)


def _twice(level: Level) -> Level:
    """``level`` for two matrices a picture."""
    return level._replace(**{name: getattr(level, name).repeat(2, *[1] * (getattr(level, name).dim() - 1))
                             for name in ("points", "grey", "before")})


def _seen(level: Level, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(differences of contrast [B, N], weights [B, N], their slopes [B, 6, N] by a turn and a shift) under ``matrix`` [B, 4, 4]."""
    fx, fy, cx, cy = level.lens
    height, width = level.before.shape[-2:]
    where = matrix[:, :3, :3] @ level.points + matrix[:, :3, 3:]
    ahead = where[:, 2].clamp(min=0.1 * NEAREST_M)
    x, y = where[:, 0] / ahead, where[:, 1] / ahead
    u, v = fx * x + cx, fy * y + cy
    inside = (level.points[:, 2] > 0.0) & (u > 0.0) & (u < width - 1.0) & (v > 0.0) & (v < height - 1.0)
    grid = torch.stack([u * (2.0 / (width - 1)) - 1.0, v * (2.0 / (height - 1)) - 1.0], -1).clamp(-2.0, 2.0)[:, None]
    taken = grid_sample(level.before, grid, mode="bilinear", padding_mode="zeros", align_corners=True)[:, :, 0]
    apart, right, down = level.grey - taken[:, 0], fx * taken[:, 1], fy * taken[:, 2]
    weight = inside / (1.0 + (apart / SOFTNESS).square()).square()
    along = right * x + down * y
    slopes = torch.stack([-along * y - down, along * x + right, down * x - right * y, right / ahead, down / ahead, -along / ahead], 1)
    return torch.where(inside, apart, 1e4), weight, slopes


def _refined(level: Level, matrix: Tensor, steps: int) -> Tensor:
    """``matrix`` [B, 4, 4] after so many steps."""
    for _ in range(steps):
        apart, weight, slopes = _seen(level, matrix)
        weighted = slopes * weight[:, None]
        step = solved(weighted @ slopes.transpose(1, 2), (weighted @ apart[..., None])[..., 0])
        turn, shift = step[:, :3], step[:, 3:]
        lengths = torch.stack([turn, shift], 1).square().sum(2) * step.new_tensor(LONGEST) ** -2.0
        step = step * lengths.amax(1, keepdim=True).clamp(min=1.0).rsqrt()
        matrix = moved_by(step) @ matrix
    return matrix


def moved_by(step: Tensor) -> Tensor:
    """The motion [B, 4, 4] of a small ``step`` [B, 6], a turn by Cayley's map and a shift. It takes a fifth of the products of Rodrigues'
    formula; of a turn of 0.02 radians it makes 0.019999."""
    generators = step.new_zeros(6, 16)
    for row, (plus, minus) in enumerate(((9, 6), (2, 8), (4, 1))):
        generators[row, plus], generators[row, minus] = 1.0, -1.0
    for row, place in enumerate((3, 7, 11), 3):
        generators[row, place] = 1.0
    small = (step @ generators).view(-1, 4, 4)
    skew = small * step.new_tensor([1.0, 1.0, 1.0, 0.0])
    share = 1.0 / (1.0 + 0.25 * step[:, :3].square().sum(1))
    one = torch.eye(4, device=step.device, dtype=step.dtype)
    return one + small - skew + share[:, None, None] * (skew + 0.5 * skew @ skew)


def _better(level: Level, first: Tensor, second: Tensor, share: float = 1.0) -> Tensor:
    """That of two matrices [B, 4, 4] under which the pictures differ less; ``second`` where they differ by less than this ``share``."""
    costs = [(one := _seen(level, matrix)[0].square()) / (1.0 + one / SOFTNESS ** 2) for matrix in (first, second)]
    return torch.where((share * costs[0].mean(1) <= costs[1].mean(1))[:, None, None], first, second)


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """x [B, n] of ``matrix`` x = ``right`` [B, n] for symmetric positive ``matrix`` [B, n, n], damped. By elimination, in products that
    every engine has; on a diagonal of ones, for turns and shifts differ by orders of magnitude."""
    count = matrix.shape[-1]
    one = torch.eye(count, device=matrix.device, dtype=matrix.dtype)
    scale = ((matrix * one).sum(-1) + LEAST).rsqrt()
    rows = torch.cat([matrix * scale[:, :, None] * scale[:, None] + DAMPING * one, (right * scale)[..., None]], 2)
    for column in range(count):
        own = one[:, column:column + 1]
        row = rows[:, column:column + 1] / rows[:, column:column + 1, column:column + 1]
        rows = (1.0 - own) * (rows - rows[:, :, column:column + 1] * row) + own * row
    return scale * rows[:, :, -1]
