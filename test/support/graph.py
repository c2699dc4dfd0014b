"""Real rclpy for contract tests: a domain of their own on this machine, field checks on, nodes spun in threads."""

import gc
import os
import threading
import time

import pytest
from support.domains import claim_domain

DOMAIN = claim_domain()
"""For nodes in this process."""
PROCESSES_DOMAIN = int(os.environ["ROS_DOMAIN_ID"])
"""For nodes that a test starts as processes; ``test/conftest.py`` claims it."""


class Graph:
    """Nodes of one test, each on its own executor thread, and a bare node to talk to them."""

    def __init__(self, context):
        import rclpy

        self.context = context
        self.node = rclpy.create_node("tester", context=context, namespace="/carla/ego_vehicle")
        self._running, self._started = [], []
        self.spin_in_thread(self.node)

    def spin_in_thread(self, node):
        """Spin ``node`` until the end of the test."""
        from rclpy.executors import SingleThreadedExecutor

        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(node)
        stop = threading.Event()

        def spin():
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.05)

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        self._running.append((node, executor, stop, thread))
        return node

    def between_callbacks(self, node, work):
        """What ``work()`` gives back, called in the thread that spins ``node``, as a service of the node is: never inside a callback."""
        executor = next(executor for one, executor, *_ in self._running if one is node)
        task = executor.create_task(work)
        assert wait_for(task.done), "the thread of the node is stuck"
        return task.result()

    def stop_spinning(self, node):
        """Let ``node`` lie still, so that a test may close or destroy it itself."""
        mine = next(one for one in self._running if one[0] is node)
        self._running.remove(mine)
        _, executor, stop, thread = mine
        stop.set()
        thread.join(5.0)
        executor.remove_node(node)
        executor.shutdown()

    def start(self, kind, parameters=None, profile="carla_bridge", role_name="", spec=None, remaps=(), **more):
        """A node of the graph with its profile's remappings and ``remaps``; ``spec`` gives it another name and topics of its own.

        It ends with the test, spun or not: one that lay still and lived on told later tests that it was ready.
        """
        from rclpy.parameter import Parameter

        from kd_planner_ros.ros.profiles import load_profile

        chosen = load_profile(profile, role_name)
        values = {"role_name": chosen.role_name, "carla_profile": chosen.name, **(parameters or {})}
        pairs = {**dict(chosen.remappings()), **({"__node": spec.name, **dict(spec.remaps)} if spec else {}), **dict(remaps)}
        words = ["--ros-args", *(word for pair in pairs.items() for word in ("-r", f"{pair[0]}:={pair[1]}"))]
        node = kind(namespace=chosen.namespace, cli_args=words, context=self.context,
                    parameter_overrides=[Parameter(name, value=value) for name, value in values.items()], **more)
        self._started.append(node)
        return node

    def clear(self):
        """Stop and destroy every node but the tester."""
        self._drop(self._running[1:])
        del self._running[1:]

    def close(self):
        """Stop all threads and destroy all nodes, newest first, and hold none of them any more."""
        self._drop(self._running)
        spun = [node for node, *_ in self._running]
        for node in self._started:
            if not any(node is one for one in spun):
                end_node(node)
        self._running, self._started, self.node = [], [], None

    @staticmethod
    def _drop(running):
        for node, executor, stop, thread in reversed(running):
            stop.set()
            thread.join(5.0)
            if hasattr(node, "close"):
                node.close()
            executor.shutdown()
            node.destroy_node()


def end_node(node):
    """Close and destroy ``node``, unless the test did."""
    from rclpy.impl.implementation_singleton import rclpy_implementation

    try:
        if hasattr(node, "close"):
            node.close()
        node.destroy_node()
    except rclpy_implementation.InvalidHandle:
        pass


def wait_for(condition, seconds=30.0):
    """Whether ``condition()`` becomes true within ``seconds``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def end_context(context):
    """Shut ``context`` down and let its DDS participant go.

    A participant lives until the last node of its context is collected, and nodes are parts of cycles. With localhost discovery Fast
    DDS finds only the first 32 participants of a domain on a machine: a worker that left them to chance came to more.
    """
    import rclpy

    rclpy.try_shutdown(context=context)
    gc.collect()


@pytest.fixture
def graph(monkeypatch):
    """A Graph in a fresh context."""
    pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source "
                        "ROS 2")
    import rclpy
    from rclpy.context import Context

    context = Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    one = Graph(context)
    try:
        yield one
    finally:
        one.close()
        end_context(context)
