"""The mean absolute difference between the student's depth and the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kd_planner_ros.distill.methods.base import Distiller, MethodContext


class Mimic(Distiller):
    """One term, ``mimic``."""

    name = "stranger_mimic"
    teacher_fields = ("depth",)

    def __init__(self, weight: float):
        super().__init__()
        self.weight = weight

    def losses(self, student: Mapping[str, Tensor], teachers: Sequence[Mapping[str, Any]], truth: Mapping[str, Tensor],
               epoch: float) -> dict[str, Tensor]:
        return {"mimic": self.weight * (student["depth"].float() - teachers[0]["depth"].float()).abs().mean()}


def build(context: MethodContext) -> Mimic:
    return Mimic(context.options.weight)
