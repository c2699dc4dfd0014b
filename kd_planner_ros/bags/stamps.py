"""Whether the stamps of a recording can be believed: do they grow, and are they of one clock?

What belongs together is decided by ``header.stamp``. So stamps that begin anew, stop, or belong to another clock give wrong labels in
silence; a topic with such stamps is not read. Messages without stamps of their own are read at their bag times.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from kd_planner_ros.bags.bag_file import BagFile, require_cdr
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS

MOST_EQUAL = 3
"""More messages that all have one stamp have none, where it is 0, and else stand still. Fewer may be one message that several recorders
wrote."""
LATE_NS, MOST_LATE = 500_000_000, 2
"""A network may hold up so many messages in a row for so long; more is time that was set back."""
CLOCK_LIMIT_NS = 2_000_000_000
"""Messages that were received at the same time have stamps that differ by less, however slow a sensor is; stamps that stand still
while another topic's go on by more have stopped."""
TELL_NS = 500_000_000
"""A difference above this is told."""
_NONE = np.zeros(0, np.int64)


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

    @property
    def moves(self) -> bool:
        """Whether the bag times say anything; those of converted recordings may all be one."""
        return len(self.received) > 1 and bool(self.received[0] != self.received[-1])

    def at(self, received: np.ndarray) -> np.ndarray:
        """int64 [K]: what the stamps were at the bag times ``received`` [K]; before and after them time goes as fast as the bag's.
        Without messages the bag times themselves."""
        received = np.asarray(received, np.int64)
        if not len(self.received):
            return received
        newest = np.maximum.accumulate(self.stamps)
        first, start = self.received[0], newest[0]
        inside = np.interp((received - first).astype(float), (self.received - first).astype(float), (newest - start).astype(float))
        beyond = np.minimum(received - first, 0) + np.maximum(received - self.received[-1], 0)
        return inside.round().astype(np.int64) + start + beyond


@dataclass(frozen=True)
class Verdict:
    """What is wrong with the stamps of a topic: ``fault`` ("" for none) says why it is not read; ``notes`` what is only odd. Where the
    messages have no stamps, ``clock`` has the stamps of another topic by bag time, to place them by."""

    fault: str = ""
    notes: tuple[str, ...] = ()
    clock: Times | None = field(default=None, repr=False)


def read_times(file: BagFile, topics: Iterable[str]) -> dict[str, Times]:
    """The times of those of ``topics`` that have a header and a message, in one pass.

    Raises:
        BagError: the file is broken, or a message is too short to have a header.
    """
    rows: dict[str, list[tuple[int, int]]] = {topic: [] for topic in topics if topic in file.kinds and file.has_header(topic)}
    for topic, bag_ns, raw in file.raw(rows) if rows else ():
        rows[topic].append((bag_ns, header_stamp(raw, topic)))
    return as_times(rows)


def as_times(rows: Mapping[str, list[tuple[int, int]]]) -> dict[str, Times]:
    """The Times of (bag time, stamp) by topic; of topics without any there are none."""
    found = {topic: np.array(pairs, np.int64).reshape(-1, 2) for topic, pairs in rows.items() if pairs}
    return {topic: Times(pairs[:, 0], pairs[:, 1]) for topic, pairs in found.items()}


def header_stamp(raw: bytes, topic: str) -> int:
    """The stamp in ns in the first twelve bytes of a serialised message that begins with a header.

    Raises:
        BagError: too short to hold one, or not serialised by CDR.
    """
    if len(raw) < 12:
        raise BagError(f"a header in every message on {topic}", f"{len(raw)} bytes", "record again")
    require_cdr(raw, topic)
    sec, nanosec = struct.unpack_from(_order(raw), raw, 4)
    return sec * 1_000_000_000 + nanosec


def stamped(raw: bytes, stamp_ns: int) -> bytes:
    """``raw``, a serialised message that begins with a header, with another stamp.

    Raises:
        BagError: a header cannot hold it.
    """
    if not 0 <= stamp_ns < 2**31 * 1_000_000_000:
        raise BagError("bag times from 1970 to 2038", _s(stamp_ns), "check the recorder's clock, and record again")
    return raw[:4] + struct.pack(_order(raw), *divmod(stamp_ns, 1_000_000_000)) + raw[12:]


def _order(raw: bytes) -> str:
    return "<iI" if raw[1] & 1 else ">iI"


def judge(times: Mapping[str, Times], reference: str) -> dict[str, Verdict]:
    """What is wrong with each topic of ``times``. Stamps are compared with those of the topic ``reference`` (odometry), where its own
    are sound."""
    bare = {topic for topic, one in times.items() if _has_none(one, times.get(reference, one))}
    verdicts = {topic: _growth(one) for topic, one in times.items() if topic not in bare}
    sound = sorted((topic for topic, one in verdicts.items() if not one.fault and topic != reference and times[topic].moves),
                   key=lambda topic: -len(times[topic].stamps))
    if reference in verdicts and sound and not verdicts[reference].fault:
        verdicts[reference] = _with(verdicts[reference], _stopped(times[reference], times[sound[0]], sound[0]))
    clock = _clock_of(times, verdicts, reference, sound)
    verdicts |= {topic: _placed(times[topic], clock) for topic in bare}
    origin = verdicts.get(reference, Verdict(fault="none"))
    if origin.fault:
        return {topic: verdicts[topic] for topic in times}
    beside = times[reference] if origin.clock is None else placed(times[reference], origin)
    for topic, verdict in verdicts.items():
        if topic != reference and topic not in bare and not verdict.fault:
            verdicts[topic] = _with(_with(verdict, _stopped(times[topic], beside, reference)), _clock(times[topic], beside, reference))
    return {topic: verdicts[topic] for topic in times}


