"""Processing time as a health: a result that took too long is a warning, several in a row are an error."""

from __future__ import annotations

from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health

CONDITION = "latency"


class LatencyHealth:
    """Judges the processing time of each result of a model.

    Args:
        bound_s: longest processing time that is healthy.
        count: results in a row above the bound from which it is an error.
        what: the plural of what the model gives, for the sentence.
    """

    def __init__(self, health: Health, bound_s: float, count: int, what: str):
        self._health, self._bound_s, self._count, self._what = health, bound_s, count, what
        self.late = self._in_row = 0

    def add(self, took_s: float) -> None:
        """A result took ``took_s``. The sentence changes with the level only, so that a log does not fill up."""
        if took_s <= self._bound_s:
            self.reset()
            return
        self.late += 1
        self._in_row += 1
        took, bound = f"{took_s * 1e3:.0f} ms", f"{self._bound_s * 1e3:.0f} ms (max_latency_s)"
        if self._in_row == self._count:
            self._health.set(CONDITION, ERROR, f"{self._count} {self._what} in a row took longer than {bound}, the last {took}: choose a "
                                               "smaller model or a faster engine, or raise max_latency_s")
        elif self._in_row == 1:
            self._health.set(CONDITION, WARN, f"one of the {self._what} took {took}, longer than {bound}")

    def reset(self) -> None:
        """Begin to count anew: a result came in time, or the node begins anew."""
        self._in_row = 0
        self._health.clear(CONDITION)
