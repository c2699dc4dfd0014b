"""Options of distillation on the scores of the next token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

NETWORKS = ("v2x_vlm",)
"""Networks whose answers are tokens."""


@dataclass(frozen=True)
class Config:
    """The method's options."""

    weight: float = field(default=0.5, metadata={"help": "weight of the divergence between the teacher's and the student's next tokens",
                                                 "above": 0.0})
    temperature: float = field(default=2.0, metadata={"help": "both networks' scores are divided by it", "above": 0.0})
    weak_teacher: bool = field(default=False, metadata={
        "help": "accept a teacher whose card does not say that its plans are better than constant velocity; the scores of a teacher that "
                "has not learnt location tokens are noise"})


def accepts(student: str, teachers: Sequence[str]) -> str:
    """What the method expects of student and teachers; "" where they fit."""
    fits = student in NETWORKS and list(teachers) == [student]
    return "" if fits else f"one teacher of the student's own network, out of {', '.join(NETWORKS)},"
