"""Ctrl-C and SIGTERM of a node's process: a flag while it runs, an end within a second while it starts."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPPED = 130
"""Exit status of a process that was stopped before it had started."""
LEAVE_S = 1.0
"""Longest time from a signal that comes during the start to the end of the process."""


class StopFlag:
    """Set by Ctrl-C and by SIGTERM, so that a node can say goodbye while its context still lives.

    While a process starts, from ``install`` to ``begun`` and inside ``starting``, there is nothing to say goodbye to, and nobody looks at a
    flag: loading a map or a model may take minutes. There the first signal raises KeyboardInterrupt, and where that does not end the
    process within ``LEAVE_S``, because a library does not let Python's handlers run, a thread ends it.
    """

    def __init__(self) -> None:
        self.requested = False
        self._begun, self._starts, self._cut = True, 0, False
        self._writer: int | None = None

    def install(self, leave: Callable[[int], None]) -> None:
        """Take over both signals of this process, which starts now; ``leave(status)`` ends it."""
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._begun = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader, leave), name="stop", daemon=True).start()

    def uninstall(self) -> None:
        """End the thread; signals set the flag alone from now on."""
        self.begun()
        if self._writer is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._writer)  # the thread reads the end of the pipe
            self._writer = None

    def begun(self) -> None:
        """The process has started: from now on somebody looks at the flag."""
        self._begun = True

    @contextmanager
    def starting(self) -> Iterator[None]:
        """A block that a signal ends at once."""
        self._starts += 1
        try:
            yield
        finally:
            self._starts -= 1

    @property
    def _starting(self) -> bool:
        return self._starts > 0 or not self._begun

    def _stop(self, *_: Any) -> None:
        first, self.requested = not self.requested, True
        if first and self._starting:
            self._cut = True
            raise KeyboardInterrupt

    def _watch(self, reader: int, leave: Callable[[int], None]) -> None:
        """Woken by the byte that the interpreter's own handler writes, for which no Python code needs to run."""
        while os.read(reader, 1):
            time.sleep(LEAVE_S)
            if self._starting or self._cut:
                print("kd_planner_ros: stopped during the start", file=sys.stderr, flush=True)
                leave(STOPPED)
        os.close(reader)
