"""The distillers PlanKD is compared with: AT, ReviewKD and DPK, on the same stage maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kd_planner_ros.distill.losses.activation import GAMMA, activation_loss
from kd_planner_ros.distill.losses.maps import stage_of, stage_pairs, views
from kd_planner_ros.distill.losses.prior import DynamicPrior
from kd_planner_ros.distill.losses.review import Review, context_loss
from kd_planner_ros.distill.methods.base import Answers, Distiller, Outputs, Truth

REVIEW_WEIGHT, PRIOR_WEIGHT = 1.0, 1.0
PRIOR_STAGES = 2
"""How many of the last stages DPK teaches."""


class ActivationTransfer(Distiller):
    """AT on every pair of stages. ``student`` and ``teacher`` are the stages' widths."""

    name = "at"
    reads_features = True

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        self.pairs = stage_pairs(len(student), len(teacher))
        self.teacher_fields = tuple(f"energy_stage{stage}" for _, stage in self.pairs)

    def losses(self, student: Outputs, teacher: Answers, truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``activation``."""
        ours = [stage_of(student, stage) for stage, _ in self.pairs]
        return {"activation": activation_loss(ours, [teacher[name].float() for name in self.teacher_fields])}

    def switches(self) -> dict[str, Any]:
        """gamma."""
        return {"gamma": GAMMA}


class ReviewKD(Distiller):
    """ReviewKD on every pair of stages; its weight rises linearly over the first epoch."""

    name = "reviewkd"
    reads_features = True

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        self.pairs = stage_pairs(len(student), len(teacher))
        self.review = Review([student[i - 1] for i, _ in self.pairs], [teacher[j - 1] for _, j in self.pairs])
        self.teacher_fields = tuple(f"stage{stage}" for _, stage in self.pairs)

    def losses(self, student: Outputs, teacher: Answers, truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``review``."""
        ours = list(zip(*(views(stage_of(student, stage)) for stage, _ in self.pairs)))  # one tuple of stages a view
        theirs = list(zip(*(views(teacher[name]) for name in self.teacher_fields)))
        total = sum(context_loss(mapped, target) for stages, targets in zip(ours, theirs, strict=True)
                    for mapped, target in zip(self.review(stages), targets, strict=True))
        return {"review": REVIEW_WEIGHT * min(max(epoch, 0.0), 1.0) * total}

    def switches(self) -> dict[str, Any]:
        """The weight and its warm-up in epochs."""
        return {"weight": REVIEW_WEIGHT, "warm_up_epochs": 1.0}


class DynamicPriorKD(Distiller):
    """DPK on the last two pairs of stages."""

    name = "dpk"
    reads_features = True

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        self.pairs = stage_pairs(len(student), len(teacher))[-PRIOR_STAGES:]
        self.priors = nn.ModuleList([DynamicPrior(student[i - 1], teacher[j - 1]) for i, j in self.pairs])
        self.teacher_fields = tuple(f"stage{stage}" for _, stage in self.pairs)

    def losses(self, student: Outputs, teacher: Answers, truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``prior``."""
        total = sum(prior(views(stage_of(student, stage)), views(teacher[name]))
                    for prior, (stage, _), name in zip(self.priors, self.pairs, self.teacher_fields))
        return {"prior": PRIOR_WEIGHT * total}

    def report(self) -> dict[str, Tensor]:
        """The share of the student's own cells at the deepest stage."""
        return {"own_share": self.priors[-1].share.detach().clone()}

    def switches(self) -> dict[str, Any]:
        """The weight and how many stages."""
        return {"weight": PRIOR_WEIGHT, "stages": len(self.pairs)}
