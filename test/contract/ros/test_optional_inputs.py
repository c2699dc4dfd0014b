"""What a model's node does where a camera that may be missing, or a route that it can do without, is not there."""

from __future__ import annotations

import time
from dataclasses import astuple, replace

import pytest
import rclpy
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from kd_planner_ros.bags.messages import make
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.ports.model_inputs import ModelInputs
from kd_planner_ros.ros.ports.route_inputs import RouteInputs
from kd_planner_ros.ros.qos import LATCHED, SENSOR_OUT
from kd_planner_ros.ros.specs.planner import NOBODY_S
from kd_planner_ros.ros.stamps import to_stamp
from kd_planner_ros.wire.codec.motion import Mount, transforms

EYES = tuple(CameraSpec(name, Pose(x=1.3, z=2.3), 8, 4, 90.0, 0.1) for name in ("front", "left"))
SECOND = 10**9


def image(stamp_ns: int) -> Image:
    message = Image(height=4, width=8, encoding="rgb8", step=24, data=bytes(96))
    message.header.stamp = to_stamp(stamp_ns)
    return message


def odometry(stamp_ns: int) -> Odometry:
    message = Odometry()
    message.header.stamp = to_stamp(stamp_ns)
    message.pose.pose.orientation.w = 1.0
    return message


@pytest.fixture
def node(graph):
    return graph.spin_in_thread(rclpy.create_node("model", context=graph.context, namespace="/carla/ego_vehicle"))


def until(met, seconds=20.0):
    end = time.monotonic() + seconds
    while not met() and time.monotonic() < end:
        time.sleep(0.02)
    assert met()


def inputs_of(node, rig, **options):
    sets = []
    return ModelInputs(node, Adapter(), rig, 0.1, 0.025, Health(node), on_set=sets.append, on_jump=lambda: None, mark=lambda port: None,
                       **options), sets


def test_a_camera_that_nobody_sends_holds_up_nothing_and_is_told(graph, node):
    inputs, sets = inputs_of(node, SensorRig(EYES, needs_route=False, optional=("left",)))
    assert inputs.ports() == ["front/image", "odometry"]
    inputs._take_odometry(odometry(SECOND))
    inputs._offer("front", SECOND, image(SECOND))
    frame = inputs.frame(sets.pop())
    assert set(frame.images) == {"front"} and frame.stamp_ns == SECOND
    inputs._take_odometry(odometry(SECOND + 100_000_000))
    assert "left/image" in inputs._health.get("missing") and "goes without" in inputs._health.get("missing")
    inputs.close(node)


def test_a_camera_that_somebody_sends_is_waited_for(graph, node):
    inputs, sets = inputs_of(node, SensorRig(EYES, needs_route=False, optional=("left",)))
    graph.node.create_publisher(Image, "/carla/ego_vehicle/left/image", SENSOR_OUT)
    until(lambda: node.count_publishers("/carla/ego_vehicle/left/image"))
    for stamp in (SECOND, SECOND + 100_000_000):
        inputs._take_odometry(odometry(stamp))
        inputs._offer("front", stamp, image(stamp))
        assert not sets, "the left picture may still come"
        inputs._offer("left", stamp, image(stamp))
        assert set(inputs.frame(sets.pop()).images) == {"front", "left"}
    inputs.close(node)


def test_in_lock_step_a_camera_that_stopped_is_not_waited_for_for_ever(graph, node):
    inputs, sets = inputs_of(node, SensorRig(EYES, needs_route=False, optional=("left",)))
    graph.node.create_publisher(Image, "/carla/ego_vehicle/left/image", SENSOR_OUT)
    until(lambda: node.count_publishers("/carla/ego_vehicle/left/image"))
    inputs._take_odometry(odometry(SECOND))
    inputs._offer("front", SECOND, image(SECOND))
    assert not sets
    until(lambda: sets)
    assert set(inputs.frame(sets.pop()).images) == {"front"}
    later = SECOND + 100_000_000
    inputs._offer("front", later, image(later))
    inputs._take_odometry(odometry(later))
    assert not sets, "odometry of the same instant"
    inputs._take_odometry(odometry(later + 50_000_000))
    assert set(inputs.frame(sets.pop()).images) == {"front"}, "time went on by half a period"
    inputs.close(node)


