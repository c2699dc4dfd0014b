"""The topics that each node really has are those that its declaration names, in direction, type and quality of service."""

import importlib.util
import re
import time
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from support.fakes import CAMERA, LIDAR, FakePerceiver, FakePlanner, FakeWorld, straight_route
from support.graph import wait_for
from support.towns import straight_road

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.carla_objects import write_objects
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes import controller_node, perception_node, planner_node, v2x_gateway_node, v2x_station_node, world_node
from kd_planner_ros.ros.ports.roadside_outputs import RoadsideOutputs
from kd_planner_ros.ros.profiles import load_profile
from kd_planner_ros.ros.specs import node_specs
from kd_planner_ros.ros.specs.base import COMMAND, IN, LATCHED, OUT, RADIO, ROADSIDE, ROADSIDE_IMAGE, SENSOR, STATE, STATIC, STATIONS
from kd_planner_ros.ros.stop import StopFlag
from kd_planner_ros.v2x.key_files import make_keys

STATION = Station("rsu", Pose(x=10.0), (CameraSpec("north", Pose(x=10.0, z=7.0), 16, 8, 90.0, 0.1),))
RIG = SensorRig((CAMERA,), (LIDAR,), roadside=RoadsideWish(objects=True), phases=True)
EVERYBODYS = re.compile(r"^(/rosout|/parameter_events|.*/transition_event)$")
"""Topics that rclpy opens on each node."""
RELIABLE, LASTING = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
QOS = {SENSOR: (True, False), STATE: (True, False), COMMAND: (True, False), LATCHED: (True, True), STATIC: (True, True),
       ROADSIDE: (False, False), ROADSIDE_IMAGE: (True, False), RADIO: (False, False)}
"""Reliable, transient local."""
IDS = {"<camera>": r"\w+", "<lidar>": "lidar", "<station>": "rsu", "<output>": r"\w+"}


def model_node(graph, monkeypatch, module, kind, model, spec=None, **parameters):
    """A node with ``model`` that has heard of one station."""
    monkeypatch.setattr(module, "load", lambda *arguments, **more: model)
    graph.stations = RoadsideOutputs(graph.node, Adapter(), (STATION,))
    node = graph.start(kind, {**parameters}, spec=spec)
    assert autostart(node), node.health.worst
    graph.spin_in_thread(node)
    assert wait_for(lambda: node._inputs._roadside.values()["roadside stations"] == 1)
    return node


def planner(graph, monkeypatch, tmp_path):
    monkeypatch.setattr("kd_planner_ros.runtime.captions.load_captioner", lambda name, folder: None)
    return model_node(graph, monkeypatch, planner_node, planner_node.PlannerNode, FakePlanner(RIG), caption=True)


def fallback_planner(graph, monkeypatch, tmp_path):
    monkeypatch.setattr("kd_planner_ros.runtime.captions.load_captioner", lambda name, folder: None)
    return model_node(graph, monkeypatch, planner_node, planner_node.PlannerNode, FakePlanner(RIG), node_specs()["fallback_planner"],
                      caption=True)


class Moved(FakePerceiver):
    """Knows how the car moves, too."""

    def perceive(self, frame):
        found = super().perceive(frame)
        return replace(found, scalars={**found.scalars, "forward_mps": 5.0, "left_mps": 0.0, "yaw_rate_rps": 0.1})


def perception(graph, monkeypatch, tmp_path):
    return model_node(graph, monkeypatch, perception_node, perception_node.PerceptionNode, Moved(RIG), points=True)


def controller(graph, monkeypatch, tmp_path):
    node = graph.start(controller_node.ControllerNode, {"fallback_period_s": 0.5, "v2x": True})
    assert autostart(node)
    return graph.spin_in_thread(node)


def world(graph, monkeypatch, tmp_path):
    fake = FakeWorld(RIG)
    fake.road = replace(straight_road(), stations=(STATION,))
    monkeypatch.setattr(world_node, "make_world", lambda params, rig: (fake, straight_route(), fake.state, Weather()))
    write_objects(tmp_path / "sensors.json", RIG, "ego_vehicle")
    node = graph.start(world_node.WorldNode, {"objects_definition_file": str(tmp_path / "sensors.json"), "run_dir": str(tmp_path / "run"),
                                              "await_perception": True})
    executor, stop = SingleThreadedExecutor(context=graph.context), StopFlag()
    executor.add_node(node)
    stop.requested = True  # before its first tick: every port is open by then
    assert node.run(executor, stop) == 0
    executor.remove_node(node)
    executor.shutdown()
    return graph.spin_in_thread(node)


