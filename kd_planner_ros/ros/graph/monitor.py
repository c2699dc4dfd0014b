"""The command line's window into the graph: reads ``/diagnostics`` and makes the status line of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from kd_planner_ros.ros.diagnostics import ERROR
from kd_planner_ros.ros.qos import STATE, subscribe


class Monitor:
    """A node in its own context, so that it can live beside any other use of rclpy in this process.

    ``states`` maps a node's name to (level, sentence, values); ``troubles`` lists every error sentence once, in order.

    Args:
        domain_id: ROS domain; None: the environment's.
        topic: the nodes' diagnostics.
        on_heartbeat: called with a node's full name for each message of it; False: the node is none of this graph's, and is left out.
    """

    def __init__(self, domain_id: int | None, topic: str = "/diagnostics", on_heartbeat: Callable[[str], bool] = lambda name: True):
        self._context, self._on_heartbeat = Context(), on_heartbeat
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("monitor", context=self._context, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.states: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.troubles: list[str] = []
        self._subscription = subscribe(self.node, DiagnosticArray, topic, self._take, STATE)

    def _take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.take_status(status)

    def take_status(self, status: DiagnosticStatus) -> None:
        """Remember one node's state."""
        if not self._on_heartbeat(status.name):
            return
        name = status.name.rsplit("/", 1)[-1]
        self.states[name] = (status.level, status.message, {value.key: value.value for value in status.values})
        sentence = f"{name}: {status.message}"
        if status.level == ERROR and sentence not in self.troubles:
            self.troubles.append(sentence)

    def value(self, node: str, key: str, default: Any = None) -> Any:
        """A key value of ``node``, or ``default``."""
        return self.states.get(node, (b"", "", {}))[2].get(key, default)

    def spin(self, seconds: float) -> None:
        """Take messages for this long."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left_s)

    def line(self) -> str:
        """The status line: the drive's figures, or what the slowest node is waiting for; then the first trouble."""
        troubles = (f"  ! {name}: {sentence}" for name, (level, sentence, _) in self.states.items() if level == ERROR)
        bad = next(troubles, "")
        if float(self.value("world", "ticks", 0)) == 0:
            waits = [f"{name} {sentence}" for name, (_, sentence, _) in sorted(self.states.items())]
            return f"starting: {'; '.join(waits) or 'processes'}"
        return (f"{float(self.value('world', 'sim time s', 0)):6.1f} s  "
                f"x{self.value('world', 'sim / wall')} of real time  "
                f"{float(self.value('world', 'speed m/s', 0)):5.1f} m/s  "
                f"route {100 * float(self.value('world', 'completion', 0)):5.1f} %  "
                f"infractions {self.value('world', 'infractions', 0)}  "
                f"plan {self.value('planner', 'latency p50 ms', '-')} ms{bad}")

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)
