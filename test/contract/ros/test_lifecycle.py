"""Each transition of each node from every state, errors and destruction too: a node that leaves active brakes or says that nothing
comes, once, and is silent."""

import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Bool
from support.fakes import FakePerceiver, FakePlanner, straight_route
from support.graph import wait_for

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.ros.nodes import controller_node, perception_node, planner_node
from kd_planner_ros.ros.stamps import from_stamp

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TICK, START = 50_000_000, 10**9
NODES = ("controller", "planner", "perception")
WAYS = ("deactivate", "shutdown", "error in deactivate", "destroy", "close")
"""Out of active."""


def state_of(node):
    return node._state_machine.current_state[1]


def make(graph, monkeypatch, name, **parameters):
    monkeypatch.setattr(planner_node, "load", lambda *a, **k: FakePlanner())
    monkeypatch.setattr(perception_node, "load", lambda *a, **k: FakePerceiver())
    kinds = {"controller": controller_node.ControllerNode, "planner": planner_node.PlannerNode,
             "perception": perception_node.PerceptionNode}
    return graph.start(kinds[name], {"use_sim_time": False, **parameters})


def bring(node, state):
    """Take a fresh node to ``state``."""
    for transition in {"unconfigured": (), "inactive": ("configure",), "active": ("configure", "activate")}[state]:
        getattr(node, f"trigger_{transition}")()
    assert state_of(node) == state


def go(node, way, monkeypatch):
    """Leave active."""
    if way == "error in deactivate":
        stop = node._watch.stop

        def broken():
            stop()
            raise RuntimeError("out of memory")

        monkeypatch.setattr(node._watch, "stop", broken)
        node.trigger_deactivate()
    elif way in ("destroy", "close"):
        getattr(node, "destroy_node" if way == "destroy" else way)()
    else:
        getattr(node, f"trigger_{way}")()


AFTER = {"deactivate": "inactive", "shutdown": "finalized", "error in deactivate": "unconfigured"}


class Bench:
    """Feeds one active node with what it works on, and hears what it says."""

    def __init__(self, graph, name, node):
        self.adapter, self.name, self.node, tester = node.adapter, name, node, graph.node
        output = {"controller": "vehicle_control_cmd", "planner": "planner/plan", "perception": "perception/depth"}[name]
        kind = {"controller": self.adapter.control_type, "planner": PointCloud2, "perception": Image}[name]
        ready = {"controller": "status", "planner": "planner/ready", "perception": "perception/ready"}[name]
        self.heard, self.ready = [], []
        tester.create_subscription(kind, output, self.heard.append, 10)
        tester.create_subscription(Bool, ready, self.ready.append, LATCHED)
        self.output = output
        from nav_msgs.msg import Odometry
        self.odometry = tester.create_publisher(Odometry, "odometry", 10)
        self.image = tester.create_publisher(Image, "front/image", 5)
        if name == "planner":
            self.route = tester.create_publisher(self.adapter.route_type, "global_plan", LATCHED)
            self.route.publish(self.adapter.route_to_msg(straight_route()))
        if name == "controller":
            self.planner = tester.create_publisher(Bool, "planner/ready", LATCHED)
            self.planner.publish(Bool(data=True))
        self.n = 0

    def connected(self):
        listened = any(one.topic_name.endswith(self.output) and one.get_subscription_count() for one in self.node.publishers)
        return listened and self.odometry.get_subscription_count() and (self.name == "controller" or self.image.get_subscription_count())

    def feed(self):
        """One more instant of input."""
        import numpy as np

        self.n += 2
        stamp = START + self.n * TICK
        if self.name != "controller":
            self.image.publish(self.adapter.image_to_msg(np.zeros((32, 64, 3), np.uint8), stamp, "front"))
        self.odometry.publish(self.adapter.odometry_to_msg(EgoState(stamp, Pose(x=0.1 * self.n), 5.0)))

    def await_quiet(self, quiet_s=0.4, longest_s=10.0):
        """Wait until every answer to what was fed has come, however busy the machine is."""
        until_s, seen, since_s = time.monotonic() + longest_s, -1, 0.0
        while time.monotonic() < until_s and (len(self.heard) != seen or time.monotonic() - since_s < quiet_s):
            if len(self.heard) != seen:
                seen, since_s = len(self.heard), time.monotonic()
            time.sleep(0.02)

    def work(self):
        """Whether the node answers."""
        before = len(self.heard)
        self.feed()
        return wait_for(lambda: len(self.heard) > before, 0.5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NODES)
def test_out_of_active_a_node_brakes_or_tells_once_and_is_silent(graph, monkeypatch, name, way):
    node = make(graph, monkeypatch, name, **({"lockstep": False} if name == "controller" else {}))
    graph.spin_in_thread(node)
    bring(node, "active")
    bench = Bench(graph, name, node)
    assert wait_for(lambda: bench.connected() and bench.work() and bench.ready and bench.ready[-1].data)
    if way in ("destroy", "close"):
        graph.stop_spinning(node)
    if name != "controller":  # which goes on braking for odometry that has stopped
        bench.await_quiet()
    told, heard = len(bench.ready), len(bench.heard)
    if way in ("destroy", "close"):
        go(node, way, monkeypatch)
    else:  # beside a callback that is under way, the transition could be followed by what that callback sends
        graph.between_callbacks(node, lambda: go(node, way, monkeypatch))
    assert wait_for(lambda: not bench.ready[-1].data), "nobody was told"
    if name == "controller":
        last = lambda: bench.adapter.control_from_msg(bench.heard[-1])  # noqa: E731
        assert wait_for(lambda: (last().throttle, last().brake) == (0.0, pytest.approx(0.8))), "the car was left as it was"
        heard = len(bench.heard)
        assert from_stamp(bench.heard[-1].header.stamp) > START
    for _ in range(3):
        bench.feed()
        time.sleep(0.05)
    assert len(bench.heard) == heard and len(bench.ready) == told + 1
    if way in AFTER:
        assert state_of(node) == AFTER[way]


