"""From queries to maps: classes, panoptic segments and instances."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from kd_planner_ros.core.outputs import InstanceMasks

SCORE = 0.8
"""A query whose best class has less is no segment."""
KEPT = 0.8
"""A segment that keeps less than this share of its own mask is dropped."""
MOST = 150
"""Instances of one picture: the pairs of a query and a class with the highest scores."""
PER_CLASS = 1000
"""Panoptic id: (class + 1) * 1000 + number of the segment within its class, from 0; 0 is no segment."""


def semantic(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Score of each class [B, K, h, w]: the queries' masks, weighted by their class probabilities.

    Args:
        class_logits: [B, Q, K + 1]; the last class is none.
        mask_logits: [B, Q, h, w].
    """
    return torch.einsum("bqk,bqhw->bkhw", class_logits.softmax(-1)[..., :-1], mask_logits.sigmoid())


def upsampled(logits: Tensor, height: int, width: int) -> Tensor:
    """Maps [B, C, h, w] at [B, C, height, width]."""
    return interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)


def panoptic(class_logits: Tensor, mask_logits: Tensor, things: np.ndarray, score: float = SCORE) -> np.ndarray:
    """The ids of ``segments``."""
    return segments(class_logits, mask_logits, things, score)[0]


def segments(class_logits: Tensor, mask_logits: Tensor, things: np.ndarray, score: float = SCORE) -> tuple[np.ndarray, dict[int, float]]:
    """Panoptic ids int32 [H, W] of one picture (``PER_CLASS``), 0 where no segment is, and the class probability of each thing.

    Args:
        class_logits: [Q, K + 1].
        mask_logits: [Q, H, W] at the size of the result.
        things: bool [K]; segments of a class that is no thing are one.
    """
    scores, classes = class_logits.softmax(-1).max(-1)
    keep = (classes != class_logits.shape[-1] - 1) & (scores > score)
    found = np.zeros(mask_logits.shape[-2:], np.int32)
    told: dict[int, float] = {}
    if not keep.any():
        return found, told
    masks = mask_logits[keep].sigmoid()
    winner = (scores[keep][:, None, None] * masks).max(0).indices.cpu().numpy()
    own = (masks >= 0.5).cpu().numpy()
    numbers = np.zeros(len(things), np.int32)
    sure = scores[keep].tolist()
    for query, kind in enumerate(classes[keep].tolist()):
        won = (winner == query) & own[query]
        if not won.any() or won.sum() < KEPT * own[query].sum():
            continue
        number = (kind + 1) * PER_CLASS + int(numbers[kind])
        found[won] = number
        if things[kind]:
            told[number] = sure[query]
        numbers[kind] += int(things[kind])
    return found, told


def instances_of(ids: np.ndarray, things: np.ndarray) -> np.ndarray:
    """The panoptic ``ids`` int32 [H, W] of things, 0 elsewhere."""
    table = np.concatenate([[False], things])
    return np.where(table[np.minimum(ids // PER_CLASS, len(things))], ids, 0).astype(np.int32)


def instance_masks(class_logits: Tensor, mask_logits: Tensor, things: np.ndarray, most: int = MOST) -> InstanceMasks:
    """The instances of one picture by the rule of OneFormer: the ``most`` best pairs of a query and a class, those of things; the score is
    the class probability times the mean probability inside the mask. Masks overlap; one without a pixel is left out.

    Args:
        class_logits: [Q, K + 1].
        mask_logits: [Q, H, W] at the size of the result.
        things: bool [K].
    """
    chance = class_logits.softmax(-1)[:, :-1]
    best = chance.flatten().topk(min(most, chance.numel())).indices
    query, kind = best // chance.shape[1], best % chance.shape[1]
    inside = mask_logits > 0.0
    area = inside.flatten(1).sum(1)
    sure = (mask_logits.sigmoid() * inside).flatten(1).sum(1) / area.clamp(min=1)
    kept = torch.from_numpy(things).to(kind.device)[kind] & (area[query] > 0)
    query, kind = query[kept], kind[kept]
    scores = (chance[query, kind] * sure[query]).double()
    return InstanceMasks(inside.cpu().numpy(), *(one.cpu().numpy() for one in (query, kind, scores)))
