"""The losses of learning from exact labels: depth, segmentation, pose, flow and motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, interpolate, one_hot, smooth_l1_loss

from kd_planner_ros.networks.unified_encoder.config import VOID
from kd_planner_ros.networks.unified_encoder.depth import depth_of
from kd_planner_ros.networks.unified_encoder.geometry import points, projected
from kd_planner_ros.networks.unified_encoder.model import SCALES
from kd_planner_ros.networks.unified_encoder.panoptic import semantic

SEGMENTATION = ("class", "mask", "dice")
COMPOSED = "semantic"
"""Of the class map that all queries make together; an addition to OneFormer's losses."""
WEIGHTS = {"depth": 10.0, "class": 2.0, "mask": 5.0, "dice": 5.0, COMPOSED: 5.0, "rotation": 30.0, "translation": 5.0, "flow": 10.0,
           "flow_moving": 10.0, "flow_pixels": 0.3, "motion": 2.0}
"""Those of the segmentation are OneFormer's. An absolute error of the pose pulls at the encoder as hard when it is small: with 100 and 10
it was next to depth after 120 steps."""
SEGMENTATION_SHARE = 0.5
"""Of OneFormer's sums over its layers, when learning from truth. Whole sums were 54 of 77 at the start: the encoder learned for them
alone; a quarter was the smallest pull but the motion mask's after 120 steps."""
NEAREST_MOVED_M = 0.5
"""A point that the true flow brings nearer to the camera has no place in the picture before."""
NEAREST_M, FARTHEST_M = 1.0, 90.0
"""Depth is taught between these limits; the sky counts as the farthest."""


def full_size(field: Tensor, size: tuple[int, ...]) -> Tensor:
    """A field [B, C, h, w] at ``size`` (rows, columns), bilinear."""
    return interpolate(field.float(), size=tuple(size[-2:]), mode="bilinear", align_corners=False)


def depth_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], metres: float) -> Tensor:
    """Mean absolute difference of the logarithms of depth, over all pixels and scales."""
    wanted = targets["depth"].clamp(NEAREST_M, FARTHEST_M).log()
    found = [(metres * depth_of(full_size(outputs[f"disparity_{scale}"], wanted.shape)[:, 0])).log() for scale in SCALES]
    return torch.stack([(one - wanted).abs().mean() for one in found]).mean()


def pose_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean absolute errors a component: ``rotation`` in radians, ``translation`` in metres."""
    error = (outputs["pose"].float() - targets["pose"]).abs()
    return {"rotation": error[:, :3].mean(), "translation": error[:, 3:].mean()}


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean of ``values`` over the places of ``where`` (bool, same shape); 0 where there is none."""
    return (values * where).sum() / where.sum().clamp(min=1)


def flow_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean absolute error of the complete flow a component, metres, over scales: ``flow`` over all known pixels, ``flow_moving``
    over those of moving objects, which are few."""
    known = targets["flow_known"]
    errors = [(full_size(outputs[f"flow_{scale}"], known.shape) - targets["flow"]).abs().mean(1) for scale in SCALES]
    moving = known & targets["moving"]
    return {"flow": torch.stack([mean_where(one, known) for one in errors]).mean(),
            "flow_moving": torch.stack([mean_where(one, moving) for one in errors]).mean()}


def pixel_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], intrinsics: Tensor) -> Tensor:
    """Error of where the points of moving objects were in the picture before, by the complete flow: Huber over pixels, mean over
    components and scales.

    An error across the line of sight changes the place in the picture, one along it hardly does, and a metre far away is less than a pixel:
    this part weighs the flow as a warp of the picture does. Points come from the true depth.

    Args:
        intrinsics: of the picture [B, 3, 3].
    """
    where, (height, width) = points(targets["depth"].clamp(min=NEAREST_MOVED_M), intrinsics), targets["depth"].shape[-2:]
    half = where.new_tensor([width - 1.0, height - 1.0]) / 2.0
    wanted = where + targets["flow"]
    moving = targets["flow_known"] & targets["moving"] & (wanted[:, 2] > NEAREST_MOVED_M)
    true = half * projected(wanted, intrinsics)

    def error(scale: int) -> Tensor:
        found = where + full_size(outputs[f"flow_{scale}"], moving.shape)
        ahead = torch.cat([found[:, :2], found[:, 2:].clamp(min=NEAREST_MOVED_M)], 1)
        return smooth_l1_loss(half * projected(ahead, intrinsics), true, reduction="none").mean(-1)

    return torch.stack([mean_where(error(scale), moving) for scale in SCALES]).mean()


def motion_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Cross entropy and dice of the motion mask, mean over scales; dice over the batch: a picture may have nothing that moves.

    Few pixels in a thousand move. Where both kinds count alike the mask is right at one half for a pixel that moves as rarely as that, and
    sixteen of seventeen pixels in it stand still. Plain cross entropy makes it a probability, and dice keeps it from being empty.
    """
    moving, known = targets["moving"], targets["moving_known"]
    parts = []
    for scale in SCALES:
        logits = full_size(outputs[f"motion_{scale}"], moving.shape)[:, 0]
        each = binary_cross_entropy_with_logits(logits, moving.float(), reduction="none")
        found = logits.sigmoid() * known
        dice = 1.0 - (2.0 * (found * moving).sum() + 1.0) / (found.sum() + moving.sum() + 1.0)
        parts.append(mean_where(each, known) + dice)
    return torch.stack(parts).mean()


def semantic_loss(outputs: Mapping[str, Tensor], classes: Tensor, whole: Tensor) -> Tensor:
    """Cross entropy of the class map that the queries make together, at the size of the masks; 0 where ``whole`` has no sample.

    A query learns from the set criterion only where it was matched, and a match says little while masks are poor; through the map every
    query learns at every pixel from the first step. A label is the share of each class in a pixel of the masks, so that thin lines and
    poles count. A class weighs 1 / sqrt(its share of the batch).

    Args:
        classes: class ids [B, H, W], long, ``VOID`` unknown.
        whole: bool [B]: samples whose task names every pixel, which that of instances does not.
    """
    scores = semantic(outputs["class_logits"].float(), outputs["mask_logits"].float())[whole]
    if not len(scores):
        return outputs["mask_logits"].sum() * 0.0
    count, taught = scores.shape[1], classes[whole]
    each = one_hot(torch.where(taught == VOID, count, taught), count + 1)[..., :count].permute(0, 3, 1, 2).float()
    share = adaptive_avg_pool2d(each, (scores.shape[-2], scores.shape[-1]))
    total = share.sum((0, 2, 3))
    weight = total.clamp(min=1.0).rsqrt()
    chance = scores / scores.sum(1, keepdim=True).clamp(min=1e-6)
    surprise = -(share * chance.clamp(min=1e-6).log()).sum((0, 2, 3))
    return (weight * surprise).sum() / (weight * total).sum().clamp(min=1e-6)


def truth_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], intrinsics: Tensor, metres: float,
                 weights: Mapping[str, float], segmentation: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Every part of the loss by name, unweighted; ``segmentation`` is asked only where one of its parts has a weight."""
    parts = {"depth": depth_loss(outputs, targets, metres), **pose_losses(outputs, targets), **flow_losses(outputs, targets),
             "flow_pixels": pixel_loss(outputs, targets, intrinsics), "motion": motion_loss(outputs, targets)}
    return parts | (dict(segmentation()) if any(weights.get(name, 0.0) for name in (*SEGMENTATION, COMPOSED)) else {})


def weighted(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of the parts that have a weight."""
    return torch.stack([weights[name] * part for name, part in parts.items() if weights.get(name, 0.0)]).sum()
