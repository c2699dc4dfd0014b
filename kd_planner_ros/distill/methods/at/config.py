"""Attention transfer has no options."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """No options."""