def trainer(graph, monkeypatch, tmp_path):
    from rclpy.parameter import Parameter

    from kd_planner_ros.ros.nodes.trainer_node import TrainerNode
    values = {"name": "nobody", "bags": [str(tmp_path)], "models_dir": str(tmp_path)}
    return graph.spin_in_thread(TrainerNode(context=graph.context, namespace="/carla/ego_vehicle", parameter_overrides=[
        Parameter(name, value=value) for name, value in values.items()]))


def v2x_node(graph, tmp_path, kind, folder, **parameters):
    """A node that has heard of one station, and has a key of it."""
    make_keys(tmp_path / "keys", [STATION], time.time() - 10.0, time.time() + 1000.0)
    graph.stations = RoadsideOutputs(graph.node, Adapter(), (STATION,))
    node = graph.start(kind, {"keys": str(tmp_path / "keys" / folder), **parameters})
    assert autostart(node), node.health.worst
    return graph.spin_in_thread(node)


def v2x_gateway(graph, monkeypatch, tmp_path):
    node = v2x_node(graph, tmp_path, v2x_gateway_node.V2xGatewayNode, "allowed", lidar="lidar",
                    lidar_pose="0 0 2.4 0 0 0")
    assert wait_for(lambda: node._gate is not None)
    return node


def v2x_station(graph, monkeypatch, tmp_path):
    node = v2x_node(graph, tmp_path, v2x_station_node.V2xStationNode, "private")
    assert wait_for(lambda: node._sending)
    return node


def real(node):
    """(topic, direction) to (type, reliable, transient local) of every endpoint of ``node`` but those that rclpy opens.

    They are the node's own lists: under Jazzy the graph may go without the endpoints of a node for good."""
    found = {}
    for direction, endpoints in ((OUT, node.publishers), (IN, node.subscriptions)):
        for one in endpoints:
            kind, qos = one.msg_type, one.qos_profile
            if not EVERYBODYS.match(one.topic_name):
                found[one.topic_name, direction] = (f"{kind.__module__.split('.')[0]}/{kind.__name__}", qos.reliability == RELIABLE,
                                                    qos.durability == LASTING)
    return found


def pattern_of(node, spec, port):
    """Of the topic's full name; a node outside the driving graph has no profile."""
    topic = load_profile("carla_bridge").topics.get(port.name, port.name) if spec.place else port.name
    pattern = re.escape(node.resolve_topic_name(topic.replace("<", "ID_").replace(">", "_ID")))
    for name, ids in IDS.items():
        pattern = pattern.replace(name.replace("<", "ID_").replace(">", "_ID"), ids)
    return re.compile(pattern)


def may_be_absent(port):
    """Types of packages that are not installed here, and what the text says of another profile."""
    packages = re.findall(r"(\w+)/\w+", port.kind)
    return "profile `autoware`" in port.text or not any(importlib.util.find_spec(package) for package in packages)


@pytest.mark.parametrize("start", [planner, fallback_planner, perception, controller, world, trainer,
                                   v2x_gateway, v2x_station], ids=lambda one: one.__name__)
def test_a_node_has_the_ports_that_it_declares_and_no_others(graph, monkeypatch, tmp_path, start):
    node, spec = start(graph, monkeypatch, tmp_path), node_specs()[start.__name__]
    assert node.get_name() == spec.name
    declared = [(port, pattern_of(node, spec, port)) for port in sorted(spec.ports, key=lambda port: "<" in port.name)]

    def port_of(topic, direction):
        return next((port for port, pattern in declared if port.direction == direction and pattern.fullmatch(topic)), None)

    def absent():
        here = real(node)
        return [port.name for port, pattern in declared if not may_be_absent(port)
                and not any(direction == port.direction and pattern.fullmatch(topic) for topic, direction in here)]

    assert wait_for(lambda: absent() == [], 30.0), absent()
    found = real(node)
    assert [key for key in found if port_of(*key) is None] == [], "not declared in ros/specs"
    for (topic, direction), (kind, reliable, lasting) in found.items():
        port = port_of(topic, direction)
        assert kind in port.kind, (topic, kind, port.kind)
        assert (reliable, lasting) == QOS[port.qos], (topic, port.qos)


def test_every_node_is_looked_at_here():
    cases = test_a_node_has_the_ports_that_it_declares_and_no_others.pytestmark[0].args[1]
    assert {one.__name__ for one in cases} == set(node_specs())
    assert all(any(port.name == STATIONS for port in node_specs()[name].ports) for name in ("world", "planner", "perception"))
