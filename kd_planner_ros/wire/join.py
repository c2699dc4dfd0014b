"""The messages of one plan become one Plan, by stamp: the one place where a plan is put together again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kd_planner_ros.core.records import Plan
from kd_planner_ros.wire.codec.plans import PARTS, PlanHead, with_parts

KEPT = 16
"""Stamps remembered while their messages come in; the oldest is dropped."""


@dataclass
class _Pending:
    head: PlanHead | None = None
    parts: dict[str, Any] = field(default_factory=dict)


class PlanJoin:
    """Joins the topic ``plan`` with those of its parts.

    A plan is complete when every part that it names has come, of those in ``parts``. ``attention`` may come too; nothing waits
    for it. ``incomplete`` counts plans that were dropped, or taken, without all their parts.

    Args:
        parts: the topics that are listened to.
    """

    def __init__(self, parts: Iterable[str] = PARTS):
        self._wanted = frozenset(parts) & frozenset(PARTS)
        self._pending: dict[int, _Pending] = {}
        self.incomplete = 0

    def add_head(self, head: PlanHead) -> None:
        """The message of the topic ``plan``."""
        self._at(head.plan.stamp_ns).head = head

    def add_part(self, name: str, stamp_ns: int, record: Any) -> None:
        """The record of the topic ``name`` at ``stamp_ns``."""
        self._at(stamp_ns).parts[name] = record

    def complete(self, stamp_ns: int) -> Plan | None:
        """The plan of ``stamp_ns`` if it is complete, once; what is older is dropped then."""
        one = self._pending.get(stamp_ns)
        if one is None or one.head is None or self._lacks(one):
            return None
        for old in [stamp for stamp in self._pending if stamp < stamp_ns]:
            self.incomplete += self._pending.pop(old).head is not None
        return self._join(self._pending.pop(stamp_ns))

    def take(self, up_to_ns: int, wait_ns: int = 0) -> list[Plan]:
        """The plans up to ``up_to_ns``, oldest first. What is not complete, and all plans behind it, stays until it is ``wait_ns`` old;
        then it is taken as it is."""
        due = []
        for stamp in sorted(stamp for stamp in self._pending if stamp <= up_to_ns):
            one = self._pending[stamp]
            if stamp > up_to_ns - wait_ns and (one.head is None or self._lacks(one)):
                break
            due.append(self._pending.pop(stamp))
        return [self._join(one) for one in due if one.head is not None]

    def reset(self) -> None:
        """Forget every message: time was set back."""
        self._pending.clear()

    def _at(self, stamp_ns: int) -> _Pending:
        one = self._pending.setdefault(stamp_ns, _Pending())
        if len(self._pending) > KEPT:
            self.incomplete += self._pending.pop(next(iter(self._pending))).head is not None
        return one

    def _lacks(self, one: _Pending) -> bool:
        return one.head is not None and any(name in self._wanted and name not in one.parts for name in one.head.parts)

    def _join(self, one: _Pending) -> Plan:
        assert one.head is not None
        self.incomplete += self._lacks(one)
        return with_parts(one.head.plan, one.parts)
