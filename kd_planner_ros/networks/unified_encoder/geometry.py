"""Pinhole geometry on tensors: points of a depth map, rigid and scene flow, and pictures sampled where points fall.

Camera axes: x right, y down, z forward. Pixel centres are whole numbers. ``transform`` has the convention of the released
networks: T = R(a)^T Trans(-tau), for both sources.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

EPSILON = 1e-7


def rotation(axis_angle: Tensor) -> Tensor:
    """Rotation matrices [B, 3, 3] of axis times angle [B, 3] in radians (Rodrigues)."""
    angle = axis_angle.norm(dim=1, keepdim=True)
    x, y, z = (axis_angle / (angle + EPSILON)).unbind(1)
    c, s = angle[:, 0].cos(), angle[:, 0].sin()
    k = 1.0 - c
    rows = [k * x * x + c, k * x * y - s * z, k * x * z + s * y, k * x * y + s * z, k * y * y + c, k * y * z - s * x,
            k * x * z - s * y, k * y * z + s * x, k * z * z + c]
    return torch.stack(rows, 1).view(-1, 3, 3)


def transform(pose: Tensor) -> Tensor:
    """T [B, 4, 4] from the target's camera to the source's, of a pose [B, 6] (axis and angle, translation)."""
    turn = rotation(pose[:, :3]).transpose(1, 2)
    shift = -(turn @ pose[:, 3:, None])
    last = pose.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(pose), 1, 4)
    return torch.cat([torch.cat([turn, shift], 2), last], 1)


def inverted(pose: Tensor) -> Tensor:
    """The pose [B, 6] whose ``transform`` is the inverse of that of ``pose`` [B, 6]."""
    turn = rotation(pose[:, :3]).transpose(1, 2)
    return torch.cat([-pose[:, :3], -(turn @ pose[:, 3:, None])[..., 0]], 1)


def pose_of(matrix: Tensor) -> Tensor:
    """The pose [B, 6] whose ``transform`` is ``matrix`` [B, 4, 4]; for angles below half a turn."""
    turn = matrix[:, :3, :3].transpose(1, 2)  # R(a)
    skew = torch.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], 1) / 2.0
    sine, cosine = skew.norm(dim=1, keepdim=True), (turn[:, 0, 0] + turn[:, 1, 1] + turn[:, 2, 2] - 1.0)[:, None] / 2.0
    axis_angle = skew * torch.where(sine > EPSILON, torch.atan2(sine, cosine) / sine.clamp(min=EPSILON), torch.ones_like(sine))
    return torch.cat([axis_angle, -(turn @ matrix[:, :3, 3:])[..., 0]], 1)


def pixels(height: int, width: int, like: Tensor) -> Tensor:
    """Homogeneous pixel coordinates (u, v, 1) [3, height * width]."""
    v, u = torch.meshgrid(torch.arange(height, dtype=like.dtype, device=like.device),
                          torch.arange(width, dtype=like.dtype, device=like.device), indexing="ij")
    return torch.stack([u.flatten(), v.flatten(), torch.ones_like(u).flatten()])


def sight(height: int, width: int, intrinsics: Tensor) -> Tensor:
    """The points at depth 1 [B, 3, H, W] that the pixels see, of pinhole matrices [B, 3, 3]."""
    return (torch.linalg.inv(intrinsics) @ pixels(height, width, intrinsics)).unflatten(2, (height, width))


def points(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Points [B, 3, H, W] in the camera's frame of ``depth`` [B, H, W] along z and pinhole matrices [B, 3, 3]."""
    return sight(depth.shape[-2], depth.shape[-1], intrinsics) * depth[:, None]


def moved(matrix: Tensor, where: Tensor) -> Tensor:
    """Points [B, 3, H, W] after T [B, 4, 4]."""
    return (matrix[:, :3, :3] @ where.flatten(2) + matrix[:, :3, 3:]).view_as(where)


def rigid_flow(matrix: Tensor, where: Tensor) -> Tensor:
    """How far the points [B, 3, H, W] seem to move because the camera does: T P - P."""
    return moved(matrix, where) - where


def final_flow(rigid: Tensor, complete: Tensor, mask: Tensor) -> Tensor:
    """F_R + M (F_C - F_R), all [B, 3, H, W] but ``mask`` [B, 1, H, W]."""
    return rigid + mask * (complete - rigid)


def projected(where: Tensor, intrinsics: Tensor) -> Tensor:
    """Sampling positions [B, H, W, 2] in [-1, 1] of points [B, 3, H, W]; -1 and 1 are the centres of the outer pixels."""
    height, width = where.shape[-2:]
    seen = intrinsics @ where.flatten(2)
    uv = seen[:, :2] / (seen[:, 2:] + EPSILON)
    ends = uv.new_tensor([width - 1.0, height - 1.0])[None, :, None]
    return (uv / ends * 2.0 - 1.0).transpose(1, 2).unflatten(1, (height, width))


def sampled(image: Tensor, positions: Tensor) -> Tensor:
    """``image`` [B, C, H, W] at ``positions`` [B, H, W, 2]; outside the nearest border counts."""
    return grid_sample(image, positions, mode="bilinear", padding_mode="border", align_corners=True)


def in_view(positions: Tensor) -> Tensor:
    """bool [B, H, W]: positions inside the picture."""
    return (positions.abs() <= 1.0).all(-1)
