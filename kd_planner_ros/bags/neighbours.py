"""Instants of a recording together with their neighbours in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from kd_planner_ros.bags.instants import Sample
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS

Window = tuple[Sample, tuple[Frame, ...]]
"""An instant, and the frames at its offsets."""


def windows(samples: Iterable[Sample], offsets_ns: tuple[int, ...], on_loss: Callable[[], None]) -> Iterator[Window]:
    """Each of ``samples``, which come in time order, with the frame at each of ``offsets_ns`` from it (negative: earlier).

    An instant that lacks one of its neighbours, as at the ends of a drive, is left out. No more instants are kept than
    the offsets span.

    Args:
        on_loss: called for each instant that is left out.
    """
    first, last = min(offsets_ns), max(offsets_ns)
    kept: deque[Sample] = deque()
    waiting: deque[Sample] = deque()

    def settle() -> Iterator[Window]:
        centre = waiting.popleft()
        frames = [_nearest(kept, centre.frame.stamp_ns + offset) for offset in offsets_ns]
        if any(frame is None for frame in frames):
            on_loss()
        else:
            yield centre, tuple(frame for frame in frames if frame is not None)

    for sample in samples:
        kept.append(sample)
        waiting.append(sample)
        newest = sample.frame.stamp_ns
        while waiting and newest >= waiting[0].frame.stamp_ns + last - STAMP_TOLERANCE_NS:
            yield from settle()
        oldest = (waiting[0].frame.stamp_ns if waiting else newest) + min(first, 0) - STAMP_TOLERANCE_NS
        while kept and kept[0].frame.stamp_ns < oldest:
            kept.popleft()
    while waiting:
        yield from settle()


def _nearest(kept: Iterable[Sample], stamp_ns: int) -> Frame | None:
    """The frame nearest to ``stamp_ns`` within half a tick of 20 Hz."""
    best = min(kept, key=lambda sample: abs(sample.frame.stamp_ns - stamp_ns), default=None)
    return best.frame if best is not None and abs(best.frame.stamp_ns - stamp_ns) <= STAMP_TOLERANCE_NS else None
