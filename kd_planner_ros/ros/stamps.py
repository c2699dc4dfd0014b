"""Stamps: nanoseconds inside, ``builtin_interfaces/Time`` on the wire."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

CLOCK_START_NS = 1_000_000_000
"""ROS time of the built-in world's tick 0: to ROS, a stamp of zero means "no time"."""


def to_stamp(stamp_ns: int) -> Time:
    """``stamp_ns`` as a message."""
    return Time(sec=int(stamp_ns // 1_000_000_000), nanosec=int(stamp_ns % 1_000_000_000))


def from_stamp(stamp: Time) -> int:
    """Nanoseconds in ``stamp`` (any object with ``sec`` and ``nanosec``)."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def to_duration(span_s: float) -> Duration:
    """``span_s`` >= 0 seconds as a message, rounded to a nanosecond."""
    span_ns = round(span_s * 1e9)
    return Duration(sec=int(span_ns // 1_000_000_000), nanosec=int(span_ns % 1_000_000_000))
