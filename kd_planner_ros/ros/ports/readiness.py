"""What the built-in world waits for before its first tick."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from std_msgs.msg import Bool

from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.qos import LATCHED, subscribe

AGENT = "agent"
EXPECTED = {AGENT: "planner and controller", "perceiver": "the perception node"}
"""The nodes that make each ready."""


class Readiness:
    """Latched Booleans of those that must be ready.

    Args:
        awaited: who is waited for, by port: out of ``EXPECTED``.
        guard: wraps a callback of the port of that name.
    """

    def __init__(self, node: Any, health: Health, awaited: Mapping[str, str], guard: Callable[[Any, str], Any]):
        self._node, self._health, self._missing = node, health, dict(awaited)
        self._ports = [subscribe(node, Bool, port, guard(partial(self.take, port, who), port), LATCHED) for port, who in awaited.items()]

    def take(self, port: str, who: str, message: Bool) -> None:
        """``who`` has said on ``port`` whether it is ready."""
        if message.data:
            self._missing.pop(port, None)
            self._health.clear(who)
        else:
            self._missing[port] = who

    def wait(self, executor: Any, stop: Any, longest_s: float) -> None:
        """Spin until all are ready, ``stop`` is requested or ``longest_s`` have passed; an error of the diagnostics names who was not.
        0 does not wait."""
        until_s = time.monotonic() + longest_s
        while self._missing and not stop.requested and time.monotonic() < until_s:
            waits = (f"the {who} on {self._node.resolve_topic_name(port)}" for port, who in self._missing.items())
            self._health.set("state", WARN, f"waiting for {' and '.join(waits)}")
            executor.spin_once(timeout_sec=0.1)
        for who in self._missing.values() if longest_s and not stop.requested else ():
            verb = "are" if who == AGENT else "is"
            self._health.set(who, ERROR, f"no {who} was ready within {longest_s:g} s: {verb} {EXPECTED[who]} running, and is the role_name "
                             "right?")
