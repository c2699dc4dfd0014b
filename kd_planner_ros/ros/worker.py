"""One thread beside the executor for inference. torch frees the interpreter lock, so callbacks go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class LatestSlot:
    """Holds the newest item only; an item that is replaced before it was taken counts as dropped."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._item: Any = None
        self._full = self._closed = False
        self.dropped = 0

    def put(self, item: Any) -> None:
        """Replace what waits."""
        with self._ready:
            self.dropped += self._full
            self._item, self._full = item, True
            self._ready.notify()

    def take(self) -> Any | None:
        """Wait for an item; None once the slot is closed."""
        with self._ready:
            self._ready.wait_for(lambda: self._full or self._closed)
            if self._closed:
                return None
            item, self._item, self._full = self._item, None, False
            return item

    def clear(self) -> None:
        """Forget what waits."""
        with self._ready:
            self._item, self._full = None, False

    def close(self) -> None:
        """Let ``take`` give back None from now on."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()


class Worker:
    """Calls ``work(item)`` on one daemon thread for the newest item; ``work`` must not raise."""

    def __init__(self, work: Callable[[Any], None], name: str):
        self.slot, self._work = LatestSlot(), work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (item := self.slot.take()) is not None:
            self._work(item)

    def close(self, timeout_s: float = 1.0) -> None:
        """End the thread; a computation under way is waited for at most ``timeout_s``."""
        self.slot.close()
        self._thread.join(timeout_s)
