"""Newest set per trigger: which messages belong to one planning step. Knows stamps, not messages.

The trigger (the front camera) opens a set; every required input must have a sample within ``max_age_s`` of the
trigger's stamp. A newer trigger drops an unfinished set: planning on old pictures is worse than skipping one. The rule
needs no clock, so in lock-step the same messages give the same sets whatever order the transport delivers them in.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

JUMP_NS = 500_000_000
"""A stamp this much older than the newest one means that time was set back; less is mere disorder."""
KEPT = 8
"""Samples kept per input; at 20 Hz this is 0.4 s, more than any tolerance in use."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a set.

    ``max_age_s`` bounds the distance between its stamp and the trigger's, either way. A set waits for a ``required``
    input and takes an optional one if it is there; with ``wait_sets`` it waits for an optional one too that was there for one of the last
    so many triggers and is offered, at most until the next trigger. A ``headerless`` input is stamped on arrival with the newest header
    stamp seen on any other input, so it is right to one tick.
    """

    name: str
    required: bool = True
    max_age_s: float = 0.025
    headerless: bool = False
    wait_sets: int = 0


@dataclass(frozen=True)
class AlignedSet:
    """One step's inputs: ``items`` and their signed age ``ages_s`` (trigger stamp minus own stamp) by input name."""

    stamp_ns: int
    items: dict[str, Any]
    ages_s: dict[str, float]


@dataclass
class SyncCounters:
    """What happened so far: ``missed`` triggers never became a set, ``lacking`` counts for want of which input.
    ``last_miss`` maps the inputs that the last missed trigger lacked to how far their newest stamp lay before it, in
    seconds (None: nothing of them has ever come)."""

    received: Counter = field(default_factory=Counter)
    sets: int = 0
    missed: int = 0
    late: int = 0
    resets: int = 0
    lacking: Counter = field(default_factory=Counter)
    last_miss: dict[str, float | None] = field(default_factory=dict)


