"""Plans as they arrive. For the controller, for the recorder and for replay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kd_planner_ros.core.records import Plan
from kd_planner_ros.ros.messages import find_type
from kd_planner_ros.ros.qos import COMMAND, EVERY_COMMAND, subscribe
from kd_planner_ros.wire.channels import find_channel
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.plans import PARTS, Fault
from kd_planner_ros.wire.join import PlanJoin


class PlanSubscription:
    """Subscribes to ``plan`` and to the topics that carry the rest of it.

    Args:
        guard: wraps a callback so that it does not raise; called with (callback, port's name).
        on_plan: gets each plan once it is complete; None: plans wait until ``take`` is called, and none is lost while the node is
            busy.
        on_fault: gets (stamp_ns, error's class name) when the planner says that there is no plan.
        attention: whether to listen to the attention too.
        within: what stands before the ports' names: ``fallback_planner/`` for the plans of that planner.
    """

    def __init__(self, node: Any, guard: Callable[[Callable, str], Callable], on_plan: Callable[[Plan], None] | None,
                 on_fault: Callable[[int, str], None], on_mismatch: Callable[[str], None] | None = None, attention: bool = False,
                 within: str = ""):
        self._on_plan, self._on_fault, self._join = on_plan, on_fault, PlanJoin()
        works = {"plan": self._take_plan}
        works |= {name: partial(self._take_part, name) for name in (*PARTS, *(("attention",) if attention else ()))}
        profile = EVERY_COMMAND if on_plan is None else COMMAND
        self.subscriptions = [
            subscribe(node, find_type(find_channel(name).kind), within + name, guard(work, within + name), profile, on_mismatch)
            for name, work in works.items()]

    @property
    def incomplete(self) -> int:
        """Plans whose parts did not all come."""
        return self._join.incomplete

    def reset(self) -> None:
        """Forget half a plan."""
        self._join.reset()

    def take(self, up_to_ns: int, wait_ns: int = 0) -> list[Plan]:
        """The plans that came up to ``up_to_ns``, see ``PlanJoin.take``."""
        return self._join.take(up_to_ns, wait_ns)

    def _take_plan(self, message: Any) -> None:
        found = find_channel("plan").decode(message)
        if isinstance(found, Fault):
            self._on_fault(found.stamp_ns, found.name)
            return
        self._join.add_head(found)
        self._give(found.plan.stamp_ns)

    def _take_part(self, name: str, message: Any) -> None:
        stamp_ns = stamp_of(message)
        self._join.add_part(name, stamp_ns, find_channel(name).decode(message))
        self._give(stamp_ns)

    def _give(self, stamp_ns: int) -> None:
        plan = None if self._on_plan is None else self._join.complete(stamp_ns)
        if plan is not None:
            self._on_plan(plan)
