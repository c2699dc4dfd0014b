"""Scene flow and motion mask of the three-encoder teacher, equations 3 and 4 of the unified encoder's paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.scene_motion.config import Config
from kd_planner_ros.networks.unified_encoder.model import SCALES
from kd_planner_ros.networks.unified_encoder.selfsup import distillation, unit_ratio

OWN = ("metric", "matching", "aligned_pose", "ordered_pose", "rotation_scale", "logit_bound", "metres_per_unit")
"""Fields of the decoders: flow and mask mean the same whatever they are, and lengths are aligned where one network has learnt no metres."""


class SceneMotion(Distiller):
    """The student's flow and mask follow the teacher's, over scales.

    Args:
        metres: to a unit of the student.
        align: whether the teacher's lengths are scaled to the student's.
    """

    name = "scene_motion"

    def __init__(self, options: Config, metres: float, align: bool):
        super().__init__()
        self._options, self._metres, self._align = options, metres, align
        self._scales = SCALES[options.finest:]
        fields = [f"{kind}_{scale}" for scale in self._scales for kind in ("flow", "motion")]
        self.teacher_fields = (*fields, *(("depth",) if align else ()))

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``scene_motion``. A teacher that answers for more sources than the student has is heard for the first ones."""
        taught, count = {name: teachers[0][name] for name in self.teacher_fields}, len(student["flow"])
        ratio = None
        if self._align:
            own = unit_ratio(student["depth"].float(), taught["depth"])
            ratio = own.repeat(count // len(own))
        parts = [distillation(student[f"flow_{scale}"].float() / self._metres, student[f"motion_{scale}"].float().sigmoid(),
                              alike(taught[f"flow_{scale}"][:count], student[f"flow_{scale}"]) / self._metres,
                              taught[f"motion_{scale}"][:count].sigmoid(), ratio) for scale in self._scales]
        return {"scene_motion": self._options.gain * torch.stack(parts).mean()}

    def switches(self) -> dict[str, Any]:
        """gain, the finest scale, and whether lengths are aligned."""
        return {"gain": self._options.gain, "finest": self._options.finest, "align": self._align}


def alike(taught: Tensor, own: Tensor) -> Tensor:
    """``taught`` at the size of ``own``: the flow of a student that compares its pictures is whole at every scale."""
    same = taught.shape[-2:] == own.shape[-2:]
    return taught if same else interpolate(taught, size=own.shape[-2:], mode="bilinear", align_corners=False)


def build(context: MethodContext) -> SceneMotion:
    """The method for student and teacher.

    Raises:
        CardError: the teacher sees another picture, or gives one source where the student has two.
    """
    (teacher,), student = context.teachers, context.student
    if other := [name for name in teacher.differences(student) if name not in OWN]:
        raise CardError(f"a teacher with {', '.join(f'{name} {getattr(student, name)}' for name in other)}",
                        f"'{teacher.name}' with {', '.join(f'{name} {getattr(teacher.config, name)}' for name in other)}",
                        "give a teacher for this input and camera, or train the student with the teacher's")
    if teacher.config.metric and not student.metric:
        raise CardError("a teacher that has learnt from video, for a student that does", f"'{teacher.name}', which has learnt from labels",
                        "train the teacher with --unified_teacher.supervision self")
    return SceneMotion(context.options, student.metres_per_unit,
                       context.options.align and not (teacher.config.metric and student.metric))
