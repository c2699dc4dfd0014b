"""Options of the method, and which teachers it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHARED_INPUTS = False
"""The teacher reads inputs of its own."""


@dataclass(frozen=True)
class Config:
    """The method's option."""

    weight: float = field(default=0.05, metadata={"help": "weight of the teacher's depth", "low": 0.0})


def accepts(student: str, teachers: Sequence[str]) -> str:
    """One ``stranger_teacher`` for a ``stranger_perception``."""
    fits = student == "stranger_perception" and list(teachers) == ["stranger_teacher"]
    return "" if fits else "one teacher of network 'stranger_teacher' for a student of 'stranger_perception'"