def placed(times: Times, verdict: Verdict) -> Times:
    """``times`` with the stamps that messages without stamps get; as they are where they have their own."""
    return times if verdict.clock is None else Times(times.received, verdict.clock.at(times.received))


def lateness(times: Iterable[Times]) -> int:
    """By how much, in ns, a message of ``times`` has at most an older stamp than one that came before it."""
    parts = list(times)
    if not parts:
        return 0
    stamps = np.concatenate([one.stamps for one in parts])[np.argsort(np.concatenate([one.received for one in parts]), kind="stable")]
    return int((np.maximum.accumulate(stamps) - stamps).max())


def _with(one: Verdict, other: Verdict) -> Verdict:
    return one if one.fault else Verdict(other.fault, one.notes + other.notes, one.clock)


def _has_none(times: Times, reference: Times) -> bool:
    """Whether the messages have no stamps of their own: a driver that sets none says 0. Another stamp that stays is of a sensor that
    stands still, or of one picture that is sent again and again."""
    return times.span == (0, 0) and (len(times.stamps) > MOST_EQUAL or reference.span[0] > STAMP_TOLERANCE_NS)


def _clock_of(times: Mapping[str, Times], verdicts: Mapping[str, Verdict], reference: str, sound: list[str]) -> Times:
    """The stamps by which messages without stamps are placed: odometry's, else those of the topic that has most; without any the bag
    times."""
    if reference in verdicts and not verdicts[reference].fault and times[reference].moves:
        return times[reference]
    return times[sound[0]] if sound else Times(_NONE, _NONE)


def _placed(times: Times, clock: Times) -> Verdict:
    """The verdict on messages without stamps."""
    count, said = len(times.stamps), _s(times.stamps[0])
    if count > 1 and not times.moves:
        return Verdict(f"stamps that stand still: {said} in {count} of {count} messages, and one bag time for all of them")
    return Verdict(notes=(f"all {count} messages have the stamp {said}: they are taken at their bag times",), clock=clock)


def _growth(times: Times) -> Verdict:
    """Whether the stamps of one topic grow."""
    stamps = times.stamps
    if len(stamps) > MOST_EQUAL and stamps.min() == stamps.max():
        return Verdict(f"stamps that stand still: {_s(stamps[0])} in {len(stamps)} of {len(stamps)} messages")
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


def _stopped(times: Times, clock: Times, reference: str) -> Verdict:
    """Whether stamps stand still while those of ``clock`` go on. A slow simulator's messages repeat stamps too: there all stand still."""
    if not (times.moves and clock.moves):
        return Verdict()
    first = np.flatnonzero(np.diff(times.stamps, prepend=times.stamps[0] - 1))
    last = np.append(first[1:], len(times.stamps)) - 1
    received = np.clip(times.received, clock.received[0], clock.received[-1])
    begin, end = clock.at(received[first]), clock.at(received[last])
    longest = int((end - begin).argmax())
    if end[longest] - begin[longest] <= CLOCK_LIMIT_NS:
        return Verdict()
    count = int(last[longest] - first[longest]) + 1
    return Verdict(f"stamps that stand still: {_s(times.stamps[first[longest]])} in {count} of {len(times.stamps)} messages, while those "
                   f"of {reference} go on from {_s(begin[longest])} to {_s(end[longest])}")


def _clock(times: Times, clock: Times, reference: str) -> Verdict:
    """Whether the stamps of one topic are of the clock of ``reference``."""
    (first, last), (begin, end) = times.span, clock.span
    if first > end + STAMP_TOLERANCE_NS or last < begin - STAMP_TOLERANCE_NS:
        return Verdict(f"stamps from {_s(first)} to {_s(last)}, and {reference} from {_s(begin)} to {_s(end)}: no instant in common, "
                       "they belong to two clocks")
    inside = (times.received >= clock.received[0]) & (times.received <= clock.received[-1])
    if inside.sum() < 3 or not (times.moves and clock.moves):
        return Verdict()
    difference = int(np.median(times.stamps[inside] - clock.at(times.received[inside])))
    side = "ahead of" if difference > 0 else "behind"
    said = f"{abs(difference) / 1e9:.1f} s {side} those of {reference} that were received at the same time"
    if abs(difference) > CLOCK_LIMIT_NS:
        return Verdict(f"stamps {said}: they belong to two clocks")
    return Verdict(notes=(f"its stamps are {said}",) if abs(difference) > TELL_NS else ())


def _s(stamp_ns: int) -> str:
    """A stamp in seconds, to the millisecond."""
    return f"{int(stamp_ns) / 1e9:.3f} s"
