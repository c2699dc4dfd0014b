"""``/diagnostics``: one level, one plain sentence and key values per node; once a second and on every change.

The message is the node's heartbeat too: a thread of its own sends it while a callback takes long, such as the one that loads a model.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.time import Time
from std_msgs.msg import Header

from kd_planner_ros.ros.qos import STATE, advertise

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
HEARTBEAT_S, HEARTBEAT_LATE_S = 1.0, 1.5
"""Time between two messages, and the longest one before the heartbeat's thread sends the next."""
STATE_NAME = "state"
_LEVEL_NAMES = {OK: "ok", WARN: "warn", ERROR: "error"}


def level_name(level: bytes) -> str:
    """ok, warn or error."""
    return _LEVEL_NAMES.get(level, "stale")


class Health:
    """The state of one node, published while the node lives, whether or not any input comes.

    Conditions are kept by name, so two faults do not hide each other: the worst one is shown, of equals the first. Any
    thread may raise and clear them.

    Args:
        values: called for the key values at each publication, but not for a heartbeat: that repeats the last ones.
        stamp_ns: called for the time of a message, ns; None stands for the time of the node's clock, and before that shows any,
            wall time.
    """

    def __init__(self, node: Any, values: Callable[[], Mapping[str, Any]] = dict, stamp_ns: Callable[[], int | None] = lambda: None):
        self._node, self._values, self._stamp_ns = node, values, stamp_ns
        self._facts: Mapping[str, Any] = {}
        self._sent_s = time.monotonic()
        self._conditions: dict[str, tuple[bytes, str]] = {}
        self._shown: tuple[bytes, str] | None = None
        self._lock = threading.RLock()
        self._publisher = advertise(node, DiagnosticArray, "diagnostics", STATE)
        # Wall time: a node that waits for /clock must still say so.
        self.clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(HEARTBEAT_S, self.publish, clock=self.clock)
        threading.Thread(target=_beat, args=(weakref.ref(self),), name="heartbeat", daemon=True).start()

    def set(self, name: str, level: bytes, sentence: str) -> None:
        """Raise or change condition ``name``; at level OK it becomes the sentence of a healthy node. What a node does, its
        condition ``state``, is logged as information, other conditions by their level."""
        with self._lock:
            if self._conditions.get(name) == (level, sentence):
                return
            self._conditions[name] = (level, sentence)
        if level == ERROR:  # a line of code for each: rcutils ties a severity to a line
            self._node.get_logger().error(sentence)
        elif name == STATE_NAME:  # every node begins unconfigured: nothing that a console should warn of
            self._node.get_logger().info(sentence)
        elif level == WARN:
            self._node.get_logger().warning(sentence)
        self._publish_if_changed()

    def clear(self, name: str) -> None:
        """Condition ``name`` holds no more."""
        with self._lock:
            known = self._conditions.pop(name, None) is not None
        if known:
            self._publish_if_changed()

    def get(self, name: str) -> str | None:
        """The sentence of condition ``name``, or None."""
        return self._conditions.get(name, (OK, None))[1]

    @property
    def worst(self) -> tuple[bytes, str]:
        """(level, sentence) of the worst condition."""
        with self._lock:
            return max(self._conditions.values(), key=lambda condition: condition[0], default=(OK, "starting"))

    def _publish_if_changed(self) -> None:
        if self.worst != self._shown:
            self.publish()

    def publish(self) -> None:
        """Publish now, with new key values."""
        self._facts = self._values()
        self._send(self._facts)

    def beat(self) -> None:
        """Publish with the last key values, where nothing was sent for ``HEARTBEAT_LATE_S``."""
        if time.monotonic() - self._sent_s >= HEARTBEAT_LATE_S:
            self._send({**self._facts, "heartbeat": "sent while the node is busy"})

    def _send(self, facts: Mapping[str, Any]) -> None:
        self._sent_s = time.monotonic()
        with self._lock:
            level, sentence = self._shown = self.worst
            conditions = list(self._conditions.items())
        values = [KeyValue(key=str(key), value=str(value)) for key, value in {**facts, "cpu s": round(time.process_time(), 3)}.items()]
        values += [KeyValue(key=f"condition {name}", value=f"{level_name(rank)}: {text}")
                   for name, (rank, text) in conditions]
        status = DiagnosticStatus(level=level, name=self._node.get_fully_qualified_name(), message=sentence,
                                  hardware_id="kd_planner_ros", values=values)
        self._publisher.publish(DiagnosticArray(header=Header(stamp=self._now().to_msg()), status=[status]))

    def _now(self) -> Time:
        given = self._stamp_ns()
        now = self._node.get_clock().now() if given is None else Time(nanoseconds=given)
        # Before the first /clock the node's clock reads zero, which would be a false stamp: wall time says more.
        return now if now.nanoseconds > 0 else Clock(clock_type=ClockType.SYSTEM_TIME).now()


def _beat(health: weakref.ref[Health]) -> None:
    """Send the heartbeats of a node until it is gone."""
    while True:
        time.sleep(0.5 * HEARTBEAT_S)
        one = health()
        if one is None:
            return
        try:
            one.beat()
        except Exception:  # noqa: BLE001  the publisher was destroyed, or its context shut down: the node has ended
            return
