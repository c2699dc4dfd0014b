"""The earlier frames that a model declares (``rig.history_s``): remembered from every message, unpacked on the worker thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.frames import HISTORY_TOLERANCE_NS
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.sync.aligner import AlignedSet, InputSpec
from kd_planner_ros.sync.memory import SetMemory

PAST = "history"
"""Under this name a set carries the sets that its frame looks back at: taken along before it waits for the model."""


class PastFrames:
    """Holds what the history of the next frames may be made of. ``memory`` and ``with_past`` belong to the executor's thread, the rest to
    the worker's.

    Args:
        unpack: the frame of a set, without history.
    """

    def __init__(self, rig: SensorRig, inputs: Sequence[InputSpec], trigger: str, unpack: Callable[[AlignedSet], Frame]):
        offsets = [round(age_s * 1e9) for age_s in rig.history_s]
        self.memory = SetMemory(inputs, trigger, offsets, HISTORY_TOLERANCE_NS) if offsets else None
        self._unpack, self._span_ns = unpack, max(offsets, default=0) + HISTORY_TOLERANCE_NS
        self._done: dict[int, Frame | None] = {}
        self._since_ns: int | None = None
        self.incomplete = 0

    def with_past(self, found: AlignedSet) -> AlignedSet:
        """``found`` with the sets that its frame looks back at."""
        if self.memory is None:
            return found
        return replace(found, items={**found.items, PAST: self.memory.before(found.stamp_ns)})

    def frame(self, found: AlignedSet) -> Frame:
        """The frame of ``found`` with its history; None where a message is missing, cannot be read, or lies before the first frame since
        ``forget``.

        Raises:
            SensorError: as ``unpack``, for the frame itself.
        """
        frame = self._unpack(found)
        if self.memory is None:
            return frame
        self._since_ns = found.stamp_ns if self._since_ns is None else self._since_ns
        self._done = {stamp: one for stamp, one in self._done.items() if stamp >= found.stamp_ns - self._span_ns}
        self._done[found.stamp_ns] = frame
        history = tuple(self._past(one) for one in found.items[PAST])
        self.incomplete += None in history
        return replace(frame, history=history)

    def _past(self, found: AlignedSet | None) -> Frame | None:
        if found is None or self._since_ns is None or found.stamp_ns < self._since_ns:
            return None
        if found.stamp_ns not in self._done:
            try:
                self._done[found.stamp_ns] = self._unpack(found)
            except SensorError:
                self._done[found.stamp_ns] = None
        return self._done[found.stamp_ns]

    def forget(self) -> None:
        """The next frame is the first one."""
        self._done.clear()
        self._since_ns = None
