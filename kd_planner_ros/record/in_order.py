"""One thread that runs the tasks given to it, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class InOrder:
    """A context manager round a thread: ``put`` work and go on. Pictures are drawn and packed outside Python's lock, so
    the caller's own work goes on meanwhile, and what comes out is the same as without the thread.

    Leaving it waits until all is done; leaving it by an exception drops what has not begun. ``ahead`` is how much may
    wait: then ``put`` waits too. An exception of the work comes out of the next ``put``, or of leaving.
    """

    def __init__(self, ahead: int):
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(ahead)
        self._error: BaseException | None = None
        self._dropped = False
        self._thread = threading.Thread(target=self._run, name="in order", daemon=True)

    def __enter__(self) -> InOrder:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._dropped = kind is not None
        self._waiting.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def put(self, work: Callable[[], None]) -> None:
        """Have ``work`` done after everything before it."""
        if self._error is not None:
            raise self._error
        self._waiting.put(work)

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            if self._dropped or self._error is not None:
                continue
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
                self._error = error
