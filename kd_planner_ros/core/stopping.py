"""Which signal asked this process to stop: Ctrl-C and SIGTERM end a command in the same order, with exit statuses of their own."""

from __future__ import annotations

import signal

_asked: list[int] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM: everything that ends in order at Ctrl-C does so too."""


def note_signal(number: int) -> None:
    """Remember that signal ``number`` asked for a stop; 0: nothing has, a command begins."""
    _asked[:] = [number] if number else []


def exit_status() -> int:
    """The exit status of a command that was stopped in order: 143 after SIGTERM, else 130, as a shell says it."""
    return 128 + (_asked[0] if _asked else signal.SIGINT)
