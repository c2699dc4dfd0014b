"""When the next message of a stream is due."""

from __future__ import annotations

SLACK_NS = 5_000_000
"""A message so much early is taken for the one that is due: stamps of a driver tremble."""


class Pace:
    """Remembers when each stream let a message through last."""

    def __init__(self) -> None:
        self._last_ns: dict[str, int] = {}

    def is_due(self, stream: str, stamp_ns: int, period_ns: int) -> bool:
        """Whether ``period_ns`` has passed since the last message of ``stream`` that was due, or time was set back; then this one is the
        last."""
        last_ns = self._last_ns.get(stream)
        if last_ns is not None and 0 <= stamp_ns - last_ns < period_ns - SLACK_NS:
            return False
        self._last_ns[stream] = stamp_ns
        return True
