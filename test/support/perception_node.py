"""A perception node with real rclpy, what feeds it, and what hears it."""

import time

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from support.graph import wait_for

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes import perception_node
from kd_planner_ros.ros.stamps import to_stamp

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
START, TICK = 10**9, 50_000_000


class Source:
    """Plays clock, pictures, calibration and (where wanted) odometry."""

    def __init__(self, graph, odometry=True, infos=False, camera="front"):
        self.adapter, self.camera, node = Adapter(), camera, graph.node
        self.clock = node.create_publisher(Clock, "/clock", 10)
        self.image = node.create_publisher(Image, f"{camera}/image", 5)
        self.infos = node.create_publisher(CameraInfo, f"{camera}/camera_info", 5) if infos else None
        self.odometry = node.create_publisher(Odometry, "odometry", 10) if odometry else None

    def tick(self, n):
        stamp = START + n * TICK
        self.clock.publish(Clock(clock=to_stamp(stamp)))
        self.image.publish(self.adapter.image_to_msg(np.full((32, 64, 3), n % 256, np.uint8), stamp, self.camera))
        if self.odometry is not None:
            self.odometry.publish(self.adapter.odometry_to_msg(EgoState(stamp, Pose(), 5.0)))

    @property
    def heard(self):
        return self.image.get_subscription_count() and self.clock.get_subscription_count() and (
            self.odometry is None or self.odometry.get_subscription_count())


def start(graph, monkeypatch, eye=None, **parameters):
    """An active perception node with ``eye`` (or with a model by name), and the perceiver."""
    if eye is not None:
        monkeypatch.setattr(perception_node, "load", lambda *a, **k: eye)
    node = graph.start(perception_node.PerceptionNode, {"use_sim_time": True, "unseen_after_s": 0.6, **parameters})
    assert autostart(node), node.health.worst
    graph.spin_in_thread(node)
    return node


def collect(graph, kind, topic, qos=10):
    found = []
    graph.node.create_subscription(kind, topic, found.append, qos)
    return found


def play(source, eye, ticks):
    """Publish ticks and wait for the perception of every second one (10 Hz)."""
    assert wait_for(lambda: source.heard)
    for n in ticks:
        seen = len(eye.frames)
        source.tick(n)
        assert wait_for(lambda: len(eye.frames) > seen or n % 2), f"nothing was made of tick {n}"
        time.sleep(0.01)


def connected(node, *topics):
    found = {one.topic_name.rsplit("/perception/", 1)[-1]: one for one in node.publishers}
    return all(found[topic].get_subscription_count() for topic in topics)
