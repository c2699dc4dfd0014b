"""The self-supervised loss of a triplet: every term of ``selfsup`` over four scales and both sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from kd_planner_ros.networks.unified_encoder import selfsup
from kd_planner_ros.networks.unified_encoder.depth import depth_of
from kd_planner_ros.networks.unified_encoder.geometry import final_flow, points, projected, rigid_flow, sampled, transform
from kd_planner_ros.networks.unified_encoder.loss import full_size
from kd_planner_ros.networks.unified_encoder.model import SCALES

WEIGHTS = {"reconstruction": 1.0, "smooth_disparity": 1e-3, "smooth_flow": 1e-3, "smooth_mask": 0.1, "consistency": 5.0, "sparsity": 0.1,
           "ground": 0.1}
RAMPED = ("smooth_flow", "smooth_mask", "consistency", "sparsity")
"""Terms that grow from 0 in the first third of a stage."""
RECORDED, RIGID, COMPLETE, FINAL = "recorded", "rigid", "complete", "final"
"""What pictures are warped by: the recorded motion of the camera (then the picture before alone, whose motion a sample holds), the motion
that the network says, the complete flow, or the final flow, which the mask puts together."""


@dataclass(frozen=True)
class Comparison:
    """How warped pictures are compared with the target.

    Attributes:
        sizes: at 1, 1/2 and so on of the picture's height and width, so many; the mean of all counts. 1: as published. A point near the
            car moves by a dozen pixels of a picture of 64x192, and blurred pictures alone say from there which way is better.
        auto_mask: whether in the first stage a pixel that fits better unwarped teaches nothing, as published. Before depth and pose are
            known most pixels of a driving car are of that kind.
        guarded: whether the ground's term counts only where a plane is sure to be the ground (``is_ground``), and the term that holds the
            complete flow to the rigid one teaches the complete flow alone. Published, both pull at depth and pose while these are poor.
    """

    sizes: int = 4
    auto_mask: bool = False
    guarded: bool = True


PUBLISHED = Comparison(1, True, False)
SURE_GROUND = 0.6
"""Share of the lower rows' points that lie on a plane which is taken for the ground."""
STEEPEST = 0.3
"""Slope of a plane which is taken for the ground. That of a nearly flat depth stands upright before the camera."""


def video_losses(outputs: Mapping[str, Tensor], pictures: Tensor, intrinsics: Tensor, metres: float, by: str = FINAL,
                 comparison: Comparison = Comparison(), recorded: Tensor | None = None) -> dict[str, Tensor]:
    """Every term that ``by`` allows, unweighted, means over scales and sources.

    Args:
        outputs: of the network for a target and two sources; RECORDED and RIGID read neither flow nor motion.
        pictures: before, target and after, RGB in [0, 1], not augmented [B, 3, 3, H, W].
        intrinsics: [B, 3, 3].
        metres: of the outputs' metres to a unit.
        by: RECORDED, RIGID, COMPLETE or FINAL.
        comparison: how warped pictures are compared.
        recorded: motion from the target to the picture before [B, 6], radians and metres; RECORDED alone reads it.
    """
    if by == RECORDED:
        assert recorded is not None, "a warp by the recorded motion has one"
        outputs = {**outputs, "pose": recorded}
    triplet = Triplet(pictures, intrinsics, by, comparison)
    scales = [_scale(outputs, triplet, metres, scale) for scale in SCALES]
    return {name: torch.stack([one[name] for one in scales]).mean() for name in scales[0]}


class _Size:
    """The pictures at 1 / 2^level of their size."""

    def __init__(self, target: Tensor, sources: Tensor, level: int, auto_mask: bool):
        self._level = level
        self._target, self._sources = self._smaller(target), self._smaller(sources)
        self._count = len(sources) // len(target)
        self._local = selfsup.local(self._target)
        self._still = self._errors(self._sources) if auto_mask else []

    def reconstruction(self, positions: Tensor) -> Tensor:
        """``selfsup.reconstruction`` of the sources at ``positions`` [S B, 2, H, W]."""
        return selfsup.reconstruction(self._errors(sampled(self._sources, self._smaller(positions).permute(0, 2, 3, 1))), self._still)

    def _smaller(self, maps: Tensor) -> Tensor:
        return avg_pool2d(maps, 2 ** self._level) if self._level else maps

    def _errors(self, sources: Tensor) -> list[Tensor]:
        return [selfsup.photometric(one, self._target, self._local) for one in sources.chunk(self._count)]


