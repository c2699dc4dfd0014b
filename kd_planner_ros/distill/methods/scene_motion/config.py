"""Options of learning scene flow and motion mask from the three-encoder teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHARED_INPUTS = False
"""The teacher is another network; its samples are the student's."""


@dataclass(frozen=True)
class Config:
    """The method's options."""

    gain: float = field(default=1.0, metadata={"help": "factor on 0.1 of the flow's difference in units (10 m where lengths are exact) and "
                                               "0.001 of the mask's; 1 is the paper's", "above": 0.0})
    finest: int = field(default=0, metadata={"help": "finest scale that is compared, 0 (the picture's size) to 3; from 1 on the teacher's "
                                             "answers are kept on disk", "low": 0, "high": 3})
    align: bool = field(default=True, metadata={"help": "scale the teacher's flow by the ratio of the median depths of student and "
                                                "teacher, where one of them has learnt from video; off: as published, so that the "
                                                "student takes over the teacher's unit"})


def accepts(student: str, teachers: Sequence[str]) -> str:
    """What the method expects of student and teachers; "" where they fit."""
    fits = student == "unified_encoder" and list(teachers) == ["unified_teacher"]
    return "" if fits else "one teacher of network 'unified_teacher', and a student of network 'unified_encoder'"