def test_a_model_that_reads_where_its_cameras_are_gets_what_the_vehicle_tells(node):
    """First what its parameter says, then the vehicle's frames and camera_info; of the front camera a large difference is an error."""
    left, health = replace(EYES[1].pose, y=0.5, z=1.6, yaw=0.96), Health(node)
    sets = []
    inputs = ModelInputs(node, Adapter(), SensorRig(EYES, needs_route=False, placed=True), 0.1, 0.025, health, on_set=sets.append,
                         on_jump=lambda: None, mark=lambda port: None, mounts={"left": left})

    def calibrations(tick):
        stamp = SECOND + tick * 100_000_000
        inputs._take_odometry(odometry(stamp))
        for name in ("front", "left"):
            inputs._offer(name, stamp, image(stamp))
        return inputs.frame(sets.pop()).calibrations

    def told(name, pose):
        inputs._calibration._take_static(transforms(make, [Mount("ego_vehicle", f"ego_vehicle/{name}", optical(pose))], 0))
        return health._conditions.get(f"mounting of {name}", (None, ""))

    found = calibrations(0)
    assert found["front"] == EYES[0] and astuple(found["left"].pose) == pytest.approx(astuple(left), abs=1e-9)
    assert told("left", replace(left, yaw=1.2))[0] == WARN
    inputs._calibration._info_callback(EYES[1], True)(CameraInfo(height=4, width=8, k=[8.0, 0.0, 4.0, 0.0, 8.0, 2.0, 0.0, 0.0, 1.0]))
    found = calibrations(1)
    assert found["left"].pose.yaw == pytest.approx(1.2) and found["left"].focal_px == pytest.approx(8.0) != EYES[1].focal_px
    assert told("front", replace(EYES[0].pose, z=3.0))[0] == ERROR
    inputs.close(node)


def test_without_anybody_who_offers_a_route_the_model_that_can_goes_on_after_a_while(graph, node):
    began, rig = [], SensorRig(EYES[:1], route_optional=True)
    health = Health(node)
    route = RouteInputs(node, Adapter(), health, lambda port: None, lambda: began.append(True))
    inputs, sets = inputs_of(node, rig, route=route)

    def plan_at(seconds):
        stamp = SECOND + round(seconds * SECOND)
        inputs._take_odometry(odometry(stamp))
        inputs._offer("front", stamp, image(stamp))
        return inputs.frame(sets.pop()) if sets else None

    assert RouteInputs(node, Adapter(), Health(node), lambda port: None, lambda: None, 0.0).without, "a replay that has none to play"
    assert plan_at(0.0) is None and not inputs.ready
    assert plan_at(NOBODY_S - 0.1) is None and not began
    frame = plan_at(NOBODY_S)
    assert frame is not None and frame.goal is None and inputs.ready and began == [True] and "straight on" in health.get("route")
    inputs.reset()
    inputs.close(node)


def test_a_route_that_is_offered_is_waited_for_and_others_never_go_without(graph, node):
    route = RouteInputs(node, Adapter(), Health(node), lambda port: None, lambda: None)
    strict, sets = inputs_of(node, SensorRig(EYES[:1]), route=route)
    for stamp in (SECOND, SECOND + round(2 * NOBODY_S * SECOND)):
        strict._take_odometry(odometry(stamp))
        strict._offer("front", stamp, image(stamp))
    assert not sets and not strict.ready
    graph.node.create_publisher(PointCloud2, route.topic, LATCHED)
    until(lambda: node.count_publishers(route.topic))
    assert not route.nobody_offers(SECOND) and not route.nobody_offers(SECOND + 100 * SECOND)
    strict.close(node)
