"""When and how often a station may send: sequence numbers, rates, and the offset of its clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from kd_planner_ros.v2x.reasons import CLOCK_DRIFT, CLOCK_OFFSET, REORDERED, REPLAYED
from kd_planner_ros.v2x.settings import GatewaySettings

WINDOW = 128
LOSS_WINDOW = 100
CLOCK_WINDOW_S, THIRD_S = 30, 10
MIN_SAMPLES, MIN_SPAN_S = 10, 1
NS = 1_000_000_000


@dataclass
class ReplayWindow:
    """Sequence numbers and stamps of one stream: each must be above those that were accepted before it.

    A number far below under a later stamp is a station that began anew: what was sent before has an earlier stamp, which is signed."""

    newest: int = -1
    stamp_ns: int = -1
    seen: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def take(self, sequence: int, stamp_ns: int) -> str:
        """The reason why the message with this number is refused, "" where it goes on. Once its stamp is found right, ``accept`` it: a
        false one must not silence the station."""
        far_below, later = sequence <= self.newest - WINDOW, stamp_ns > self.stamp_ns
        if sequence in self.seen or (far_below and not later):
            return REPLAYED
        self.seen.append(sequence)
        return "" if later and (far_below or sequence > self.newest) else REORDERED

    def accept(self, sequence: int, stamp_ns: int) -> None:
        """The message goes on: those after it are above it."""
        if sequence < self.newest:
            self.seen = deque([sequence], WINDOW)
        self.newest, self.stamp_ns = sequence, stamp_ns


class LossEstimate:
    """How many of a station's last hundred messages did not come, by the gaps in their numbers. A longer gap is no loss: the station was
    out of range, or began anew."""

    def __init__(self) -> None:
        self._numbers: deque[int] = deque(maxlen=LOSS_WINDOW)

    def take(self, sequence: int) -> None:
        """One authentic message."""
        if self._numbers and abs(sequence - self._numbers[-1]) > LOSS_WINDOW:
            self._numbers.clear()
        self._numbers.append(sequence)

    @property
    def counts(self) -> tuple[int, int]:
        """(messages that are missing, all messages) between the lowest and the highest number."""
        if not self._numbers:
            return 0, 0
        span = max(self._numbers) - min(self._numbers) + 1
        return span - len(self._numbers), span


class RateLimit:
    """Two buckets of tokens, one of messages and one of bytes, each as large as a second's worth."""

    def __init__(self, messages_per_s: float, bytes_per_s: float):
        self._rates = (messages_per_s, bytes_per_s)
        self._left = [messages_per_s, bytes_per_s]
        self._filled_ns: int | None = None

    def allows(self, now_ns: int, size: int) -> bool:
        """Whether a message of ``size`` bytes may pass at ``now_ns``; it takes no tokens."""
        passed_s = 0.0 if self._filled_ns is None else max(0, now_ns - self._filled_ns) / NS
        self._filled_ns = now_ns if self._filled_ns is None else max(now_ns, self._filled_ns)
        self._left = [min(rate, left + rate * passed_s) for left, rate in zip(self._left, self._rates, strict=True)]
        return self._left[0] >= 1.0 and self._left[1] >= size

    def take(self, now_ns: int, size: int) -> bool:
        """``allows``; a message that may pass takes its tokens."""
        if not self.allows(now_ns, size):
            return False
        self._left = [self._left[0] - 1.0, self._left[1] - size]
        return True


class ClockEstimate:
    """The offset of a station's clock: the least of (received - stamp) over 30 s, less what the link takes at least.

    The least of each second is kept. The clock's drift is told from the first and the last ten seconds of the window; what the
    lowest values scatter is taken off, for jitter is no drift.
    """

    def __init__(self, expected_latency_s: float = 0.0):
        self._expected_s = expected_latency_s
        self._lowest: deque[tuple[int, float]] = deque()
        self._samples = 0

    def take(self, received_ns: int, stamp_ns: int) -> None:
        """One authentic message."""
        second, delay_s = received_ns // NS, (received_ns - stamp_ns) / NS
        self._samples += 1
        if self._lowest and self._lowest[-1][0] >= second:
            self._lowest[-1] = (self._lowest[-1][0], min(delay_s, self._lowest[-1][1]))
        else:
            self._lowest.append((second, delay_s))
        while self._lowest[0][0] <= second - CLOCK_WINDOW_S:
            self._lowest.popleft()

    @property
    def offset_s(self) -> float:
        """Seconds by which the station's stamps lie behind the receiver's clock; negative: ahead of it. 0 while nothing is known."""
        return min((delay for _, delay in self._lowest), default=self._expected_s) - self._expected_s

    @property
    def ahead_s(self) -> float:
        """Seconds by which the station's clock is ahead for certain: it sent from the future."""
        return max(0.0, -min((delay for _, delay in self._lowest), default=0.0))

    @property
    def drift_ppm(self) -> float:
        """By how much the offset grows; 0 where the window is too short to tell, or jitter may have done it."""
        if len(self._lowest) < 2 or self._lowest[-1][0] - self._lowest[0][0] < 2 * THIRD_S:
            return 0.0
        first, last = self._lowest[0][0], self._lowest[-1][0]
        early = sorted(delay for second, delay in self._lowest if second < first + THIRD_S)
        late = sorted(delay for second, delay in self._lowest if second > last - THIRD_S)
        scatter_s = max(third[len(third) // 2] - third[0] for third in (early, late))
        change_s = abs(late[0] - early[0]) - scatter_s
        return max(0.0, change_s) / (last - first - THIRD_S + 1) * 1e6

    def verdict(self, settings: GatewaySettings) -> str:
        """Why the clock is not trusted, "" where it is or too little is known."""
        if self._samples < MIN_SAMPLES or self._lowest[-1][0] - self._lowest[0][0] < MIN_SPAN_S:
            return ""
        if abs(self.offset_s) > settings.max_offset_s:
            return CLOCK_OFFSET
        return CLOCK_DRIFT if self.drift_ppm > settings.max_drift_ppm else ""
