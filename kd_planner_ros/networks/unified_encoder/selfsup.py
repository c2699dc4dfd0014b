"""Losses that learn depth, pose, flow and motion from video alone, as pure functions. Lengths are in the network's units.

Source: the paper's equations 2 to 5; Sun and Hariharan, "Dynamo-Depth", NeurIPS 2023; Godard et al., "Monodepth2", ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, pad

from kd_planner_ros.networks.unified_encoder.depth import FARTHEST, NEAREST
from kd_planner_ros.networks.unified_encoder.geometry import pixels

SSIM_SHARE = 0.85
NEAR_DISPARITY = 0.03
"""Flow is held to the rigid flow where the disparity is larger, which is nearer than 3.2 units."""
GROUND_ROWS = 0.4
"""Share of the picture, from the bottom, that the ground plane is fitted to."""
INLIER = 0.005
"""Distance from the plane, units."""


class Local(NamedTuple):
    """Mean and variance [B, C, H, W] of a picture over windows of 3 x 3 around each pixel."""

    mean: Tensor
    variance: Tensor


def _window(x: Tensor) -> Tensor:
    """Means of [B, C, H, W] over windows of 3 x 3; borders are reflected. Sums of slices: ``avg_pool2d`` takes four times as long on a
    processor, forward and backward."""
    height, width = x.shape[-2:]
    x = pad(x, (1, 1, 1, 1), mode="reflect")
    x = x.narrow(-1, 0, width) + x.narrow(-1, 1, width) + x.narrow(-1, 2, width)
    return (x.narrow(-2, 0, height) + x.narrow(-2, 1, height) + x.narrow(-2, 2, height)) * (1.0 / 9.0)


def local(picture: Tensor) -> Local:
    """``Local`` of ``picture`` [B, C, H, W]."""
    mean = _window(picture)
    return Local(mean, _window(picture * picture) - mean * mean)


def ssim(a: Tensor, b: Tensor, known: Local | None = None) -> Tensor:
    """Structural similarity of pictures [B, C, H, W] in [0, 1] over windows of 3 x 3, of their shape; ``known`` is ``local(b)``, for a
    picture that is compared more than once."""
    (first, var_a), (second, var_b), one, two = local(a), known or local(b), 0.01 ** 2, 0.03 ** 2
    product = first * second
    both = _window(a * b) - product
    return (2 * product + one) * (2 * both + two) / ((first * first + second * second + one) * (var_a + var_b + two))


def photometric(a: Tensor, b: Tensor, known: Local | None = None) -> Tensor:
    """Error of each pixel [B, H, W] between pictures [B, C, H, W] in [0, 1]: 0.85 SSIM's and 0.15 L1, means over channels. ``known``: as
    for ``ssim``."""
    structure = ((1.0 - ssim(a, b, known)) / 2.0).clamp(0.0, 1.0).mean(1)
    return SSIM_SHARE * structure + (1.0 - SSIM_SHARE) * (a - b).abs().mean(1)


def reconstruction(warped: Sequence[Tensor], still: Sequence[Tensor] = ()) -> Tensor:
    """The mean over pixels of the smallest photometric error [B, H, W] among those of the ``warped`` sources.

    Args:
        still: errors of the sources as they are; where one of them fits better than every warped one, the pixel teaches nothing (what
            moves with the camera, and standing frames). Ties are broken by noise of 1e-5.
    """
    still = [one + 1e-5 * torch.randn_like(one) for one in still]
    return torch.stack([*still, *warped]).min(dim=0).values.mean()


def smoothness(field: Tensor, image: Tensor, scale: int) -> Tensor:
    """Mean absolute gradient of ``field`` [B, C, h, w], less where ``image`` [B, 3, h, w] has edges; divided by 2^scale."""
    total = field.new_zeros(())
    for axis in (2, 3):
        edges = image.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (field.diff(dim=axis).abs() * (-edges).exp()).mean()
    return total / 2 ** scale


def disparity_smoothness(disparity: Tensor, image: Tensor, scale: int) -> Tensor:
    """``smoothness`` of the disparity [B, 1, h, w] over its mean in each picture: a smaller scene is not smoother."""
    return smoothness(disparity / (disparity.mean((2, 3), keepdim=True) + 1e-7), image, scale)


def consistency(disparity: Tensor, mask: Tensor, complete: Tensor, rigid: Tensor, scale: int) -> Tensor:
    """Mean difference of complete and rigid flow [B, 3, h, w] where the ``mask`` [B, 1, h, w] says static; near pixels alone. No
    gradient reaches the mask."""
    weight = (disparity > NEAR_DISPARITY) * (1.0 - mask.detach())
    return (weight * (complete - rigid).abs()).mean() / 2 ** scale


def sparsity(logits: Tensor, rigid: Tensor, complete: Tensor, scale: int) -> Tensor:
    """Cross entropy of the motion mask with 0 over static pixels: those whose sampling positions by rigid and complete flow lie
    nearer to each other than in the mean. 0 where a picture has no such pixel.

    Args:
        logits: of the mask [B, 1, h, w].
        rigid, complete: sampling positions [B, h, w, 2]; no gradient reaches them.
    """
    off = (rigid.detach() - complete.detach()).square().sum(-1)
    static = off < off.mean()
    if not static.flatten(1).any(1).all():
        return logits.new_zeros(())
    zeros = torch.zeros_like(logits[:, 0])
    return binary_cross_entropy_with_logits(logits[:, 0], zeros, reduction="none")[static].mean() / 2 ** scale


def ground_plane(where: Tensor, generator: torch.Generator | None = None, hypotheses: int = 100) -> tuple[Tensor, Tensor]:
    """(plane y = w1 x + w2 z + w3 [B, 3] under the camera, share of the lower rows' points on it [B]) by RANSAC over the lower rows of
    points [B, 3, H, W]; without gradient. w3 is the camera's height in the points' units."""
    rows = where.shape[2]
    low = where[:, :, rows - int(GROUND_ROWS * rows):].detach().flatten(2).transpose(1, 2)  # [B, N, 3]
    planes, shares = [], []
    for cloud in low:
        chosen = cloud[torch.randint(len(cloud), (hypotheses, 5), generator=generator, device="cpu").to(cloud.device)]
        ones = torch.ones_like(chosen[..., :1])
        design = torch.cat([chosen[..., :1], chosen[..., 2:], ones], -1)
        gram = design.transpose(1, 2) @ design + 1e-6 * torch.eye(3, device=cloud.device)
        found = torch.linalg.solve(gram, design.transpose(1, 2) @ chosen[..., 1:2])[..., 0]
        every = torch.stack([cloud[:, 0], cloud[:, 2], torch.ones_like(cloud[:, 0])])
        inliers = ((cloud[:, 1] - found @ every).abs() < INLIER).sum(1)
        planes.append(found[inliers.argmax()])
        shares.append(inliers.max() / len(cloud))
    return torch.stack(planes), torch.stack(shares)


def above_ground(disparity: Tensor, plane: Tensor, intrinsics: Tensor, scale: int, counts: Tensor | None = None) -> Tensor:
    """Mean of how much the disparity [B, 1, H, W] falls short of the ground's: points below the plane [B, 3] are too far away.

    Args:
        counts: bool [B], the samples whose plane counts; the others have 0. None: all.
    """
    height, width = disparity.shape[-2:]
    rays = torch.linalg.inv(intrinsics) @ pixels(height, width, disparity)
    slope = rays[:, 1] - rays[:, 0] * plane[:, :1] - rays[:, 2] * plane[:, 1:2]
    depth = (plane[:, 2:] + INLIER) / torch.where(slope.abs() < 1e-7, torch.full_like(slope, 1e-7), slope)
    depth = torch.where((depth < 0.0) | (depth > FARTHEST), torch.full_like(depth, FARTHEST), depth)
    ground = (1.0 / depth - 1.0 / FARTHEST) / (1.0 / NEAREST - 1.0 / FARTHEST)
    each = -(disparity.flatten(1) - ground).clamp(max=0.0).mean(1)
    return (each if counts is None else each * counts).mean() / 2 ** scale


def distillation(flow: Tensor, mask: Tensor, teacher_flow: Tensor, teacher_mask: Tensor, scale: Tensor | None = None) -> Tensor:
    """0.1 of the flows' mean absolute difference and 0.001 of the masks' (equation 3).

    Args:
        flow, teacher_flow: [B, 3, h, w], each in its own network's units.
        mask, teacher_mask: probabilities [B, 1, h, w].
        scale: the teacher's unit in the student's [B]; None: they are taken as equal.
    """
    taught = teacher_flow.detach() * (1.0 if scale is None else scale.detach().view(-1, 1, 1, 1))
    return 0.1 * (taught - flow).abs().mean() + 0.001 * (teacher_mask.detach() - mask).abs().mean()


def unit_ratio(depth: Tensor, teacher_depth: Tensor) -> Tensor:
    """The teacher's unit in the student's [B]: the ratio of the medians of their depths [B, H, W]."""
    own, other = (one.detach().flatten(1).contiguous().median(1).values for one in (depth, teacher_depth))  # torch misreads expanded ones
    return own / other


def resized(image: Tensor, scale: int) -> Tensor:
    """``image`` [B, C, H, W] at 1 / 2^scale of its size."""
    return image if scale == 0 else interpolate(image, scale_factor=0.5 ** scale, mode="bilinear", align_corners=False)


def steering_weight(wanted: Tensor, growth: float = 0.1, most: float = 50.0) -> Tensor:
    """Weight [B] of angles [B] in degrees in equation 5: exp(growth |angle|), at most ``most``."""
    return (growth * wanted.abs()).exp().clamp(max=most)


def steering_loss(found: Tensor, wanted: Tensor, growth: float = 0.1, most: float = 50.0) -> Tensor:
    """Mean square error of angles [B], weighted by ``steering_weight`` (equation 5)."""
    weight = steering_weight(wanted, growth, most)
    return (weight * (found - wanted).square()).sum() / weight.sum()
