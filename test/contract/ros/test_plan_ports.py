"""Plans through real topics: from the planner's outputs to whoever subscribes, whole and exact to the bit."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import String
from support.graph import end_context
from support.wire import SAMPLES, plan, same

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections
from kd_planner_ros.core.records import Plan
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.ports.caption_outputs import CaptionOutputs
from kd_planner_ros.ros.ports.plan_ports import PlanSubscription
from kd_planner_ros.ros.ports.planner_outputs import PlannerOutputs
from kd_planner_ros.wire.codec.plans import parts_of, with_parts

EGO = EgoState(0, Pose(), 0.0)


class Wire:
    """A planner's outputs and a subscription in one process."""

    def __init__(self, hold=False, attention=False):
        self.context, self.plans, self.faults = Context(), [], []
        rclpy.init(context=self.context)
        self.sender = LifecycleNode("sender", context=self.context)
        self.receiver = rclpy.create_node("receiver", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.sender, self.receiver):
            self.executor.add_node(node)
        self.outputs = PlannerOutputs(self.sender, Adapter(), "front")
        self.subscription = PlanSubscription(self.receiver, lambda work, name: work, None if hold else self.plans.append,
                                             lambda stamp_ns, name: self.faults.append((stamp_ns, name)), attention=attention)
        for publisher in self.outputs._tables.values():
            publisher.on_activate(None)

    def spin(self, until, seconds=5.0):
        """Take messages until ``until()`` holds."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        return until()

    def connected(self):
        tables = self.outputs._tables
        return self.spin(lambda: all(one.get_subscription_count() for name, one in tables.items() if name != "attention"))

    def close(self):
        self.executor.shutdown()
        for node in (self.sender, self.receiver):
            node.destroy_node()
        end_context(self.context)


class Describing:
    """Stands in for a network that describes what it sees."""

    def __init__(self):
        self.seen = []

    def caption(self, frame):
        self.seen.append(frame)
        return "day walker 34 12"


def test_a_caption_follows_the_plan_where_somebody_listens():
    made, said, captioner = Wire(), [], Describing()
    made.outputs.close()
    outputs = made.outputs = CaptionOutputs(made.sender, Adapter(), "front", captioner)
    for publisher in (*outputs._tables.values(), outputs._captions):
        publisher.on_activate(None)
    assert made.connected()
    frame, one = SimpleNamespace(ego=EGO), plan()
    outputs.publish(one, frame)
    assert made.spin(lambda: len(made.plans) == 1) and captioner.seen == [], "nobody listens"
    made.receiver.create_subscription(String, "sender/caption", lambda message: said.append((len(made.plans), message.data)), 1)
    assert made.spin(lambda: outputs._captions.get_subscription_count() == 1)
    outputs.publish(replace(one, stamp_ns=one.stamp_ns + 1), frame)
    assert made.spin(lambda: said) and said[0][1] == "day walker 34 12" and captioner.seen == [frame]
    made.close()


@pytest.fixture
def wire(request):
    made = Wire(**getattr(request, "param", {}))
    assert made.connected()
    yield made
    made.close()


def check(back: Plan, sent: Plan) -> None:
    """``back`` is ``sent``, but for the attention."""
    for name in ("stamp_ns", "trajectory", "goal", "control", "inference_ms", "notes", "follow", "mode", "candidates", "scores",
                 "detections", "lines"):
        same(getattr(back, name), getattr(sent, name))


@pytest.mark.parametrize("sent", [one for one in SAMPLES["plan"] if isinstance(one, Plan)])
def test_a_plan_arrives_whole(wire, sent):
    wire.outputs.publish(sent, EGO)
    assert wire.spin(lambda: wire.plans), "no plan came"
    check(wire.plans[0], sent)


def test_nobody_is_not_the_same_as_not_looking(wire):
    for stamp, found in ((1, Detections(np.zeros(0, DETECTION_DTYPE))), (2, None)):
        wire.outputs.publish(with_parts(plan(), {"stamp_ns": stamp, "detections": found}), EGO)
        assert wire.spin(lambda stamp=stamp: len(wire.plans) == stamp)
    assert len(wire.plans[0].detections) == 0 and wire.plans[1].detections is None


def test_a_fault_is_told_by_name(wire):
    wire.outputs.fault(7, "SensorError")
    assert wire.spin(lambda: wire.faults) and wire.faults == [(7, "SensorError")]


@pytest.mark.parametrize("wire", [{"hold": True, "attention": True}], indirect=True)
def test_the_recorder_takes_plans_with_their_attention_when_it_wants(wire):
    assert wire.spin(lambda: wire.outputs._tables["attention"].get_subscription_count())
    attention = np.random.default_rng(0).random((4, 14)).astype(np.float32)
    sent = with_parts(SAMPLES["plan"][0], {"attention": attention})
    wire.outputs.publish(sent, EGO)
    wire.spin(lambda: False, 0.5)
    assert wire.subscription.take(sent.stamp_ns - 1) == [] and wire.subscription.incomplete == 0
    (back,) = wire.subscription.take(sent.stamp_ns)
    check(back, sent)
    assert np.array_equal(back.attention, attention)


@pytest.mark.parametrize("wire", [{"hold": True}], indirect=True)
def test_a_busy_recorder_misses_no_plan(wire):
    """Five plans come while nobody looks: with a queue of one the newest alone would be left."""
    for stamp in range(1, 6):
        wire.outputs.publish(with_parts(plan(), {"stamp_ns": stamp}), EGO)
        time.sleep(0.02)
    wire.spin(lambda: False, 0.5)
    assert [one.stamp_ns for one in wire.subscription.take(5)] == [1, 2, 3, 4, 5]


def test_fifty_agents_with_six_futures_are_one_table():
    """7,200 numbers a plan, which travelled as 7,200 names before: now three columns more than without forecasts."""
    from support.wire import detections

    message = Adapter().to_msg("detections", detections(50, 6, 12), 5)
    assert message.width == 50 and len(message.fields) == len(DETECTION_DTYPE.names) + 3
    assert set(parts_of(SAMPLES["plan"][0])) == {"candidates", "detections", "lines"}
