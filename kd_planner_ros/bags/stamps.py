"""Whether the stamps of a recording can be believed: do they grow, and are they of one clock?

What belongs together is decided by ``header.stamp``. So stamps that stand still, begin anew or belong to another clock give wrong
labels in silence; a topic with such stamps is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS

MOST_EQUAL = 3
"""So many messages of one topic may have one stamp: two or three recorders beside each other write each message so often."""
LATE_NS, MOST_LATE = 500_000_000, 2
"""A network may hold up so many messages in a row for so long; more is time that was set back."""
CLOCK_LIMIT_NS = 2_000_000_000
"""Messages that were received at the same time have stamps that differ by less, however slow a sensor is."""
TELL_NS = 500_000_000
"""A difference above this is told."""


@dataclass(frozen=True)
class Times:
    """The messages of one topic in the order of their bag times.

    Attributes:
        received: int64 [N], bag times in ns.
        stamps: int64 [N], header stamps in ns.
    """

    received: np.ndarray
    stamps: np.ndarray

    @property
    def span(self) -> tuple[int, int]:
        """First and last stamp in ns."""
        return int(self.stamps.min()), int(self.stamps.max())


@dataclass(frozen=True)
class Verdict:
    """What is wrong with the stamps of a topic: ``fault`` ("" for none) says why it is not read; ``notes`` what is only odd."""

    fault: str = ""
    notes: tuple[str, ...] = ()


def read_times(file: BagFile, topics: Iterable[str]) -> dict[str, Times]:
    """The times of those of ``topics`` that have a header and a message, in one pass.

    Raises:
        BagError: the file is broken, or a message is too short to have a header.
    """
    rows: dict[str, list[tuple[int, int]]] = {topic: [] for topic in topics if topic in file.kinds and file.has_header(topic)}
    for topic, bag_ns, raw in file.raw(rows) if rows else ():
        rows[topic].append((bag_ns, header_stamp(raw, topic)))
    found = {topic: np.array(pairs, np.int64).reshape(-1, 2) for topic, pairs in rows.items() if pairs}
    return {topic: Times(pairs[:, 0], pairs[:, 1]) for topic, pairs in found.items()}


def header_stamp(raw: bytes, topic: str) -> int:
    """The stamp in ns in the first twelve bytes of a serialised message that begins with a header.

    Raises:
        BagError: too short to hold one.
    """
    if len(raw) < 12:
        raise BagError(f"a header in every message on {topic}", f"{len(raw)} bytes", "record again")
    sec, nanosec = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return sec * 1_000_000_000 + nanosec


def judge(times: Mapping[str, Times], reference: str) -> dict[str, Verdict]:
    """What is wrong with each topic of ``times``. Stamps are compared with those of the topic ``reference`` (odometry), where its own
    are sound."""
    alone = {topic: _growth(one) for topic, one in times.items()}
    clock = times.get(reference) if not alone.get(reference, Verdict()).fault else None
    verdicts = {}
    for topic, verdict in alone.items():
        if clock is not None and topic != reference and not verdict.fault:
            other = _clock(times[topic], clock, reference)
            verdict = Verdict(other.fault, verdict.notes + other.notes)
        verdicts[topic] = verdict
    return verdicts


def _growth(times: Times) -> Verdict:
    """Whether the stamps of one topic grow."""
    stamps = times.stamps
    first = np.flatnonzero(np.diff(stamps, prepend=stamps[0] - 1))
    lengths = np.diff(first, append=len(stamps))
    longest = int(lengths.argmax())
    if lengths[longest] > MOST_EQUAL:
        return Verdict(f"stamps that stand still: {_s(stamps[first[longest]])} in {lengths[longest]} of {len(stamps)} messages")
    newest = np.maximum.accumulate(stamps)
    late = stamps < newest
    starts = np.flatnonzero(np.diff(late.astype(np.int8), prepend=0) == 1)
    for start in starts.tolist():
        length = int(np.argmin(np.append(late[start:], False)))
        if length > MOST_LATE or int((newest - stamps)[start:start + length].max()) > LATE_NS:
            return Verdict(f"time that was set back from {_s(newest[start])} to {_s(stamps[start])} at message {start + 1} of "
                           f"{len(stamps)} (bag time {times.received[start]} ns)")
    notes = []
    if late.any():
        notes.append(f"{int(late.sum())} of {len(stamps)} messages came out of order")
    if repeated := len(stamps) - len(np.unique(stamps)):
        notes.append(f"{repeated} of {len(stamps)} messages repeat a stamp")
    return Verdict(notes=tuple(notes))


def _clock(times: Times, clock: Times, reference: str) -> Verdict:
    """Whether the stamps of one topic are of the clock of ``reference``."""
    (first, last), (begin, end) = times.span, clock.span
    if first > end + STAMP_TOLERANCE_NS or last < begin - STAMP_TOLERANCE_NS:
        return Verdict(f"stamps from {_s(first)} to {_s(last)}, and {reference} from {_s(begin)} to {_s(end)}: no instant in common, "
                       "they belong to two clocks")
    inside = (times.received >= clock.received[0]) & (times.received <= clock.received[-1])
    if inside.sum() < 3 or any(one.received[0] == one.received[-1] for one in (times, clock)):
        return Verdict()  # bag times that say nothing, as those of converted recordings
    beside = np.interp(times.received[inside], clock.received, clock.stamps - begin) + begin
    difference = int(np.median(times.stamps[inside] - beside))
    side = "ahead of" if difference > 0 else "behind"
    said = f"{abs(difference) / 1e9:.1f} s {side} those of {reference} that were received at the same time"
    if abs(difference) > CLOCK_LIMIT_NS:
        return Verdict(f"stamps {said}: they belong to two clocks")
    return Verdict(notes=(f"its stamps are {said}",) if abs(difference) > TELL_NS else ())


def _s(stamp_ns: int) -> str:
    """A stamp in seconds, to the millisecond."""
    return f"{int(stamp_ns) / 1e9:.3f} s"
