"""When a plan is due: planner and controller apply the same rule to the same stamps, so they need not talk about it."""

from __future__ import annotations

TICK_S = 0.05
"""The simulation's tick; stamps are trusted to half of it."""


class Cadence:
    """A plan is due at the first stamp that lies a period, less half a tick, after the last one that was."""

    def __init__(self, period_s: float):
        self._gap_ns = round((period_s - TICK_S / 2) * 1e9)
        self._last_ns: int | None = None

    def reset(self) -> None:
        """The next stamp is due, whatever it is."""
        self._last_ns = None

    def due(self, stamp_ns: int) -> bool:
        """Whether a plan is due at ``stamp_ns``."""
        return self._last_ns is None or stamp_ns - self._last_ns >= self._gap_ns

    def mark(self, stamp_ns: int) -> None:
        """There was (or should have been) a plan at ``stamp_ns``."""
        self._last_ns = stamp_ns
