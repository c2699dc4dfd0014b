"""Frames of a recording that somebody wants, by number or by stamp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS


class Wanted:
    """Frames by their ``numbers``, counted from 0, and by their stamps in seconds; the first one where there is neither."""

    def __init__(self, numbers: Sequence[int], stamps_s: Sequence[float]):
        self._numbers = set(numbers or (() if stamps_s else (0,)))
        self._stamps = {round(stamp * 1e9) for stamp in stamps_s}
        self._seen, self._last_ns = 0, 0

    @property
    def left(self) -> bool:
        """Whether one of them was not met yet."""
        return bool(self._numbers or self._stamps)

    def meets(self, number: int, stamp_ns: int) -> bool:
        """Whether the frame ``number`` at ``stamp_ns`` is one of them; it is met then."""
        self._seen, self._last_ns = number + 1, stamp_ns
        near = {stamp for stamp in self._stamps if abs(stamp - stamp_ns) <= STAMP_TOLERANCE_NS}
        met = number in self._numbers or bool(near)
        self._numbers.discard(number)
        self._stamps -= near
        return met

    def require_met(self, place: Path | str) -> None:
        """Refuse the recording at ``place`` that ended before all were met.

        Raises:
            BagError: one was not.
        """
        if self.left:
            names = [f"frame {number}" for number in sorted(self._numbers)] + [f"{stamp / 1e9:g} s" for stamp in sorted(self._stamps)]
            got = f"{self._seen} frames (0 to {self._seen - 1}), the last at {self._last_ns / 1e9:g} s" if self._seen else "no frame"
            raise BagError(f"{', '.join(names)} in {place}", got, "correct --frame or --stamp")
