"""Plain training without a teacher has no options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """No options."""


def accepts(student: str, teachers: Sequence[str]) -> str:
    """Every student; there is no teacher."""
    return ""
