"""Options of DistillDrive's distillation: the teacher's planning instances, its distribution, its trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHARED_INPUTS = False
"""The teacher reads the scene, the student its cameras."""


@dataclass(frozen=True)
class Config:
    """The method's options. The repository's weights are the defaults; the paper's figure shows the other two terms as well."""

    instance_weight: float = field(default=0.5, metadata={
        "help": "weight of the difference between the eighteen planning instances, through an adapter on the student's side", "low": 0.0})
    distribution_weight: float = field(default=0.0, metadata={
        "help": "weight of KL(teacher || student) of the eighteen scores; the paper's figure shows it, the repository's weight is 0; try "
        "0.1", "low": 0.0})
    trajectory_weight: float = field(default=0.0, metadata={
        "help": "weight of the mean absolute difference of the eighteen trajectories, step by step; as distribution_weight; try 0.1",
        "low": 0.0})
    vocabulary_weight: float = field(default=0.0, metadata={
        "help": "weight of the difference between the encoded vocabularies, before the planner's blocks; the repository's weight is 0",
        "low": 0.0})
    of_command: bool = field(default=False, metadata={"help": "distil the six trajectories of the route's command alone"})


def accepts(student: str, teachers: Sequence[str]) -> str:
    """What the method expects of student and teachers; "" where they fit."""
    fits = student == "distilldrive" and list(teachers) == ["distilldrive_teacher"]
    return "" if fits else "one teacher of network 'distilldrive_teacher', and a student of network 'distilldrive'"
