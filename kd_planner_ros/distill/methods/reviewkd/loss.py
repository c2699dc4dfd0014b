"""ReviewKD: each stage of the teacher is matched by the fused features of the student's same and deeper stages.

Source: Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021, sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

MID = 512
POOLS = ((4, 0.5), (2, 0.25), (1, 0.125))
"""Pooled sizes of the hierarchical context loss and their weights."""


class Fusion(nn.Module):
    """Attention-based fusion of one student stage with what comes from the deeper ones."""

    def __init__(self, width_in: int, mid: int, width_out: int, deepest: bool):
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(width_in, mid, 1, bias=False), nn.BatchNorm2d(mid))
        self.gates = None if deepest else nn.Sequential(nn.Conv2d(2 * mid, 2, 1), nn.Sigmoid())
        self.leave = nn.Sequential(nn.Conv2d(mid, width_out, 3, 1, 1, bias=False), nn.BatchNorm2d(width_out))

    def forward(self, stage: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """(map of the teacher's width [B, width_out, h, w], the fused map [B, mid, h, w] to pass on)."""
        fused = self.enter(stage)
        if self.gates is not None and deeper is not None:
            deeper = functional.interpolate(deeper, fused.shape[2:], mode="nearest")
            gates = self.gates(torch.cat([fused, deeper], 1))
            fused = fused * gates[:, :1] + deeper * gates[:, 1:]
        return self.leave(fused), fused


class Review(nn.Module):
    """The review mechanism over all stages.

    Args:
        student, teacher: widths of the matched stages, shallow to deep.
    """

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        mid = min(MID, student[-1])
        last = len(student) - 1
        self.fusions = nn.ModuleList(
            [Fusion(ours, mid, theirs, stage == last) for stage, (ours, theirs) in enumerate(zip(student, teacher, strict=True))])

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the teacher's widths, shallow to deep, from the student's ``stages`` [B, C_i, h_i, w_i]."""
        out: list[Tensor] = []
        deeper: Tensor | None = None
        for stage, fusion in zip(reversed(stages), reversed(self.fusions), strict=True):
            mapped, deeper = fusion(stage, deeper)
            out.insert(0, mapped)
        return out


def context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Hierarchical context loss of two maps [B, C, h, w], a scalar: the weighted mean of the squared errors of the whole
    maps and of those pooled to 4 x 4, 2 x 2 and 1 x 1; sizes that are not smaller than the map are left out."""
    teacher = teacher.detach()
    total, weights = functional.mse_loss(student, teacher), 1.0
    for size, weight in POOLS:
        if size < min(student.shape[2:]):
            pooled = (functional.adaptive_avg_pool2d(one, size) for one in (student, teacher))
            total, weights = total + weight * functional.mse_loss(*pooled), weights + weight
    return total / weights
