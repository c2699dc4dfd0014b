"""ReviewKD: knowledge review on the stage maps (Chen et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kd_planner_ros.distill.maps import stage_of, stage_pairs, stage_widths, views
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.reviewkd.loss import Review, context_loss

REVIEW_WEIGHT = 1.0


class ReviewKD(Distiller):
    """ReviewKD on every pair of stages; its weight rises linearly over the first epoch."""

    name = "reviewkd"
    reads_features = True

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        self.pairs = stage_pairs(len(student), len(teacher))
        self.review = Review([student[i - 1] for i, _ in self.pairs], [teacher[j - 1] for _, j in self.pairs])
        self.teacher_fields = tuple(f"stage{stage}" for _, stage in self.pairs)

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``review``."""
        ours = list(zip(*(views(stage_of(student, stage)) for stage, _ in self.pairs), strict=True))  # one tuple of stages a view
        theirs = list(zip(*(views(teachers[0][name]) for name in self.teacher_fields), strict=True))
        total = sum(context_loss(mapped, target) for stages, targets in zip(ours, theirs, strict=True)
                    for mapped, target in zip(self.review(stages), targets, strict=True))
        return {"review": REVIEW_WEIGHT * min(max(epoch, 0.0), 1.0) * total}

    def switches(self) -> dict[str, Any]:
        """The weight and its warm-up in epochs."""
        return {"weight": REVIEW_WEIGHT, "warm_up_epochs": 1.0}


def build(context: MethodContext) -> ReviewKD:
    """ReviewKD for the stages of student and teacher."""
    return ReviewKD(stage_widths(context.network, context.student), stage_widths(context.network, context.teachers[0].config))
