"""DistillDrive's distillation (its section 4 and ``motion_planning_head`` of the repository): trajectory k of the student learns from
trajectory k of the teacher, which begins with the same anchor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.instance_imitation.config import Config
from kd_planner_ros.networks.distilldrive.config import COMMANDS
from kd_planner_ros.networks.distilldrive.plan_loss import of_command

VOCABULARY = ("planner.plan_anchors", "planner.motion_anchors")
_FIELDS = {"instance_weight": "queries", "distribution_weight": "scores", "trajectory_weight": "offsets", "vocabulary_weight": "words"}


class InstanceImitation(Distiller):
    """The student's eighteen instances, scores and trajectories follow the teacher's, each its own.

    Args:
        width: of an instance.
        vocabulary: the teacher's anchors by their names in the network.
    """

    name = "instance_imitation"

    def __init__(self, options: Config, width: int, vocabulary: Mapping[str, Tensor]):
        super().__init__()
        self._options, self._vocabulary = options, dict(vocabulary)
        self.adapter = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.teacher_fields = tuple(dict.fromkeys((*(name for weight, name in _FIELDS.items() if getattr(options, weight)), "queries")))
        self._by_command: dict[str, Tensor] = {}

    def buffers(self) -> Mapping[str, Tensor]:
        """The teacher's vocabulary."""
        return self._vocabulary

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``instances``, ``distribution``, ``trajectories`` and ``words``, those whose weight is not 0."""
        options, teacher, command = self._options, teachers[0], truth["command"]

        def chosen(values: Any) -> Tensor:
            return of_command(values, command) if options.of_command else values

        mine, theirs = self.adapter(student["queries"].float()), teacher["queries"]
        terms = {"instances": options.instance_weight * mse_loss(chosen(mine), chosen(theirs))}
        apart = (of_command(mine, command) - of_command(theirs, command)).square().detach()
        self._by_command = {f"instances_{name}": apart[command == row].mean() for row, name in enumerate(COMMANDS)
                            if bool((command == row).any())}
        if options.distribution_weight:
            wanted, found = (chosen(one.get("imitation", one["scores"]).float()).log_softmax(-1) for one in (teacher, student))
            terms["distribution"] = options.distribution_weight * (wanted.exp() * (wanted - found)).sum(-1).mean()
        if options.trajectory_weight:
            ways = chosen(student["offsets"].float()) - chosen(teacher["offsets"])
            terms["trajectories"] = options.trajectory_weight * ways.abs().mean()
        if options.vocabulary_weight:
            terms["words"] = options.vocabulary_weight * mse_loss(chosen(student["words"].float()), chosen(teacher["words"]))
        return terms

    def report(self) -> dict[str, Tensor]:
        """The instances' difference by command."""
        return self._by_command

    def switches(self) -> dict[str, Any]:
        """Every weight, and whether one command's trajectories are distilled."""
        return {**{name: getattr(self._options, name) for name in _FIELDS}, "of_command": self._options.of_command}


def build(context: MethodContext) -> InstanceImitation:
    """The method for student and teacher.

    Raises:
        CardError: the teacher has other trajectories or instances than the student.
    """
    (teacher,), student = context.teachers, context.student
    for name, own, other in (("size", student.size, teacher.config.size), ("horizon_s", student.horizon_s, teacher.config.horizon_s)):
        if own != other:
            raise CardError(f"a teacher with {name} {own}", f"'{teacher.name}' with {other}",
                            f"train the student with the teacher's {name.replace('_', '-')}, or give another teacher")
    buffers = dict(teacher.model.named_buffers())
    return InstanceImitation(context.options, student.spec.width, {name: buffers[name].detach().clone() for name in VOCABULARY})
