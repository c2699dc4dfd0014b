"""A replay in lock-step publishes a picture once the models have what roadside stations sent before it."""

import time

import numpy as np
import pytest
import rclpy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from support.graph import DOMAIN, wait_for

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.frames import RoadsideBuffer
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, Station
from kd_planner_ros.ros.diagnostics import Health
from kd_planner_ros.ros.graph import hearing as module
from kd_planner_ros.ros.graph.describe import GraphConfig, describe
from kd_planner_ros.ros.graph.hearing import Hearing
from kd_planner_ros.ros.graph.player import Player
from kd_planner_ros.ros.messages import make
from kd_planner_ros.ros.ports.roadside_inputs import RoadsideInputs
from kd_planner_ros.ros.profiles import load_profile
from kd_planner_ros.ros.qos import SENSOR_OUT, subscribe
from kd_planner_ros.wire.codec.pictures import rgb
from kd_planner_ros.wire.topics import Topics

CAMERA = CameraSpec("north", Pose(x=10.0, z=7.0), 16, 8, 90.0, 0.1)
STATION = Station("rsu", Pose(x=10.0), (CAMERA,))
SENT, PICTURE = Topics("rsu").image("north"), "/carla/ego_vehicle/front/image"
PLANNER = "/carla/ego_vehicle/planner"
SLOW_S = 0.5


class SlowBuffer(RoadsideBuffer):
    """Takes its time over each message, as a busy node does."""

    def take_picture(self, *parts):
        time.sleep(SLOW_S)
        super().take_picture(*parts)


class Setup:
    """A player, and a planner's roadside inputs on a thread of their own; ``met`` has what they had taken when each picture came."""

    def __init__(self, graph, tells=True):
        profile, self.met = load_profile("carla_bridge"), []
        words = [word for a, b in profile.remappings() for word in ("-r", f"{a}:={b}")]
        node = rclpy.create_node("planner", context=graph.context, namespace=profile.namespace, cli_args=["--ros-args", *words])
        health = Health(node, lambda: inputs.values() if tells else {})
        self.player = Player(profile, DOMAIN)
        inputs = RoadsideInputs(node, self.player.adapter, SlowBuffer(RoadsideWish(objects=False)), health, on_taken=health.publish)
        subscribe(graph.node, Image, PICTURE, lambda message: self.met.append(inputs.values()["roadside pictures"]), SENSOR_OUT)
        graph.spin_in_thread(node)
        self.player.open(dict.fromkeys((SENT, PICTURE), "sensor_msgs/msg/Image"), None, (STATION,))
        self.player.hearing = Hearing({PLANNER: RoadsideWish(objects=False)}, {SENT: (STATION, CAMERA), "/lists": (STATION, None)})
        self.player.await_readers()
        assert wait_for(lambda: self.player._publishers[PICTURE].get_subscription_count() == 1)
        self.player.spin(0.2)

    def tick(self, stamp_ns):
        raw = serialize_message(rgb(make, np.zeros((8, 16, 3), np.uint8), stamp_ns, "one"))
        self.player.tick(stamp_ns, [(PICTURE, raw), (SENT, raw)])
        assert wait_for(lambda: len(self.met) == stamp_ns)


@pytest.fixture
def setup(graph):
    made = []

    def make_one(**more):
        made.append(Setup(graph, **more))
        return made[-1]

    yield make_one
    for one in made:
        one.player.close()


def test_a_picture_is_published_once_the_planner_has_what_the_station_sent(setup):
    one = setup()
    for stamp_ns in (1, 2, 3):
        one.tick(stamp_ns)
    assert one.met == [1, 2, 3] and one.player.hearing.facts() == {"roadside_unheard": 0}


def test_a_planner_that_never_tells_is_waited_for_in_vain_a_few_times_and_counted(setup, monkeypatch):
    one, waits = setup(tells=False), []
    plain = one.player.hearing.wait
    monkeypatch.setattr(one.player.hearing, "wait", lambda due, spin: plain(due, lambda left_s: (waits.append(left_s), spin(left_s)), 0.1))
    for stamp_ns in range(1, module.LOST_IN_A_ROW + 1):
        one.tick(stamp_ns)
    assert waits and one.player.hearing.unheard == module.LOST_IN_A_ROW
    waits.clear()
    one.tick(module.LOST_IN_A_ROW + 1)
    assert waits == [] and one.player.hearing.facts() == {"roadside_unheard": module.LOST_IN_A_ROW + 1}


def test_each_model_is_due_what_it_asks_for():
    wishes = {"/a": RoadsideWish(objects=True), "/b": RoadsideWish(objects=False)}
    hearing = Hearing(wishes, {"picture": (STATION, CAMERA), "list": (STATION, None)})
    assert hearing.readers() == {"picture": 2, "list": 1}
    hearing.take("/a", [("roadside pictures", "3"), ("roadside object lists", "4"), ("faults", "9")])
    hearing.take("/other", [("roadside pictures", "70")])
    assert hearing.due(["picture", "list", "picture"]) == {"/a": 10, "/b": 2}
    hearing.take("/a", [("roadside pictures", "3"), ("roadside object lists", "4")])
    assert hearing.due([]) == {"/a": 7, "/b": 0}
    lists = Hearing({"/c": RoadsideWish(objects=True, pictures=False)}, {"picture": (STATION, CAMERA), "list": (STATION, None)})
    assert lists.readers() == {"picture": 0, "list": 1} and lists.due(["picture", "list"]) == {"/c": 1}
    assert Hearing({}, {"picture": (STATION, CAMERA)}).readers() == {} == Hearing({}, {}).facts()


def test_nodes_tell_at_once_in_a_replay_in_lockstep_alone():
    profile = load_profile("carla_bridge")
    for more, told in (({"world": "none", "lockstep": True}, True), ({"world": "none", "lockstep": False}, None), ({}, None)):
        nodes = {node.name: node.effective() for node in describe(GraphConfig(profile, "constant_velocity", 0.1, **more))}
        assert nodes["planner"].get("tell_roadside") is told, more
