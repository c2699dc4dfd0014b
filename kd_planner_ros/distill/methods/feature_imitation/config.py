"""Options of feature imitation: how much the last map of a perceiver's encoder weighs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHARED_INPUTS = False
"""The teacher reads its own section of the camera's picture."""
TEACHER = "unified_encoder"


@dataclass(frozen=True)
class Config:
    """The method's options."""

    weight: float = field(default=1.0, metadata={
        "help": "weight of 1 minus the cosine between the student's last map, through a 1x1 convolution, and the encoder's, mean over "
        "cells", "above": 0.0})


def accepts(student: str, teachers: Sequence[str]) -> str:
    """What the method expects of student and teachers; "" where they fit."""
    return "" if list(teachers) == [TEACHER] and student != TEACHER else f"one teacher of network '{TEACHER}', and a planner as student"
