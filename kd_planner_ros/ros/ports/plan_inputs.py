"""The plans that the controller follows: those of the planner, and those of a fallback planner where there is one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from std_msgs.msg import Bool

from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.plan_gate import PlanGate
from kd_planner_ros.ros.ports.plan_ports import PlanSubscription
from kd_planner_ros.ros.qos import LATCHED, subscribe
from kd_planner_ros.ros.specs.fallback_planner import own_name


class PlanInputs:
    """Hands plans and faults to ``gate``, and knows whether there is somebody to drive.

    Args:
        fallback: whether there is a fallback planner.
        on_ready: called when ``ready`` may have changed.
    """

    def __init__(self, node: Any, health: Health, gate: PlanGate, fallback: bool, on_ready: Callable[[], None]):
        self._health, self._gate, self._on_ready, self._fallback = health, gate, on_ready, fallback
        self._planner_ready, self._fallback_seen, self.faults = False, not fallback, 0
        mismatch = partial(health.set, "qos", WARN)

        def guard(work: Callable, name: str) -> Callable:
            return guarded(health, work, name=name)

        self._plans = [PlanSubscription(node, guard, gate.take, gate.fail, mismatch)]
        readies = {"planner_ready": self._take_ready}
        if fallback:
            self._plans.append(PlanSubscription(node, guard, gate.take_slower, self._take_fallback_fault, mismatch, within=own_name("")))
            readies[own_name("planner_ready")] = self._take_fallback_ready
        self.subscriptions = [one for plans in self._plans for one in plans.subscriptions]
        self.subscriptions += [subscribe(node, Bool, name, guard(work, name), LATCHED, mismatch) for name, work in readies.items()]

    @property
    def ready(self) -> bool:
        """Whether plans come. A fallback planner must have been ready once before driving begins; it may go, as the planner may."""
        return self._planner_ready and self._fallback_seen

    @property
    def missing(self) -> str:
        """Whom the controller waits for; "" for nobody."""
        return "planner" if not self._planner_ready else "" if self._fallback_seen else "fallback planner"

    def _take_ready(self, message: Bool) -> None:
        self._planner_ready = message.data
        self._on_ready()

    def _take_fallback_ready(self, message: Bool) -> None:
        self._fallback_seen = self._fallback_seen or message.data
        self._health.clear("fallback") if message.data else self._health.set("fallback", WARN, "no fallback planner is ready")
        self._on_ready()

    def _take_fallback_fault(self, stamp_ns: int, name: str) -> None:
        self.faults += 1
        self._gate.fail_slower(stamp_ns, name)

    def reset(self) -> None:
        """Forget half a plan."""
        for plans in self._plans:
            plans.reset()

    def values(self) -> dict[str, Any]:
        """Counts for the diagnostics."""
        dropped = {"plans dropped for a missing part": sum(plans.incomplete for plans in self._plans)}
        return {**dropped, "faults of the fallback planner": self.faults} if self._fallback else dropped
