"""Earlier sets of inputs, put together when they are asked for. Knows stamps, not messages.

The aligner makes a set of those triggers alone that a model runs on. What a model looks back at lies between them too, and may have been
passed over while the model was busy; so every message of an input is kept here for as long as somebody may look back at it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from kd_planner_ros.sync.aligner import JUMP_NS, AlignedSet, InputSpec


class SetMemory:
    """Keeps the messages of ``inputs`` and gives back the sets at ``offsets_ns`` before a stamp. Not thread-safe.

    Args:
        trigger: the input whose stamp is the set's; every other input must lie within its ``max_age_s`` of it.
        tolerance_ns: how far a trigger's stamp may lie from an offset.
    """

    def __init__(self, inputs: Sequence[InputSpec], trigger: str, offsets_ns: Sequence[int], tolerance_ns: int):
        self._inputs, self._trigger, self._offsets, self._tolerance = tuple(inputs), trigger, tuple(offsets_ns), tolerance_ns
        self._span_ns = max(offsets_ns) + tolerance_ns + JUMP_NS  # a set may be complete long after its trigger
        self.reset()

    def add(self, name: str, stamp_ns: int, item: Any) -> None:
        """Keep one message; those that nobody can ask for any more are dropped."""
        kept = self._kept[name]
        kept.append((stamp_ns, item))
        while kept[0][0] < stamp_ns - self._span_ns:
            kept.popleft()

    def before(self, stamp_ns: int) -> tuple[AlignedSet | None, ...]:
        """The set at each offset before ``stamp_ns``, in their order; None where a message of it is missing."""
        return tuple(self._set_at(stamp_ns - offset) for offset in self._offsets)

    def reset(self) -> None:
        """Forget every message."""
        self._kept: dict[str, deque[tuple[int, Any]]] = {spec.name: deque() for spec in self._inputs}

    def _set_at(self, stamp_ns: int) -> AlignedSet | None:
        trigger = self._nearest(self._trigger, stamp_ns, self._tolerance)
        if trigger is None:
            return None
        at_ns, chosen = trigger[0], {self._trigger: trigger}
        for spec in self._inputs:
            near = chosen.get(spec.name) or self._nearest(spec.name, at_ns, round(spec.max_age_s * 1e9))
            if near is None:
                return None
            chosen[spec.name] = near
        return AlignedSet(at_ns, {name: item for name, (_, item) in chosen.items()},
                          {name: (at_ns - own) / 1e9 for name, (own, _) in chosen.items()})

    def _nearest(self, name: str, stamp_ns: int, reach_ns: int) -> tuple[int, Any] | None:
        near = min(self._kept[name], key=lambda message: abs(message[0] - stamp_ns), default=None)
        return near if near is not None and abs(near[0] - stamp_ns) <= reach_ns else None
