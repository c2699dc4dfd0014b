"""The self-supervised loss of a triplet: every term of ``selfsup`` over four scales and both sources."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kd_planner_ros.networks.unified_encoder import selfsup
from kd_planner_ros.networks.unified_encoder.depth import depth_of
from kd_planner_ros.networks.unified_encoder.geometry import final_flow, points, projected, rigid_flow, sampled, transform
from kd_planner_ros.networks.unified_encoder.loss import full_size
from kd_planner_ros.networks.unified_encoder.model import SCALES

WEIGHTS = {"reconstruction": 1.0, "smooth_disparity": 1e-3, "smooth_flow": 1e-3, "smooth_mask": 0.1, "consistency": 5.0, "sparsity": 0.1,
           "ground": 0.1}
RAMPED = ("smooth_flow", "smooth_mask", "consistency", "sparsity")
"""Terms that grow from 0 in the first third of a stage."""
RIGID, COMPLETE, FINAL = "rigid", "complete", "final"
"""What pictures are warped by: the camera's motion alone, the complete flow, or the final flow, which the mask puts together."""


def video_losses(outputs: Mapping[str, Tensor], pictures: Tensor, intrinsics: Tensor, metres: float, by: str = FINAL) -> dict[str, Tensor]:
    """Every term that ``by`` allows, unweighted, means over scales and sources.

    Args:
        outputs: of the network for a target and two sources.
        pictures: before, target and after, RGB in [0, 1], not augmented [B, 3, 3, H, W].
        intrinsics: [B, 3, 3].
        metres: of the outputs' metres to a unit.
        by: RIGID, COMPLETE or FINAL.
    """
    scales = [_scale(outputs, pictures, intrinsics, metres, by, scale) for scale in SCALES]
    return {name: torch.stack([one[name] for one in scales]).mean() for name in scales[0]}


def _scale(outputs: Mapping[str, Tensor], pictures: Tensor, intrinsics: Tensor, metres: float, by: str, scale: int) -> dict[str, Tensor]:
    target, sources = pictures[:, 1], torch.cat([pictures[:, 0], pictures[:, 2]])
    twice = intrinsics.repeat(2, 1, 1)
    pose = outputs["pose"].float()
    own = outputs[f"disparity_{scale}"].float()
    disparity = full_size(own, target.shape)
    where = points(depth_of(disparity)[:, 0], intrinsics)
    rigid = rigid_flow(transform(torch.cat([pose[:, :3], pose[:, 3:] / metres], 1)), where.repeat(2, 1, 1, 1))
    flow, logits = outputs[f"flow_{scale}"].float() / metres, outputs[f"motion_{scale}"].float()
    complete = full_size(flow, target.shape)
    chosen = {RIGID: rigid, COMPLETE: complete, FINAL: final_flow(rigid, complete, full_size(logits, target.shape).sigmoid())}[by]

    def positions(moved: Tensor) -> Tensor:
        return projected(where.repeat(2, 1, 1, 1) + moved, twice)

    image = selfsup.resized(target, scale)
    parts = {"reconstruction": selfsup.reconstruction(target, sampled(sources, positions(chosen)).chunk(2),
                                                      sources.chunk(2) if by == RIGID else ()),
             "smooth_disparity": selfsup.disparity_smoothness(own, image, scale)}
    if by == RIGID:
        return parts
    both = image.repeat(2, 1, 1, 1)
    parts["smooth_flow"] = selfsup.smoothness(flow, both, scale)
    if by == COMPLETE:
        return parts
    mask = logits.sigmoid()
    with torch.no_grad():
        still, moved = (selfsup.resized(positions(one).permute(0, 3, 1, 2), scale).permute(0, 2, 3, 1) for one in (rigid, complete))
    plane, _ = selfsup.ground_plane(where)
    return parts | {
        "smooth_mask": selfsup.smoothness(mask, both, scale), "sparsity": selfsup.sparsity(logits, still, moved, scale),
        "consistency": selfsup.consistency(own.repeat(2, 1, 1, 1), mask, flow, selfsup.resized(rigid, scale), scale),
        "ground": selfsup.above_ground(disparity, plane, intrinsics, scale)}
