"""What a user is told once in the life of a process, on stderr: warnings, which a node with a model lists in its diagnostics too, and plain
lines."""

from __future__ import annotations

import sys

_reported: dict[str, None] = {}
_said: dict[str, None] = {}


def report(problem: Exception | str) -> None:
    """Print the warning ``problem``, once."""
    sentence = str(problem)
    _reported[sentence] = None
    say_once(f"kd_planner_ros: warning: {sentence}")


def reported() -> tuple[str, ...]:
    """Every problem passed to ``report``, in order: for the diagnostics of a node."""
    return tuple(_reported)


def say_once(line: str) -> None:
    """Print ``line``, once."""
    if line not in _said:
        _said[line] = None
        print(line, file=sys.stderr, flush=True)