class Aligner:
    """Feeds ``on_set`` with one AlignedSet per trigger. Not thread-safe: call it from one executor thread.

    Args:
        inputs: all inputs, the trigger among them.
        trigger: name of the input that opens a set; it must carry stamps.
        on_set: called after the aligner's own state is settled, so an exception in it leaves nothing half done.
        offered: whether somebody sends an optional input.
    """

    def __init__(self, inputs: Sequence[InputSpec], trigger: str, on_set: Callable[[AlignedSet], None],
                 offered: Callable[[str], bool] = lambda name: True):
        self.inputs = {spec.name: spec for spec in inputs}
        if trigger not in self.inputs or self.inputs[trigger].headerless:
            raise ValueError(f"trigger {trigger!r} must be one of the inputs and carry a header")
        self.trigger, self.on_set, self._offered = trigger, on_set, offered
        self.counters = SyncCounters()
        self._clear()

    def _clear(self) -> None:
        self._kept: dict[str, deque[tuple[int, Any]]] = {name: deque(maxlen=KEPT) for name in self.inputs}
        self._newest: dict[str, int] = {}
        self._pending: int | None = None
        self._last_set_ns: int | None = None

    def reset(self) -> None:
        """Forget every sample; the counters stay."""
        self._clear()
        self.counters.resets += 1

    def add(self, name: str, stamp_ns: int | None, item: Any) -> None:
        """Take one sample; ``stamp_ns`` is None for a headerless input. Calls ``on_set`` when a set is complete."""
        self.counters.received[name] += 1
        stamp = self._stamp(name, stamp_ns)
        if stamp is None:
            return
        self._kept[name].append((stamp, item))
        waited = None
        if name == self.trigger:
            if self._pending is not None:
                waited = self._without_awaited(self._pending)
                if waited is None:
                    self._give_up(self._pending)
            self._pending = stamp
        self._send(waited, stamp)
        self._send(self._match(name, stamp, item), None)

    def _send(self, ready: AlignedSet | None, pending: int | None) -> None:
        if ready is not None and (self._last_set_ns is None or ready.stamp_ns > self._last_set_ns):
            self._last_set_ns, self._pending = ready.stamp_ns, pending
            self.counters.sets += 1
            self.on_set(ready)

    def _stamp(self, name: str, stamp_ns: int | None) -> int | None:
        """The stamp that a sample of input ``name`` counts with; None where the sample is dropped."""
        if self.inputs[name].headerless or stamp_ns is None:
            return max(self._newest.values(), default=None)
        if name in self._newest and stamp_ns < self._newest[name]:
            if self._newest[name] - stamp_ns < JUMP_NS:
                self.counters.late += 1
                return None
            self.reset()
        self._newest[name] = stamp_ns
        return stamp_ns

    def _match(self, name: str, stamp_ns: int, item: Any) -> AlignedSet | None:
        """The set of the pending trigger, if every required input is there."""
        del name, stamp_ns, item  # the message_filters variant needs them
        pending = self._pending
        if pending is None:
            return None
        chosen = {}
        for spec in self.inputs.values():
            sample = self._nearest(spec.name, pending)
            if sample is not None:
                chosen[spec.name] = sample
            elif spec.required:
                self._give_up_if_passed(spec, pending)
                return None
            elif self._awaited(spec, pending):
                return None
        return self._assemble(pending, chosen)

    def _without_awaited(self, pending: int) -> AlignedSet | None:
        """The set of ``pending`` as it is, where nothing but optional inputs that were waited for lacks."""
        chosen = {name: found for name in self.inputs if (found := self._nearest(name, pending)) is not None}
        whole = all(name in chosen for name, spec in self.inputs.items() if spec.required)
        return self._assemble(pending, chosen) if whole and any(spec.wait_sets for spec in self.inputs.values()) else None

    def _awaited(self, spec: InputSpec, pending: int) -> bool:
        """Whether an optional input, of which nothing is there for ``pending``, may still come: it came lately, or nothing came yet and the
        first trigger was lately; it has not moved past; somebody sends it."""
        if not spec.wait_sets:
            return False
        triggers = [stamp for stamp, _ in self._kept[self.trigger] if stamp <= pending]
        newest, limit = self._newest.get(spec.name, triggers[0]), spec.max_age_s * 1e9
        lately = newest >= triggers[max(len(triggers) - 1 - spec.wait_sets, 0)] - limit
        return lately and newest <= pending + limit and self._offered(spec.name)

    def _assemble(self, stamp_ns: int, chosen: dict[str, tuple[int, Any]]) -> AlignedSet:
        return AlignedSet(stamp_ns, {name: item for name, (_, item) in chosen.items()},
                          {name: (stamp_ns - own) / 1e9 for name, (own, _) in chosen.items()})

    def _nearest(self, name: str, stamp_ns: int) -> tuple[int, Any] | None:
        limit = self.inputs[name].max_age_s * 1e9
        near = min(self._kept[name], key=lambda sample: abs(sample[0] - stamp_ns), default=None)
        return near if near is not None and abs(near[0] - stamp_ns) <= limit else None

    def _give_up_if_passed(self, spec: InputSpec, pending_ns: int) -> None:
        """Drop the pending trigger when ``spec`` has moved past it: its sample for this set will not come any more."""
        newest = self._newest.get(spec.name)
        if newest is not None and newest > pending_ns + spec.max_age_s * 1e9:
            self._give_up(pending_ns)

    def _give_up(self, pending_ns: int) -> None:
        self.counters.missed += 1
        lacking = [spec.name for spec in self.inputs.values()
                   if spec.required and self._nearest(spec.name, pending_ns) is None]
        self.counters.lacking.update(lacking)
        self.counters.last_miss = {name: (pending_ns - self._newest[name]) / 1e9 if name in self._newest else None
                                   for name in lacking}
        self._pending = None

    @property
    def waiting_ns(self) -> int | None:
        """The stamp of the trigger that waits for nothing but optional inputs; None where none does."""
        return self._pending if self._pending is not None and self._without_awaited(self._pending) is not None else None

    def go_on(self) -> None:
        """Make the set that waits for optional inputs without them."""
        if self._pending is not None:
            self._send(self._without_awaited(self._pending), None)

    def silent(self, now_ns: int, after_s: float) -> dict[str, float]:
        """Ages of the required inputs that came once and whose newest stamp lies over ``after_s`` before ``now_ns``."""
        return {name: age for name, age in self.ages_s(now_ns).items()
                if self.inputs[name].required and age > after_s}

    def unseen(self) -> list[str]:
        """Required inputs of which nothing has come since the last reset."""
        return [spec.name for spec in self.inputs.values() if spec.required and not self._kept[spec.name]]

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Age of the newest sample of every input that was seen, seconds."""
        return {name: (now_ns - kept[-1][0]) / 1e9 for name, kept in self._kept.items() if kept}
