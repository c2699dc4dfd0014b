"""The way from a roadside station to the car: noise and clock of the station, then loss, delay and bandwidth of the radio.

What happens to a message follows from the seed, the station's id and the message's number alone, never from wall time or from what
was asked before. So the closed loop, the graph and a reader of recordings that number the messages alike get the same messages, in
whatever order they ask. The queue of a limited bandwidth depends on the sizes and times of the station's earlier messages as well.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import struct
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.v2x import RadioMessage
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.v2x.channel_settings import ChannelSettings

LOSS_MEMORY = 10_000
"""Messages in a row that may leave the state of a burst open; further back the state is drawn anew."""
OVERHEAD_BYTES = 128
"""Bytes of a message beside its payload: headers, signature, station and stamp."""
SENT, LOST, QUEUE_FULL, ARRIVED = "sent", "lost", "queue_full", "arrived"
"""Names in ``Channel.counts``."""
_LARGEST = 1 << 53


class Fate(NamedTuple):
    """What the radio does to one message: ``lost``, or its ``delay_s`` from being sent to its arrival, without any queue."""

    lost: bool
    delay_s: float


def fate(settings: ChannelSettings, station: str, sequence: int) -> Fate:
    """The fate of message ``sequence`` of ``station``; a pure function of its arguments.

    Losses are those of a Gilbert-Elliott channel that loses every message in its bad state, with the share ``loss`` and a mean
    burst of ``burst`` messages (at least 1 / (1 - loss), the length of independent losses).
    """
    if _in_burst(settings, station, sequence):
        return Fate(True, math.inf)
    later = -math.log1p(-_uniform(settings.seed, station, sequence, 1)) if settings.jitter_ms else 0.0
    return Fate(False, (settings.latency_ms + settings.jitter_ms * later) / 1000.0)


def clock_ns(settings: ChannelSettings, now_ns: int) -> int:
    """What a station's clock shows at ``now_ns`` of the car's."""
    return now_ns + round(settings.clock_offset_ms * 1e6 + settings.clock_drift_ppm * 1e-6 * now_ns)


def measured(settings: ChannelSettings, station: str, sequence: int, rows: np.ndarray) -> np.ndarray:
    """``rows`` (ACTOR_DTYPE [N], ``map``) as the station measures them for message ``sequence``: some missed, the others with noise in
    position, velocity and heading. A pure function of its arguments; ``rows`` itself where nothing is to be changed."""
    s = settings
    if not len(rows) or not (s.position_noise_m or s.velocity_noise_mps or s.heading_noise_deg or s.missed):
        return rows
    rng = np.random.default_rng(_words(s.seed, station, sequence, 2))
    draws = rng.standard_normal((len(rows), 5))
    seen = rng.random(len(rows)) >= s.missed
    out = rows.copy()
    for name, scale, column in (("x", s.position_noise_m, 0), ("y", s.position_noise_m, 1), ("vx", s.velocity_noise_mps, 2),
                                ("vy", s.velocity_noise_mps, 3)):
        out[name] += (scale * draws[:, column]).astype(np.float32)
    if s.heading_noise_deg:
        out["yaw"] = wrap_angle(rows["yaw"] + math.radians(s.heading_noise_deg) * draws[:, 4])
    return out[seen]


class Channel:
    """The radio between all stations and one car: ``send`` takes messages, ``arrived`` hands them out when they have come.

    ``counts`` says what became of the messages, ``bytes_sent`` what was sent over the air. ``settings`` are checked.

    Raises:
        ConfigError: a setting is out of its range.
    """

    def __init__(self, settings: ChannelSettings = ChannelSettings()):
        check_fields(settings)
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget the messages under way, the queues and the counts."""
        self.counts.clear()
        self.bytes_sent = 0
        self._busy_ns: dict[str, int] = {}
        self._under_way: list[tuple[int, str, int, int, RadioMessage]] = []

    def send(self, message: RadioMessage, now_ns: int) -> None:
        """Send ``message`` at ``now_ns`` of the car's clock."""
        self.counts[SENT] += 1
        size = len(message.payload) + OVERHEAD_BYTES
        on_air_ns = self._transmitted_ns(message.station, now_ns, size)
        if on_air_ns is None:
            self.counts[QUEUE_FULL] += 1
            return
        self.bytes_sent += size
        lost, delay_s = fate(self.settings, message.station, message.sequence)
        if lost:
            self.counts[LOST] += 1
            return
        received_ns = on_air_ns + round(delay_s * 1e9)
        heapq.heappush(self._under_way, (received_ns, message.station, message.sequence, self.counts[SENT], message))

    def arrived(self, now_ns: int) -> list[RadioMessage]:
        """The messages that have arrived since the last call, until ``now_ns``, in the order of their arrival."""
        found = []
        while self._under_way and self._under_way[0][0] <= now_ns:
            received_ns, *_, message = heapq.heappop(self._under_way)
            found.append(replace(message, received_ns=received_ns))
        self.counts[ARRIVED] += len(found)
        return found

    def _transmitted_ns(self, station: str, now_ns: int, size: int) -> int | None:
        """When the last bit leaves the station; None where the message would wait too long."""
        if not self.settings.bandwidth_kbps:
            return now_ns
        begin_ns = max(now_ns, self._busy_ns.get(station, now_ns))
        if begin_ns - now_ns > self.settings.queue_ms * 1e6:
            return None
        self._busy_ns[station] = begin_ns + round(size * 8e6 / self.settings.bandwidth_kbps)
        return self._busy_ns[station]


def _in_burst(settings: ChannelSettings, station: str, sequence: int) -> bool:
    """The channel's state at ``sequence``, looked for backwards: one draw a message either forces the bad state, forces the good one, or
    leaves the state of the message before. So the state at any number is known without those of all numbers before it, and its
    statistics are exactly those of the chain."""
    loss = settings.loss
    if loss <= 0.0 or loss >= 1.0:
        return loss >= 1.0
    leave = min(1.0 / settings.burst, 1.0 - loss)
    enter = leave * loss / (1.0 - loss)
    for number in range(sequence, sequence - LOSS_MEMORY, -1):
        draw = _uniform(settings.seed, station, number, 0)
        if draw < enter or draw >= 1.0 - leave:
            return draw < enter
    return _uniform(settings.seed, station, sequence - LOSS_MEMORY, 3) < loss


def _words(seed: int, station: str, sequence: int, purpose: int) -> tuple[int, int]:
    key = f"{seed}\0{station}\0{sequence}\0{purpose}".encode()
    first, second = struct.unpack("<2Q", hashlib.blake2b(key, digest_size=16).digest())
    return first, second


def _uniform(seed: int, station: str, sequence: int, purpose: int) -> float:
    """A number in [0, 1) that its arguments alone decide."""
    return (_words(seed, station, sequence, purpose)[0] >> 11) / _LARGEST
