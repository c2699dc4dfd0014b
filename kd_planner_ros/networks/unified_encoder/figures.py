"""Validation figures of every decoder, as sums and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from kd_planner_ros.networks.training import Score
from kd_planner_ros.networks.unified_encoder.config import VOID
from kd_planner_ros.networks.unified_encoder.panoptic import semantic, upsampled

SCORED_M = 60.0
"""Depth is scored up to this distance."""


def dense_figures(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], classes: tuple[str, ...]) -> dict[str, Score]:
    """abs_rel (mean |d - t| / t to 60 m), iou_CLASS (pooled; 0 for a class that never appears), rotation_deg and translation_m
    (mean lengths of the errors), flow_static_m and flow_moving_m (mean end point errors), motion_iou (at 0.5)."""
    return {**_depth(outputs, targets), **_classes(outputs, targets, classes), **_pose(outputs, targets), **_motion(outputs, targets)}


def in_metres(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``outputs`` of arbitrary unit with depth, translation and flow scaled, each sample by the ratio of the medians of true and found
    depth to 60 m; of two sources the first one's."""
    depth, truth = outputs["depth"].float(), targets["depth"]
    known = (truth > 0.0) & (truth <= SCORED_M)
    ratio = torch.stack([true[where].median() / found[where].median() if where.any() else true.new_ones(())
                         for true, found, where in zip(truth, depth, known, strict=True)])
    pose, count = outputs["pose"][:len(depth)].float(), len(depth)
    return dict(outputs) | {
        "depth": depth * ratio[:, None, None], "pose": torch.cat([pose[:, :3], pose[:, 3:] * ratio[:, None]], 1),
        "flow": outputs["flow"][:count].float() * ratio[:, None, None, None], "motion": outputs["motion"][:count]}


def _depth(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
    truth = targets["depth"]
    known = (truth > 0.0) & (truth <= SCORED_M)
    error = (outputs["depth"].float() - truth).abs() / truth.clamp(min=1e-3)
    return {"abs_rel": (float(error[known].sum()), float(known.sum()))}


def _classes(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Score]:
    truth = targets["classes"]
    scores = semantic(outputs["class_logits"].float(), outputs["mask_logits"].float())
    found, known = upsampled(scores, *truth.shape[-2:]).argmax(1), truth != VOID
    out = {}
    for kind, name in enumerate(names):
        said, is_there = (found == kind) & known, truth == kind
        out[f"iou_{name.split('+')[0].lower()}"] = float((said & is_there).sum()), float((said | is_there).sum())
    return out


def _pose(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
    error = (outputs["pose"].float() - targets["pose"])[targets["pose"].isfinite().all(1)]
    count = float(len(error))
    return {"rotation_deg": (math.degrees(float(error[:, :3].norm(dim=1).sum())), count),
            "translation_m": (float(error[:, 3:].norm(dim=1).sum()), count)}


def _motion(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
    error = (outputs["flow"].float() - targets["flow"]).norm(dim=1)
    known, moving = targets["flow_known"], targets["moving"]
    said = (outputs["motion"] > 0.0) & targets["moving_known"]

    def over(where: Tensor) -> Score:
        return float(torch.where(where, error, torch.zeros_like(error)).sum()), float(where.sum())

    return {"flow_static_m": over(known & ~moving), "flow_moving_m": over(known & moving),
            "motion_iou": (float((said & moving).sum()), float((said | moving).sum()))}