@pytest.mark.parametrize("state", ["unconfigured", "inactive"])
@pytest.mark.parametrize("name", NODES)
def test_shutdown_cleanup_and_destruction_from_the_other_states(graph, monkeypatch, name, state):
    for way in ("shutdown", "cleanup", "destroy"):
        threads = set(threading.enumerate())
        node = make(graph, monkeypatch, name)
        bare = sorted(one.topic_name for one in node.publishers)
        bring(node, state)
        bench = Bench(graph, name, node)
        if way == "destroy":
            own = set(threading.enumerate()) - threads
            node.destroy_node()
            assert own and wait_for(lambda: not any(one.is_alive() for one in own)), "a thread of the node lives on"
            assert list(node.publishers) == [] == list(node.timers)
            assert not [one for one in bench.ready if one.data] and not bench.heard
            continue
        if way == "shutdown" or state == "inactive":
            getattr(node, f"trigger_{way}")()
            assert state_of(node) == {"shutdown": "finalized", "cleanup": "unconfigured"}[way]
        assert sorted(one.topic_name for one in node.publishers) == bare
        assert not [one for one in bench.ready if one.data] and not bench.heard
        node.destroy_node()  # else its diagnostics are counted beside the next one's: Jazzy's nodes are not collected at once
        node.destroy_node()


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("transition, before", [("configure", "unconfigured"), ("activate", "inactive"), ("cleanup", "inactive"),
                                                ("shutdown", "inactive")])
def test_a_transition_that_raises_ends_as_every_other_way_out(graph, monkeypatch, name, transition, before):
    node = make(graph, monkeypatch, name)
    bare = sorted(one.topic_name for one in node.publishers)
    bring(node, before)
    number = {"configure": 10, "cleanup": 11, "shutdown": 12, "activate": 13}[transition]
    real = node._callbacks[number]

    def raising(state):
        real(state)
        raise RuntimeError("out of memory")

    monkeypatch.setitem(node._callbacks, number, raising)
    getattr(node, f"trigger_{transition}")()
    assert state_of(node) == "unconfigured" and not node._active
    assert sorted(one.topic_name for one in node.publishers) == bare
    monkeypatch.setitem(node._callbacks, number, real)
    bring(node, "active")  # it can be used again
    node.destroy_node()


def test_a_closed_controller_says_so_in_the_diagnostics(graph, monkeypatch):
    heard = []
    graph.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    node = make(graph, monkeypatch, "controller")
    graph.spin_in_thread(node)
    bring(node, "active")
    node.trigger_shutdown()
    assert wait_for(lambda: heard and heard[-1].status[0].message == "finalized")


@pytest.mark.parametrize("name", NODES)
def test_a_transition_that_the_state_does_not_have_is_refused_and_the_node_lives(graph, monkeypatch, name):
    """Jazzy's rclpy raises out of the executor then, so that any lifecycle manager could end a node that drives."""
    node = make(graph, monkeypatch, name)
    assert node.trigger_activate() == TransitionCallbackReturn.ERROR and state_of(node) == "unconfigured"
    bring(node, "active")
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR and state_of(node) == "active"
    graph.spin_in_thread(node)


@pytest.fixture
def trainer(graph, monkeypatch, tmp_path):
    """A trainer node whose run counts steps until it is paused or stopped."""
    from rclpy.parameter import Parameter

    from kd_planner_ros.ros import training
    from kd_planner_ros.ros.nodes.trainer_node import TrainerNode

    def train(config, observer):
        observer.began(0, 10_000, 1, 1)
        for step in range(1, 10_000):
            if observer.paused and not observer.stopped:
                observer.wait()
            if observer.stopped:
                break
            observer.stepped(step, step / 10_000, {})
            time.sleep(0.005)
        return SimpleNamespace(model="", steps=step, finished=False)

    monkeypatch.setattr(training, "train", train)
    values = {"bags": [str(tmp_path)], "name": "a", "models_dir": str(tmp_path), "runs_dir": str(tmp_path / "runs")}
    return TrainerNode(context=graph.context, namespace="/lab",
                       parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active", "paused"])
@pytest.mark.parametrize("way", ["shutdown", "destroy", "cleanup", "error"])
def test_the_trainer_ends_its_run_by_every_way_out(trainer, monkeypatch, state, way):
    run = trainer.training
    bring(trainer, "active" if state == "paused" else state)
    if state in ("active", "paused"):
        assert wait_for(lambda: run.step > 2)
    if state == "paused":
        trainer.trigger_deactivate()
        assert wait_for(lambda: run.state == "paused")
    if way == "error":
        monkeypatch.setitem(trainer._callbacks, 14 if state == "active" else 12, lambda state: 1 / 0)
        (trainer.trigger_deactivate if state == "active" else trainer.trigger_shutdown)()
    elif way == "cleanup":
        if state == "active":
            trainer.trigger_deactivate()
        trainer.trigger_cleanup()
    else:
        trainer.destroy_node() if way == "destroy" else trainer.trigger_shutdown()
    assert run.state == ("idle" if state in ("unconfigured", "inactive") else "ended early")
    if way != "destroy":
        assert state_of(trainer) == ("finalized" if way == "shutdown" else "unconfigured")
    if way in ("cleanup", "error"):
        bring(trainer, "active")  # a new run, behind the last checkpoint
        assert wait_for(lambda: trainer.training.step > 2)
    if way != "destroy":
        trainer.destroy_node()
