"""Running a node as a process: start, spin, stop within two seconds, exit status. And the wrapper around callbacks."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from kd_planner_ros.core.errors import ConfigError, KdPlannerError, is_foreseen, sentence_of
from kd_planner_ros.ros.diagnostics import ERROR, Health
from kd_planner_ros.ros.guard import follow_launch
from kd_planner_ros.ros.node_help import asked, help_of
from kd_planner_ros.ros.stop import STOPPED, StopFlag

BAD_INPUT = 2
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


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


class _Executor(SingleThreadedExecutor):
    """Its first turn ends the start of the process."""

    def __init__(self, stop: StopFlag):
        super().__init__()
        self._flag = stop

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """One turn."""
        self._flag.begun()
        super().spin_once(timeout_sec)


def run(make_node: Callable[[], Any], argv: list[str] | None = None) -> int:
    """Run one node until Ctrl-C or SIGTERM and give back the exit status (2: bad parameters, a failed start, or a failure that ended
    the node; 130: stopped before it had started).

    A node may have ``autostart`` among its ``params``, and has ``close()``. A node with ``run(executor, stop)`` loops
    by itself; others are spun.
    """
    words = sys.argv if argv is None else argv
    if asked(words):
        print(help_of(make_node.__module__ if make_node.__module__ != "__main__" else _main_module()))
        return 0
    follow_launch()
    stop, made = StopFlag(), []
    stop.install(leave)
    try:
        return _run(make_node, words, stop, made)
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:  # noqa: BLE001  whatever it is, it is told in one line and the node is closed
        return _failed(error)
    finally:
        _close(made)
        stop.uninstall()


def _run(make_node: Callable[[], Any], words: list[str], stop: StopFlag, made: list[Any]) -> int:
    """``run`` without its end: what is to be closed is added to ``made``, the executor first."""
    _init(words)
    executor = _Executor(stop)
    made.append(executor)
    node = make_node()
    made.append(node)
    node.stop = stop
    executor.add_node(node)
    if hasattr(node, "run"):
        return int(node.run(executor, stop) or 0)
    if node.params.autostart and not autostart(node):
        print(f"{node.get_name()}: {node.health.worst[1]}", file=sys.stderr)
        return BAD_INPUT
    while rclpy.ok() and not stop.requested:
        executor.spin_once(timeout_sec=0.2)
    return 0


def _init(words: list[str]) -> None:
    """Start rclpy.

    Raises:
        ConfigError: words behind --ros-args, or a parameter file, that it cannot read.
    """
    try:
        rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        if "parse" not in str(error).lower():
            raise
        raise ConfigError("arguments behind --ros-args that ROS can read, and a file for each --params-file",
                          str(error).partition(", at ")[0], "correct the arguments or the path") from None


def _main_module() -> str:
    """The name of the module that runs as ``__main__``."""
    return sys.modules["__main__"].__spec__.name


def _failed(error: Exception) -> int:
    """Tell ``error`` in one line, the last one; before it the traceback where nobody foresaw it."""
    if not is_foreseen(error):
        traceback.print_exception(error)
    print(f"kd_planner_ros: error: {sentence_of(error)}", file=sys.stderr)
    return BAD_INPUT


def _close(made: list[Any]) -> None:
    """Close the node and the executor in ``made``. A fault on the way out is told, and hides nothing that was told before."""
    executor, node = [*made, None, None][:2]
    steps = [node.close, partial(executor.remove_node, node), node.destroy_node] if node is not None else []
    for step in (*steps, *((executor.shutdown,) if executor is not None else ()), rclpy.try_shutdown):
        try:
            step()
        except Exception as error:  # noqa: BLE001  the next step must be made too
            print(f"kd_planner_ros: while closing: {sentence_of(error)}", file=sys.stderr)