class Triplet:
    """The target and its sources, and what every scale compares with them."""

    def __init__(self, pictures: Tensor, intrinsics: Tensor, by: str, comparison: Comparison):
        shown = (0,) if by == RECORDED else (0, 2)
        self.target, sources, self.count = pictures[:, 1].contiguous(), torch.cat([pictures[:, number] for number in shown]), len(shown)
        self.intrinsics, self.each, self.by, self.guarded = intrinsics, intrinsics.repeat(self.count, 1, 1), by, comparison.guarded
        self._sizes = [_Size(self.target, sources, level, comparison.auto_mask and by == RIGID) for level in range(comparison.sizes)]

    def reconstruction(self, positions: Tensor) -> Tensor:
        """The mean over sizes of ``selfsup.reconstruction`` of the sources at ``positions`` [S B, H, W, 2]."""
        places = positions.permute(0, 3, 1, 2)
        return torch.stack([size.reconstruction(places) for size in self._sizes]).mean()


def _scale(outputs: Mapping[str, Tensor], triplet: Triplet, metres: float, scale: int) -> dict[str, Tensor]:
    target, by = triplet.target, triplet.by
    pose = outputs["pose"].float()
    own = outputs[f"disparity_{scale}"].float()
    disparity = full_size(own, target.shape)
    where = points(depth_of(disparity)[:, 0], triplet.intrinsics)
    each = where.repeat(triplet.count, 1, 1, 1)
    rigid = rigid_flow(transform(torch.cat([pose[:, :3], pose[:, 3:] / metres], 1)), each)
    image = selfsup.resized(target, scale)
    parts = {"smooth_disparity": selfsup.disparity_smoothness(own, image, scale)}

    def positions(moved: Tensor) -> Tensor:
        return projected(each + moved, triplet.each)

    if by in (RECORDED, RIGID):
        return {"reconstruction": triplet.reconstruction(positions(rigid)), **parts}
    flow, logits = outputs[f"flow_{scale}"].float() / metres, outputs[f"motion_{scale}"].float()
    complete = full_size(flow, target.shape)
    parts["smooth_flow"] = selfsup.smoothness(flow, image.repeat(2, 1, 1, 1), scale)
    if by == COMPLETE:
        return {"reconstruction": triplet.reconstruction(positions(complete)), **parts}
    chosen = final_flow(rigid, complete, full_size(logits, target.shape).sigmoid())
    with torch.no_grad():
        still, moved = (selfsup.resized(positions(one).permute(0, 3, 1, 2), scale).permute(0, 2, 3, 1) for one in (rigid, complete))
    plane, share = selfsup.ground_plane(where)
    counts = is_ground(plane, share) if triplet.guarded else None
    held = selfsup.resized(rigid.detach() if triplet.guarded else rigid, scale)
    mask = logits.sigmoid()
    return {"reconstruction": triplet.reconstruction(positions(chosen)), **parts,
            "smooth_mask": selfsup.smoothness(mask, image.repeat(2, 1, 1, 1), scale),
            "sparsity": selfsup.sparsity(logits, still, moved, scale),
            "consistency": selfsup.consistency(own.repeat(2, 1, 1, 1), mask, flow, held, scale),
            "ground": selfsup.above_ground(disparity, plane, triplet.intrinsics, scale, counts)}


def is_ground(plane: Tensor, share: Tensor) -> Tensor:
    """Which planes [B, 3] and shares [B] of ``selfsup.ground_plane`` are sure to be the ground's, bool [B]: the others pull points up to
    where nothing is, and depth becomes flat."""
    return (share > SURE_GROUND) & (plane[:, :2].norm(dim=1) < STEEPEST) & (plane[:, 2] > 0.0)
