"""What teaches a matcher: where each cell of the picture was in the picture before, and the final flow in pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kd_planner_ros.networks.unified_encoder.geometry import final_flow, points, projected, sampled
from kd_planner_ros.networks.unified_encoder.loss import NEAREST_MOVED_M, full_size, mean_where
from kd_planner_ros.networks.unified_encoder.matching import COLUMNS, ROWS, STRIDE
from kd_planner_ros.networks.unified_encoder.model import SCALES

WINDOWS = ("match_plain", "match_around")
"""Logits in a network's outputs: the window around the pixel itself, and that around the rigid flow's place."""
WEIGHTS = {"match": 1.0, "own_pixels": 1.5, "final_pixels": 1.5, "final_colour": 2.0}
"""The loss of matching, of the complete and of the final flow in pixels, and of the colours that the final flow finds."""

ROUND_PX = 0.1
"""Errors below this count as their squares."""


def places(where: Tensor, intrinsics: Tensor) -> Tensor:
    """Pixels [B, 2, H, W] of points [B, 3, H, W] in metres; a point nearer than ``NEAREST_MOVED_M`` counts as so near."""
    seen = (intrinsics @ _ahead(where).flatten(2)).view_as(where)
    return seen[:, :2] / seen[:, 2:]


def _ahead(where: Tensor) -> Tensor:
    return torch.cat([where[:, :2], where[:, 2:].clamp(min=NEAREST_MOVED_M)], 1)


def match_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], intrinsics: Tensor, image: Tensor,
                 before: Tensor) -> dict[str, Tensor]:
    """``match``: cross entropy of the place of each cell in the windows that hold it, static and moving cells counting alike.
    ``own_pixels`` and ``final_pixels``: log(1 + error) over moving pixels, means over scales, of the place in pixels that the complete and
    the final flow lead to by the network's own depth. Near road users are off by tens of pixels, and plain errors of theirs would leave
    nothing to learn from the others, which are many; a picture's colours say no more either from a few pixels on. ``final_colour``: mean
    absolute difference of the picture and the one before at the final flow's places, over moving pixels and colours.

    Args:
        intrinsics: of the picture [B, 3, 3].
        image, before: normalised pictures [B, 3, H, W].
    """
    wanted = points(targets["depth"].clamp(min=NEAREST_MOVED_M), intrinsics) + targets["flow"]
    true = places(wanted, intrinsics)
    known = targets["flow_known"] & (wanted[:, 2] > NEAREST_MOVED_M)
    own = points(outputs["depth"].detach().float(), intrinsics)
    rigid = outputs["rigid"].float()
    moving = known & targets["moving"]
    bases = places(own, intrinsics), places(own + rigid, intrinsics)  # the first are the pixels themselves
    entropy = [_entropy(outputs[name].float(), true - base, known, moving) for name, base in zip(WINDOWS, bases, strict=True)]

    def off(flow: Tensor) -> Tensor:
        error = (places(own + flow, intrinsics) - true).square().sum(1) + ROUND_PX ** 2
        return mean_where((error.sqrt() - ROUND_PX).log1p(), moving)

    complete = [full_size(outputs[f"flow_{scale}"], known.shape) for scale in SCALES]
    masks = [full_size(outputs[f"motion_{scale}"], known.shape).sigmoid() for scale in SCALES]
    final = [final_flow(rigid, flow, mask) for flow, mask in zip(complete, masks, strict=True)]
    colours = (sampled(before.float(), projected(_ahead(own + final[0]), intrinsics)) - image.float()).abs().mean(1)
    return {"match": torch.stack(entropy).mean(), "own_pixels": torch.stack([off(one) for one in complete]).mean(),
            "final_pixels": torch.stack([off(one) for one in final]).mean(), "final_colour": mean_where(colours, moving)}


def _entropy(logits: Tensor, offset: Tensor, known: Tensor, moving: Tensor) -> Tensor:
    """Cross entropy of one window, half of it over static cells and half over moving ones. A place between cells belongs to the four
    around it by its distances, so that the expected offset is the true one."""
    x, y = (offset[:, :, STRIDE // 2::STRIDE, STRIDE // 2::STRIDE] / STRIDE).unbind(1)
    steps = [(row, column) for row in range(-ROWS, ROWS + 1) for column in range(-COLUMNS, COLUMNS + 1)]
    share = torch.stack([(1.0 - (x - column).abs()).clamp(min=0.0) * (1.0 - (y - row).abs()).clamp(min=0.0) for row, column in steps], 1)
    cells = known[:, STRIDE // 2::STRIDE, STRIDE // 2::STRIDE] & (x.abs() <= COLUMNS) & (y.abs() <= ROWS)
    each = -(share * logits.log_softmax(1)).sum(1)
    moves = moving[:, STRIDE // 2::STRIDE, STRIDE // 2::STRIDE]
    return (mean_where(each, cells & moves) + mean_where(each, cells & ~moves)) / 2.0
