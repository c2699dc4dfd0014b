"""DPK: dynamic prior knowledge on the deepest stage maps (Qiu et al., ICLR 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kd_planner_ros.distill.maps import stage_of, stage_pairs, stage_widths, views
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.dpk.loss import DynamicPrior

PRIOR_WEIGHT = 1.0
PRIOR_STAGES = 2
"""How many of the last stages DPK teaches."""


class DynamicPriorKD(Distiller):
    """DPK on the last two pairs of stages."""

    name = "dpk"
    reads_features = True

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        self.pairs = stage_pairs(len(student), len(teacher))[-PRIOR_STAGES:]
        self.priors = nn.ModuleList([DynamicPrior(student[i - 1], teacher[j - 1]) for i, j in self.pairs])
        self.teacher_fields = tuple(f"stage{stage}" for _, stage in self.pairs)

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``prior``."""
        total = sum(prior(views(stage_of(student, stage)), views(teachers[0][name]))
                    for prior, (stage, _), name in zip(self.priors, self.pairs, self.teacher_fields, strict=True))
        return {"prior": PRIOR_WEIGHT * total}

    def report(self) -> dict[str, Tensor]:
        """The share of the student's own cells at the deepest stage."""
        return {"own_share": self.priors[-1].share.detach().clone()}

    def switches(self) -> dict[str, Any]:
        """The weight and how many stages."""
        return {"weight": PRIOR_WEIGHT, "stages": len(self.pairs)}


def build(context: MethodContext) -> DynamicPriorKD:
    """DPK for the stages of student and teacher."""
    return DynamicPriorKD(stage_widths(context.network, context.student), stage_widths(context.network, context.teachers[0].config))
