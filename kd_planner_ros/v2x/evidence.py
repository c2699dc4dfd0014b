"""What a gateway refused, and what its messages cost."""

from __future__ import annotations

import base64
import json
from collections import Counter, deque
from dataclasses import dataclass, replace
from pathlib import Path

from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.v2x import RadioMessage
from kd_planner_ros.v2x.reasons import TEXTS

KEPT, KEPT_BYTES, KEPT_NAME = 32, 4096, 64
FILE_NAME = "v2x_rejected.jsonl"
COST_S, NS = 10, 1_000_000_000


@dataclass(frozen=True)
class _Kept:
    """A refused message, cut to what is kept of it; ``size``: the bytes of its payload as they came."""

    message: RadioMessage
    size: int
    objects: int


class Evidence:
    """The newest refused messages, so many of each reason: a flood of one kind does not wash the others away."""

    def __init__(self) -> None:
        self._rings: dict[str, deque[_Kept]] = {}
        self.newest = ""
        """Reason and station of the newest one."""

    def take(self, message: RadioMessage, reason: str, objects: int = 0) -> None:
        """Keep a refused message, or one of which so many ``objects`` were refused: 4,096 bytes of its payload and of its signature."""
        kept = replace(message, payload=bytes(message.payload[:KEPT_BYTES]), signature=bytes(message.signature[:KEPT_BYTES]),
                       station=message.station[:KEPT_NAME], kind=message.kind[:KEPT_NAME], camera=message.camera[:KEPT_NAME])
        self.newest = f"{reason} ({kept.station})"
        self._rings.setdefault(reason, deque(maxlen=KEPT)).append(_Kept(kept, len(message.payload), objects))

    def clear(self) -> None:
        """Forget everything."""
        self._rings.clear()
        self.newest = ""

    def rows(self) -> list[dict[str, object]]:
        """Every kept message in the order of arrival, ready for JSON; ``bytes`` says how many its payload had."""
        kept = [(one.message, reason, one) for reason, ring in self._rings.items() for one in ring]
        return [{"received_ns": message.received_ns, "reason": reason, "meaning": TEXTS[reason], "objects": one.objects,
                 "station": message.station, "kind": message.kind, "camera": message.camera,
                 "sequence": message.sequence, "stamp_ns": message.stamp_ns, "bytes": one.size,
                 "payload": base64.b64encode(message.payload).decode(), "signature": base64.b64encode(message.signature).decode()}
                for message, reason, one in sorted(kept, key=lambda row: row[0].received_ns)]

    def write(self, folder: Path) -> Path:
        """The file ``v2x_rejected.jsonl`` in ``folder``, one message a line."""
        path = folder / FILE_NAME
        write_text(path, "".join(f"{json.dumps(row)}\n" for row in self.rows()))
        return path


class Cost:
    """Bytes per second over the last ten seconds: of the accepted messages with their signatures as sent, and as they would be raw."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Counter[str]]] = deque()

    def take(self, now_ns: int, sent: int, raw: int) -> None:
        """One accepted message."""
        second = now_ns // NS
        if not self._seconds or self._seconds[-1][0] < second:
            self._seconds.append((second, Counter()))
        self._seconds[-1][1].update(sent=sent, raw=raw)
        self._forget(second)

    def rates(self, now_ns: int) -> tuple[float, float]:
        """(as sent, raw), bytes per second."""
        self._forget(now_ns // NS)
        totals = sum((counts for _, counts in self._seconds), Counter())
        span = min(COST_S, now_ns // NS - self._seconds[0][0] + 1) if self._seconds else 1
        return totals["sent"] / span, totals["raw"] / span

    def _forget(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - COST_S:
            self._seconds.popleft()
