"""AT: attention transfer on the stage maps (Zagoruyko and Komodakis, ICLR 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kd_planner_ros.distill.maps import stage_of, stage_pairs, stage_widths
from kd_planner_ros.distill.methods.at.loss import GAMMA, activation_loss
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth


class ActivationTransfer(Distiller):
    """AT on every pair of stages. ``student`` and ``teacher`` are the stages' widths."""

    name = "at"
    reads_features = True

    def __init__(self, student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        self.pairs = stage_pairs(len(student), len(teacher))
        self.teacher_fields = tuple(f"energy_stage{stage}" for _, stage in self.pairs)

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``activation``."""
        ours = [stage_of(student, stage) for stage, _ in self.pairs]
        return {"activation": activation_loss(ours, [teachers[0][name].float() for name in self.teacher_fields])}

    def switches(self) -> dict[str, Any]:
        """gamma."""
        return {"gamma": GAMMA}


def build(context: MethodContext) -> ActivationTransfer:
    """AT for the stages of student and teacher."""
    return ActivationTransfer(stage_widths(context.network, context.student), stage_widths(context.network, context.teachers[0].config))
