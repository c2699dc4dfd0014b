"""Checks of a node's inputs as a whole: no /clock, time set back, a topic that never comes, or has another message type."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.messages import find_type, type_name
from kd_planner_ros.sync.aligner import JUMP_NS

CLOCK_GRACE_S = 1.0
"""Wall time that /clock may be absent after other messages came before it counts as missing."""
JUMP_SHOWN_S = 5.0
"""Wall time for which the diagnostics tell that time was set back."""


def require_only_clock(node: Any) -> None:
    """Refuse a second source of time: two of them set back the time of every node in turn, whatever role names they have.

    Raises:
        ConfigError: another node of this ROS domain publishes the clock's topic that ``node`` publishes; it is named.
    """
    topic = node.resolve_topic_name("clock")
    names = sorted(f"{one.node_namespace.rstrip('/')}/{one.node_name}" for one in node.get_publishers_info_by_topic(topic))
    own = node.get_fully_qualified_name()
    if own in names:
        names.remove(own)
        if names:
            raise ConfigError(f"no other publisher of {topic} in this ROS domain", ", ".join(names),
                              "end it, or give each graph a ROS_DOMAIN_ID of its own")


class InputWatch:
    """Watches a node's clock and topics on wall time and reports to ``health``.

    Args:
        unseen_after_s: wall time after which a topic that never came is named.
        on_jump: called when time was set back (a bag that loops, a CARLA that reloads).
    """

    def __init__(self, node: Any, health: Health, unseen_after_s: float, on_jump: Callable[[], None]):
        self._node, self._health, self._after_s, self._on_jump = node, health, unseen_after_s, on_jump
        self._unseen: dict[str, str] = {}
        self._sent: list[str] = []
        self._started_s: float | None = None
        self._first_message_s: float | None = None
        self.jumps = 0
        self._jumped_s = 0.0
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._handle = node.get_clock().create_jump_callback(threshold, post_callback=self._jumped)
        self._timer = node.create_timer(0.5, self.check, clock=health.clock)

    @property
    def now_ns(self) -> int | None:
        """The node's time, or None before the first /clock."""
        return self._node.get_clock().now().nanoseconds or None

    def lies_ahead(self, stamp_ns: int | None) -> bool:
        """Whether ``stamp_ns`` lies in the clock's future: then it is from before the jump. What does not was stamped
        after it and came before /clock did, and there is nothing to forget."""
        return stamp_ns is not None and (self.now_ns is None or stamp_ns > self.now_ns + JUMP_NS)

    def start(self, ports: Iterable[str], sent: Iterable[str] = ()) -> None:
        """Expect a message on each of ``ports`` from now on, and readers of its own message type on each of the ports ``sent``. A
        latched port whose message has come already must not be among ``ports``."""
        self._unseen = {port: self._node.resolve_topic_name(port) for port in ports}
        self._sent = [self._node.resolve_topic_name(port) for port in sent]
        self._started_s = time.monotonic()

    def stop(self) -> None:
        """Expect nothing."""
        self._unseen, self._sent, self._started_s = {}, [], None
        for name in ("unseen", "types"):
            self._health.clear(name)

    def mark(self, port: str) -> None:
        """A message came on ``port``."""
        self._unseen.pop(port, None)
        if self._first_message_s is None and port != "route":  # the route is latched: it may be older than the clock
            self._first_message_s = time.monotonic()

    def clock_missing(self) -> bool:
        """Whether messages come and /clock does not."""
        return (self.now_ns is None and self._first_message_s is not None
                and time.monotonic() - self._first_message_s > CLOCK_GRACE_S)

    def check(self) -> None:
        """Raise or clear the conditions ``unseen``, ``types`` and ``clock``; clear ``jump`` in time."""
        if time.monotonic() - self._jumped_s > JUMP_SHOWN_S:
            self._health.clear("jump")
        late = self._started_s is not None and time.monotonic() - self._started_s >= self._after_s
        if self._unseen and late:
            self._health.set("unseen", *self._complaint())
        else:
            self._health.clear("unseen")
        if wrong := self._wrong_types():
            self._health.set("types", ERROR, wrong[0])
        else:
            self._health.clear("types")
        if self.clock_missing():
            self._health.set("clock", ERROR, "messages come but no /clock: start its source, or set use_sim_time "
                                              "to false")
        else:
            self._health.clear("clock")

    def _complaint(self) -> tuple[bytes, str]:
        topics = list(self._unseen.values())
        if all(self._node.count_publishers(topic) for topic in topics):
            return WARN, f"no message yet on {', '.join(topics)}, though its publisher is there"
        tail = topics[0].rsplit("/", 1)[-1]
        alike = sorted(name for name, _ in self._node.get_topic_names_and_types()
                       if name not in topics and name.rsplit("/", 1)[-1] == tail and self._node.count_publishers(name))
        hint = f"there is {', '.join(alike[:3])}: is role_name or carla_profile wrong?" if alike else \
            "is the world, CARLA's bridge or the bag running, and is role_name right?"
        return ERROR, f"no message on {', '.join(topics)} for {self._after_s:g} s; {hint}"

    def _wrong_types(self) -> list[str]:
        """A sentence for each topic at whose other end another message type is used: DDS connects no two types, and says nothing."""
        node = self._node
        ours = {one.topic_name: type_name(one.msg_type) for one in node.subscriptions}
        theirs = [(topic, "sends", node.get_publishers_info_by_topic(topic), ours.get(topic)) for topic in self._unseen.values()]
        ours = {one.topic_name: type_name(one.msg_type) for one in node.publishers}
        theirs += [(topic, "reads", node.get_subscriptions_info_by_topic(topic), ours.get(topic)) for topic in self._sent]
        return [_mismatch(topic, verb, one, own) for topic, verb, ends, own in theirs for one in ends
                if own is not None and one.topic_type != own]

    def _jumped(self, jump: Any) -> None:
        self.jumps += 1
        self._jumped_s = time.monotonic()
        self._health.set("jump", WARN, "time was set back: everything remembered is forgotten")
        self._on_jump()


def _mismatch(topic: str, verb: str, end: Any, own: str) -> str:
    other = end.topic_type
    here = find_type(other) is None
    package = (other if here else own).split("/")[0]
    return (f"node {end.node_name} {verb} {other} on {topic}, this node {own}: "
            f"source {package} in the shell of {'this node' if here else end.node_name}")
