"""Ctrl-C and SIGTERM as a request to stop, which a run answers between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kd_planner_ros.core.stopping import note_signal


@contextmanager
def interrupts(run: Any) -> Iterator[None]:
    """Set ``run.stop`` at Ctrl-C and SIGTERM instead of ending the process; in another thread than the main one they stay as
    they are."""
    def ask(number: int, *_: Any) -> None:
        note_signal(number)
        run.stop = True

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    except ValueError:
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
