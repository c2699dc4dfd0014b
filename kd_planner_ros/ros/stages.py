"""Where a loop's wall time goes, for the diagnostics and the benchmark."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any


class Stages:
    """Adds up the wall time of named stages."""

    def __init__(self) -> None:
        self._spent_s: Counter[str] = Counter()

    def timed(self, stage: str, work: Callable[..., Any], *inputs: Any) -> Any:
        """``work(*inputs)``, its time counted for ``stage``."""
        started_s = time.perf_counter()
        result = work(*inputs)
        self._spent_s[stage] += time.perf_counter() - started_s
        return result

    def values(self, ticks: int) -> dict[str, float]:
        """Mean milliseconds a tick, by stage."""
        return {f"{stage} ms / tick": round(1e3 * spent_s / max(ticks, 1), 2)
                for stage, spent_s in self._spent_s.items()}
