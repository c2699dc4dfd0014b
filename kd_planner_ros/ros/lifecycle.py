"""Running a node as a process: start, spin, stop within two seconds, exit status. And the wrapper around callbacks."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from kd_planner_ros.core.errors import KdPlannerError
from kd_planner_ros.ros.diagnostics import ERROR, Health

BAD_INPUT = 2
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class StopFlag:
    """Set by Ctrl-C and by SIGTERM, so that a node can say goodbye while its context still lives."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Take over both signals of this process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, *_: Any) -> None:
        self.requested = True


def guarded(health: Health, work: Callable[[Any], None], on_fault: Callable[[str], None] | None = None,
            name: str = "input") -> Callable[[Any], None]:
    """``work`` as a callback that never raises: an exception ends a whole process in rclpy, here it becomes the
    condition ``name`` of ``health``, and ``on_fault`` gets the error's class name. A later success clears it."""

    def call(message: Any) -> None:
        try:
            work(message)
        except KdPlannerError as error:
            _fault(error, str(error))
        except Exception as error:  # noqa: BLE001  whatever it is, the car must be stopped and the node must live
            _fault(error, f"{type(error).__name__}: {error}")
        else:
            health.clear(name)

    def _fault(error: Exception, sentence: str) -> None:
        health.set(name, ERROR, " ".join(sentence.split()))
        if on_fault is not None:
            on_fault(type(error).__name__)

    return call


def autostart(node: Any) -> bool:
    """Configure and activate a lifecycle node; whether both worked."""
    return node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS


def leave(status: int) -> None:
    """End this process now. Everything of ours is closed; the interpreter would spend up to two seconds on taking apart
    torch, and a node must be gone within two seconds of Ctrl-C."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(make_node: Callable[[], Any], argv: list[str] | None = None) -> int:
    """Run one node until Ctrl-C or SIGTERM and give back the exit status (2: bad parameters or a failed start).

    A node may have ``autostart`` among its ``params``, and has ``close()``. A node with ``run(executor, stop)`` loops
    by itself; others are spun.
    """
    rclpy.init(args=sys.argv if argv is None else argv, signal_handler_options=SignalHandlerOptions.NO)
    stop, node, executor = StopFlag(), None, SingleThreadedExecutor()
    stop.install()
    try:
        node = make_node()
        executor.add_node(node)
        if hasattr(node, "run"):
            return int(node.run(executor, stop) or 0)
        if node.params.autostart and not autostart(node):
            print(f"{node.get_name()}: {node.health.worst[1]}", file=sys.stderr)
            return BAD_INPUT
        while rclpy.ok() and not stop.requested:
            executor.spin_once(timeout_sec=0.2)
        return 0
    except KdPlannerError as error:
        print(f"kd_planner_ros: error: {error}", file=sys.stderr)
        return BAD_INPUT
    finally:
        if node is not None:
            node.close()
            executor.remove_node(node)
            node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
