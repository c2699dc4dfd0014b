"""From queries to maps: classes, panoptic segments and instances."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from kd_planner_ros.core.outputs import PER_CLASS, InstanceMasks

SCORE = 0.8
"""A query whose best class has less is no segment."""
KEPT = 0.8
"""A segment that keeps less than this share of its own mask is dropped."""
MOST = 150
"""Instances of one picture: the pairs of a query and a class with the highest scores."""


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


def segments(class_logits: Tensor, mask_logits: Tensor, things: np.ndarray, score: float = SCORE,
             size: tuple[int, int] | None = None) -> tuple[np.ndarray, dict[int, float]]:
    """Panoptic ids int32 [H, W] of one picture (``PER_CLASS``), 0 where no segment is, and the class probability of each thing.

    Args:
        class_logits: [Q, K + 1].
        mask_logits: [Q, h, w].
        things: bool [K]; segments of a class that is no thing are one.
        score: a query whose best class has less is no segment.
        size: rows and columns of the result; None: those of the masks.
    """
    height, width = size or tuple(mask_logits.shape[-2:])
    scores, classes = class_logits.softmax(-1).max(-1)
    keep = (classes != class_logits.shape[-1] - 1) & (scores > score)
    told: dict[int, float] = {}
    if not keep.any():
        return np.zeros((height, width), np.int32), told
    masks = upsampled(mask_logits[keep][None], height, width)[0].sigmoid()
    winner = (scores[keep][:, None, None] * masks).max(0).indices
    own = masks >= 0.5
    area = [int(np.count_nonzero(one)) for one in own.cpu().numpy()]  # torch adds truth values as 64-bit numbers
    shown = torch.where(own.gather(0, winner[None])[0], winner, len(masks)).cpu().numpy()  # the last number: of no query
    won = np.bincount(shown.ravel(), minlength=len(masks) + 1).tolist()
    table, numbers = np.zeros(len(masks) + 1, np.int32), np.zeros(len(things), np.int32)
    for query, (kind, chance) in enumerate(zip(classes[keep].tolist(), scores[keep].tolist(), strict=True)):
        if not won[query] or won[query] < KEPT * area[query]:
            continue
        table[query] = (kind + 1) * PER_CLASS + int(numbers[kind])
        if things[kind]:
            told[int(table[query])] = chance
        numbers[kind] += int(things[kind])
    return table[shown], told


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
