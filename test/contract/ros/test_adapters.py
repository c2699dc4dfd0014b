"""Messages to records and back, against numbers worked out by hand from docs and sources of the outside systems."""

import math
import sys
from array import array
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from sensor_msgs.msg import Image, JointState
from support import foreign
from support.fakes import scene_at, straight_route
from support.wire import SAMPLES

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, MapLines
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.geometry.attitude import quaternion_of
from kd_planner_ros.imaging.plan_colours import STOPS
from kd_planner_ros.ros import carla_objects
from kd_planner_ros.ros.adapters import carla_bridge, carla_bridge_lb2, carla_native, standard
from kd_planner_ros.ros.adapters.frames_tf import sensor_mounts, vehicle_mount
from kd_planner_ros.ros.adapters.plan_markers import plan_to_markers
from kd_planner_ros.ros.ports import station_frames, world_outputs
from kd_planner_ros.ros.ports.roadside_outputs import station_mounts
from kd_planner_ros.ros.profiles import load_profile, make_adapter
from kd_planner_ros.ros.specs import known_ports
from kd_planner_ros.ros.stamps import from_stamp, to_duration, to_stamp
from kd_planner_ros.wire.codec import base

BRIDGE = carla_bridge.Adapter()


def test_stamps():
    assert from_stamp(to_stamp(1_234_567_890_123)) == 1_234_567_890_123
    assert (to_duration(1.5).sec, to_duration(1.5).nanosec) == (1, 500_000_000)


@pytest.fixture
def without_carla_msgs(monkeypatch):
    """As on a machine without carla_msgs, wherever the test runs."""
    for name in ("carla_msgs", "carla_msgs.msg"):
        monkeypatch.setitem(sys.modules, name, None)


def test_steer_is_flipped_for_carla_and_back(without_carla_msgs):
    bridge = carla_bridge.Adapter()
    message = bridge.control_to_msg(Control(5 * 10**9, throttle=0.3, steer=0.25, brake=0.1, reason="limited"))
    assert isinstance(message, JointState) and message.name[:3] == ["throttle", "steer", "brake"]
    assert message.position[:3].tolist() == [0.3, -0.25, 0.1] and message.header.stamp.sec == 5
    assert bridge.control_from_msg(message) == Control(5 * 10**9, 0.3, 0.25, 0.1, "limited")


class CarlaEgoVehicleControl(SimpleNamespace):
    """A stand-in with the interface of carla_msgs', which is not on PyPI."""

    @classmethod
    def get_fields_and_field_types(cls):
        return {"throttle": "float"}


def test_carla_msgs_control_is_used_where_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "carla_msgs", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "carla_msgs.msg", SimpleNamespace(CarlaEgoVehicleControl=CarlaEgoVehicleControl))
    adapter = carla_bridge.Adapter("hero")
    message = adapter.control_to_msg(Control(10**9, 0.5, -0.2, 0.0))
    assert isinstance(message, CarlaEgoVehicleControl) and message.steer == 0.2 and message.throttle == 0.5
    assert adapter.control_from_msg(message).steer == -0.2
    assert adapter.notes()["control message"].endswith("CarlaEgoVehicleControl") and "carla_msgs" not in adapter.notes()


def test_the_stand_in_for_carla_msgs_says_so(without_carla_msgs):
    notes = carla_bridge.Adapter().notes()
    assert "JointState" in notes["control message"] and "not installed" in notes["carla_msgs"]


def test_odometry_there_and_back_on_a_slope():
    ego = EgoState(7 * 10**9, Pose(1.0, -2.0, 3.0, yaw=0.7, pitch=-0.1, roll=0.05), 12.5, 0.2, lateral_mps=-0.3)
    back = BRIDGE.odometry_from_msg(BRIDGE.odometry_to_msg(ego))
    assert back.stamp_ns == ego.stamp_ns and back.yaw_rate_rps == 0.2
    assert (back.speed_mps, back.lateral_mps) == pytest.approx((12.5, -0.3), abs=1e-9)
    for name in ("x", "y", "z", "yaw", "pitch", "roll"):
        assert getattr(back.pose, name) == pytest.approx(getattr(ego.pose, name), abs=1e-9)


def test_odometry_that_is_not_finite_is_refused():
    message = BRIDGE.odometry_to_msg(EgoState(0, Pose(), 1.0))
    message.pose.pose.position.x = math.nan
    with pytest.raises(SensorError, match="finite"):
        BRIDGE.odometry_from_msg(message)


def test_an_image_is_bgra_in_an_array_and_comes_back():
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    message = BRIDGE.image_to_msg(rgb, 10**9, "front")
    assert message.encoding == "bgra8" and message.step == 12 and message.header.frame_id == "ego_vehicle/front"
    assert isinstance(message.data, array) and list(message.data[:4]) == [2, 1, 0, 255]
    assert (BRIDGE.image_from_msg(message) == rgb).all()


def bayer():
    message = BRIDGE.image_to_msg(np.zeros((2, 4, 3), np.uint8), 0, "front")
    message.encoding, message.step, message.data = "bayer_rggb8", 4, array("B", bytes(range(8)))
    return message


def test_an_encoding_of_others_goes_through_cv_bridge(monkeypatch):
    """A stand-in with the interface of vision_opencv's, which is partly C++ and not on PyPI."""
    class CvBridge:
        def imgmsg_to_cv2(self, message, desired_encoding):
            raw = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)
            return {"rgb8": np.repeat(raw[:, :, None], 3, 2)}[desired_encoding]

    monkeypatch.setitem(sys.modules, "cv_bridge", SimpleNamespace(CvBridge=CvBridge))
    assert BRIDGE.image_from_msg(bayer())[1].tolist() == [[4, 4, 4], [5, 5, 5], [6, 6, 6], [7, 7, 7]]
    with pytest.raises(SensorError, match="one that cv_bridge makes rgb8 of; got 'bayer_rggb8': "):
        BRIDGE.image_from_msg(SimpleNamespace(encoding="bayer_rggb8", width=4, height=2, data=b"123", is_bigendian=0))


@pytest.mark.parametrize(("encoding", "step", "data"), [("bayer_rggb8", 4, bytes(range(8))),
                                                        ("bayer_rggb16", 8, np.arange(8, dtype=">u2").tobytes())], ids=["8 bit", "16 bit"])
def test_cv_bridge_is_given_this_machines_byte_order(monkeypatch, encoding, step, data):
    """cv_bridge swaps bytes by a method of arrays that NumPy 2 does not have."""
    class CvBridge:
        def imgmsg_to_cv2(self, message, desired_encoding):
            assert bool(message.is_bigendian) == (sys.byteorder == "big") and message.header.frame_id.endswith("front")
            seen.append(np.frombuffer(message.data, np.uint16 if "16" in encoding else np.uint8))
            return np.zeros((message.height, message.width, 3), np.uint8)

    seen = []
    monkeypatch.setitem(sys.modules, "cv_bridge", SimpleNamespace(CvBridge=CvBridge))
    message = bayer()
    message.encoding, message.step, message.is_bigendian, message.data = encoding, step, int(sys.byteorder == "little"), array("B", data)
    BRIDGE.image_from_msg(message)
    assert seen[0].tolist() == list(range(8)) and bytes(message.data) == data


def test_an_encoding_of_others_without_cv_bridge_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(SensorError, match="rgb8, .* or cv_bridge to convert it; got 'bayer_rggb8'.*ros-.ROS_DISTRO-cv-bridge"):
        BRIDGE.image_from_msg(bayer())


def test_image_size_is_checked():
    message = BRIDGE.image_to_msg(np.zeros((2, 3, 3), np.uint8), 0, "front")
    with pytest.raises(SensorError, match="64x32 pixels"):
        BRIDGE.image_from_msg(message, CameraSpec("front", Pose(), 64, 32, 90.0))


def test_points_that_are_all_lost_are_refused():
    with pytest.raises(SensorError, match="2 points, none of them finite"):
        BRIDGE.cloud_from_msg(BRIDGE.to_msg("cloud", np.full((2, 4), np.nan, np.float32), 0, "lidar"))


def test_frames_of_channels():
    """By the bridge's rule: the vehicle, a sensor of it, or the map."""
    frames = {name: BRIDGE.to_msg(name, record, 0, "front").header.frame_id for name, record in (
        ("state", {}), ("imu", SAMPLES["imu"][0]), ("depth", np.zeros((2, 2))), ("objects", np.zeros(0, ACTOR_DTYPE)))}
    assert frames == {"state": "ego_vehicle", "imu": "ego_vehicle/imu", "depth": "ego_vehicle/front_depth", "objects": "map"}


def test_a_route_is_exact_to_the_bit():
    route = straight_route()
    noisy = np.random.default_rng(0).normal(size=route.points.shape)
    object.__setattr__(route, "points", noisy)
    back = BRIDGE.route_from_msg(BRIDGE.route_to_msg(route))
    assert (back.points == noisy).all() and (back.commands == route.commands).all() and back.commands.dtype == np.int8


def test_the_speedometer_with_and_without_header():
    assert BRIDGE.from_msg("speedometer", BRIDGE.to_msg("speedometer", -1.5, 5)) == (None, -1.5)
    lb2 = carla_bridge_lb2.Adapter()
    with_header = SimpleNamespace(header=SimpleNamespace(stamp=to_stamp(9)), speed=3.25)
    assert lb2.from_msg("speedometer", with_header) == (9, 3.25) and lb2.role_name == "hero"


def test_native_depth_and_tags():
    native = carla_native.Adapter()
    pixels = np.array([[[255, 255, 255, 255], [1, 2, 10, 255]]], np.uint8)  # B, G, R, A
    message = Image(height=1, width=2, encoding="bgra8", step=8, data=array("B", pixels.tobytes()))
    assert native.from_msg("depth", message)[0, 0] == 1000.0 and native.from_msg("semantic", message)[0].tolist() == [255, 10]
    picture = native.to_msg("image", np.zeros((1, 1, 3), np.uint8), 0, "front")
    assert native.frame_id("front") == "front" and picture.header.frame_id == "front"


def plan_for_test():
    points = np.random.default_rng(1).normal(size=(4, 2)) + [[3.0, 0.0], [6.0, 0.0], [9.0, 0.0], [12.0, 0.0]]
    return Plan(3 * 10**9, Trajectory(3 * 10**9, points, 0.5 * np.arange(1, 5)),
                NavigationGoal(np.array([20.1, -3.2]), Command.LEFT), control=Control(3 * 10**9, 0.31, -0.12, 0.0),
                candidates=np.stack([points, points + 1.0]), inference_ms=4.5, notes={"speed": 5.1})


def test_a_trajectory_for_controllers_of_another_make():
    """Points as they are, headings and speeds by differences: 3 m in 0.5 s along x is 6 m/s."""
    trajectory = Trajectory(3 * 10**9, np.array([[3.0, 0.0], [3.0, 1.0]]), np.array([0.5, 1.0]))
    first, second = standard.trajectory_to_joints(trajectory, "ego_vehicle").points
    assert (first.transforms[0].translation.x, first.velocities[0].linear.x) == (3.0, 6.0)
    assert (second.transforms[0].translation.y, second.velocities[0].linear.y) == (1.0, 2.0)
    assert 2 * math.atan2(second.transforms[0].rotation.z, second.transforms[0].rotation.w) == pytest.approx(math.pi / 2)
    assert (second.time_from_start.sec, second.time_from_start.nanosec) == (1, 0)


def test_a_path_is_in_map_with_times_of_arrival():
    trajectory = Trajectory(10**9, np.array([[2.0, 0.0], [4.0, 1.0]]), np.array([0.5, 1.0]))
    path = standard.trajectory_to_path(trajectory, Pose(10.0, 20.0, yaw=math.pi / 2))
    assert path.header.frame_id == "map"
    first, second = path.poses
    assert (first.pose.position.x, first.pose.position.y) == pytest.approx((10.0, 22.0))
    assert (second.pose.position.x, second.pose.position.y) == pytest.approx((9.0, 24.0))
    assert from_stamp(second.header.stamp) == 2 * 10**9
    assert 2 * math.atan2(first.pose.orientation.z, first.pose.orientation.w) == pytest.approx(math.pi / 2)


def test_markers_show_trajectory_candidates_and_goal():
    markers = plan_to_markers(plan_for_test(), Pose()).markers
    assert [marker.ns for marker in markers] == ["trajectory", "candidates", "candidates", "target_point"]
    assert len(markers[0].points) == 5 and markers[0].header.frame_id == "map"


def test_markers_show_road_users_with_forecasts_lines_and_scores():
    rows = np.zeros(2, DETECTION_DTYPE)
    for row, x in zip(rows, (10.0, np.nan), strict=True):
        row["kind"], row["x"], row["y"], row["length"], row["width"], row["height"], row["z"] = ActorKind.CAR, x, 2.0, 4.0, 2.0, 1.5, np.nan
    futures = np.array([[[[11.0, 2.0], [np.nan, np.nan]], [[12.0, 2.0], [14.0, 2.0]]]] * 2, np.float32)
    plan = replace(plan_for_test(), scores=np.array([0.9, 0.1]),
                   detections=Detections(rows, futures, np.array([[0.1, 0.9]] * 2, np.float32), np.array([0.5, 1.0])),
                   lines=MapLines(np.array([[[0, 3], [20, 3], [np.nan, np.nan]]], np.float32), np.array([1], np.uint8), np.ones(1)))
    found = {}
    for marker in plan_to_markers(plan, Pose(100.0, 50.0, yaw=math.pi / 2)).markers:
        found.setdefault(marker.ns, []).append(marker)
    assert {name: len(markers) for name, markers in found.items()} == {
        "trajectory": 1, "candidates": 2, "users": 1, "forecasts": 1, "lines": 1, "target_point": 1}, "a broken place is left out"
    box, = found["users"]
    assert (box.pose.position.x, box.pose.position.y, box.pose.position.z) == pytest.approx((98.0, 60.0, 0.75))
    assert (box.scale.x, box.scale.y, box.scale.z) == (4.0, 2.0, 1.5) and box.lifetime.nanosec == 500_000_000
    np.testing.assert_allclose([(point.x, point.y) for point in found["forecasts"][0].points], [(98, 60), (98, 62), (98, 64)], atol=1e-9)
    assert len(found["lines"][0].points) == 2
    for marker, colour in zip(found["candidates"], (STOPS[2], STOPS[0]), strict=True):
        assert (marker.color.r, marker.color.g, marker.color.b) == pytest.approx(tuple(colour / 255.0))


def test_ackermann_is_radians_positive_left():
    kind = lambda header: SimpleNamespace(header=header, drive=SimpleNamespace())  # noqa: E731
    message = standard.steering_to_msg(kind, Control(1, steer=0.5), 3.0, 1.2, "ego_vehicle")
    assert message.drive.steering_angle == pytest.approx(0.6) and message.drive.speed == 3.0


def test_frames_of_a_tick_static_frames_and_a_cameras_optical_axes():
    rig = SensorRig((CameraSpec("front", Pose(x=1.3, z=2.3), 64, 32, 90.0),), (LidarSpec("lidar", Pose(z=2.5)),))
    station = Station("rsu", Pose(5.0, 6.0), (CameraSpec("north", Pose(5.0, 6.0, 7.0), 64, 32, 90.0),))
    ego, (camera, lidar, imu, gnss) = vehicle_mount(BRIDGE, Pose(1.0, 2.0, yaw=0.5)), sensor_mounts(BRIDGE, rig)
    roadside, = station_mounts((station,))
    assert [imu, gnss] == [("ego_vehicle", "ego_vehicle/imu", Pose()), ("ego_vehicle", "ego_vehicle/gnss", Pose())]
    assert BRIDGE.to_msg("imu", SAMPLES["imu"][0], 1).header.frame_id == imu.child, "messages name a frame that there is"
    assert ego[:2] == ("map", "ego_vehicle") and camera[:2] == ("ego_vehicle", "ego_vehicle/front") and roadside[:2] == ("map", "rsu/north")
    # Optical z looks forward, x to the right, y down: the standard rotation (-0.5, 0.5, -0.5, 0.5).
    q = np.array(quaternion_of(camera.pose))
    assert q * np.sign(q[3]) == pytest.approx([-0.5, 0.5, -0.5, 0.5]) and lidar.pose == Pose(z=2.5)


def test_the_world_sends_static_frames_once_and_the_vehicle_every_tick(monkeypatch):
    """A stand-in for tf2_msgs, which is not on PyPI."""
    sent = {}

    def advertise(node, kind, topic, profile, lifecycle=False):
        return SimpleNamespace(publish=lambda message: sent.setdefault(topic, []).append(message), get_subscription_count=lambda: 1)

    adapter = carla_bridge.Adapter()
    real_type, real_message = adapter.type_of, adapter.to_msg
    adapter.type_of = lambda channel: object if channel.startswith("tf") else real_type(channel)
    adapter.to_msg = lambda channel, record, *more: record if channel.startswith("tf") else real_message(channel, record, *more)
    monkeypatch.setattr(world_outputs, "advertise", advertise)
    outputs = world_outputs.WorldOutputs(None, adapter, SensorRig((CameraSpec("front", Pose(), 64, 32, 90.0),)))
    outputs.begin(straight_route())
    for n in range(3):
        outputs.tick(scene_at(n), SimpleNamespace(images={}, clouds={}, imu=None, gnss=None, roadside=()))
    (static,), moving = sent["tf_static"], sent["tf"]
    assert [mount.child for mount in static] == ["ego_vehicle/front", "ego_vehicle/imu", "ego_vehicle/gnss"]
    assert len(moving) == 3 and [mount.child for mount in moving[0]] == ["ego_vehicle"]


@pytest.mark.parametrize("installed", [False, True])
def test_the_frames_of_stations_out_of_a_file_are_sent_once(monkeypatch, installed):
    """A stand-in for tf2_msgs, which is not on PyPI."""
    sent, closed = [], []
    adapter = SimpleNamespace(type_of=lambda channel: object if installed else None, to_msg=lambda channel, mounts, stamp_ns: mounts)
    port = SimpleNamespace(publish=sent.append)
    monkeypatch.setattr(station_frames, "advertise", lambda node, kind, topic, profile: port)
    one = Station("rsu", Pose(5.0, 6.0), (CameraSpec("north", Pose(5.0, 6.0, 7.0), 64, 32, 90.0),))
    frames = station_frames.StationFrames(SimpleNamespace(destroy_publisher=closed.append), adapter, (one, Station("blind", Pose())))
    assert [[mount[:2] for mount in mounts] for mounts in sent] == ([[("map", "rsu/north")]] if installed else [])
    assert frames.values() == {"frames of station cameras": 1 if installed else "none: tf2_msgs is not installed"}
    frames.close()
    assert closed == ([port] if installed else [])


@pytest.mark.parametrize("profile", ["carla_bridge", "autoware"])
def test_reverse_and_hand_brake_of_another_controller_are_not_passed_over(profile):
    adapter = make_adapter(profile, "hero", "0.9.15")

    def read(**more):
        plain = {"throttle": 0.5, "steer": -0.25, "brake": 0.0, "hand_brake": False, "reverse": False}
        return adapter.control_from_msg(SimpleNamespace(**{"header": base.header(foreign.make, 5, ""), **plain, **more}))

    assert read() == Control(5, 0.5, 0.25, 0.0) and read(hand_brake=True) == Control(5, 0.5, 0.25, 1.0)
    assert read(reverse=True, throttle=0.0, brake=1.0).brake == 1.0
    with pytest.raises(SensorError, match="drives forward; got throttle in reverse"):
        read(reverse=True)


def test_sensors_that_the_built_in_world_lacks_are_reported(capsys):
    content = carla_objects.to_objects(SensorRig((CameraSpec("front", Pose(), 64, 32, 90.0),)), "hero")
    carla_objects.from_objects(content, "hero")
    assert capsys.readouterr().err == ""
    content["objects"][0]["sensors"].append({"type": "sensor.other.radar", "id": "nose"})
    assert len(carla_objects.from_objects(content, "hero").cameras) == 1
    assert "sensor nose (sensor.other.radar) of the sensor file is left out" in capsys.readouterr().err


def test_the_sensor_file_there_and_back():
    rig = SensorRig((CameraSpec("front", Pose(x=1.3, z=2.3, yaw=math.radians(60)), 400, 300, 100.0, 0.1),),
                    (LidarSpec("lidar", Pose(z=2.5), channels=32, period_s=0.1),), roadside=RoadsideWish(2, 90.0, objects=True))
    station = Station("rsu", Pose(5.0, 6.0), (CameraSpec("north", Pose(5.0, 6.0, 7.0, pitch=0.4), 64, 32, 90.0),))
    content = carla_objects.to_objects(rig, "hero", stations=(station,))
    assert content["objects"][2] == {"type": "sensor.pseudo.objects", "id": "objects"}, "the bridge then sends /carla/objects"
    assert len(carla_objects.to_objects(rig, "hero")["objects"]) == 1
    assert content["objects"][1]["id"] == "rsu/north" and content["objects"][1]["spawn_point"]["z"] == 7.0
    ego = content["objects"][0]
    assert ego["id"] == "hero" and ego["sensors"][0]["spawn_point"]["yaw"] == pytest.approx(60.0)
    assert ego["sensors"][0]["sensor_tick"] == 0.0 and ego["sensors"][0]["fov"] == 100.0
    assert {sensor["type"] for sensor in ego["sensors"]} >= set(carla_objects.PSEUDO)
    known = {"type", "id", "spawn_point", "image_size_x", "image_size_y", "fov", "sensor_tick"}
    assert set(ego["sensors"][0]) == known, "CARLA refuses attributes that it does not know"
    back = carla_objects.from_objects(content, "hero")
    assert back.lidars[0] == rig.lidars[0] and back.cameras[0].pose.yaw == pytest.approx(rig.cameras[0].pose.yaw)
    assert back.roadside == rig.roadside and back.cameras[0].period_s == 0.1 and len(back.cameras) == 1


@pytest.mark.parametrize("content", [
    {}, {"objects": []}, {"objects": [{"id": "hero", "sensors": [{"type": "sensor.camera.rgb"}]}]}])
def test_a_broken_sensor_file_is_refused(content):
    with pytest.raises(ConfigError):
        carla_objects.from_objects(content, "hero")


@pytest.mark.parametrize("name", ["carla_bridge", "carla_bridge_lb2", "carla_native"])
def test_every_profile_names_every_port_and_its_adapter(name):
    profile = load_profile(name, "hero")
    assert set(profile.topics) == set(known_ports()) and profile.namespace == "/carla/hero"
    assert profile.topics["control"] == "vehicle_control_cmd" and profile.topics["clock"] == "/clock"
    assert make_adapter(name, profile.role_name, profile.carla_version).profile == name


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="carla_bridge_lb2"):
        load_profile("apollo")


@pytest.mark.parametrize("profile", ["carla_bridge", "carla_bridge_lb2", "carla_native", "autoware"])
def test_speeds_come_back_on_slopes_in_every_profile(profile):
    """10 m/s up 10 degrees, in a bend: what an adapter writes it reads back, the bridge's wrong turn included."""
    adapter = make_adapter(profile, "hero", "0.9.15")
    ego = EgoState(10**9, Pose(1.0, 2.0, yaw=0.8, pitch=math.radians(-10.0), roll=0.05), 10.0, yaw_rate_rps=0.3, lateral_mps=0.4)
    message = adapter.odometry_to_msg(ego)
    back = adapter.odometry_from_msg(message)
    assert (back.speed_mps, back.lateral_mps) == (pytest.approx(10.0), pytest.approx(0.4))
    honest = message.twist.twist.linear.x == pytest.approx(10.0)
    assert honest == (profile == "autoware")


def test_autowares_profile_and_adapter(monkeypatch):
    """The vehicle's own speed wins over odometry's while it is fresh, and the twist is the body's, also on a slope."""
    from kd_planner_ros.ros.adapters import autoware as adapters
    from kd_planner_ros.wire.codec import autoware

    profile = load_profile("autoware")
    assert set(profile.topics) == set(known_ports()) and profile.topics["control"] == "/control/command/control_cmd"
    assert profile.topics["autoware_trajectory"] == "/planning/trajectory"
    adapter = make_adapter("autoware", profile.role_name, profile.carla_version)
    assert (adapter.frame_id(), adapter.frame_id("front")) == ("base_link", "front") and set(adapter.reports) <= set(known_ports())
    message = BRIDGE.odometry_to_msg(EgoState(7 * 10**9, Pose(1.0, 2.0, pitch=-0.2), 0.0))
    message.twist.twist.linear.x = 9.0
    assert adapter.odometry_from_msg(message).speed_mps == 9.0
    take = adapter.reports["velocity_status"][1]
    report = foreign.make(autoware.VELOCITY, header=base.header(foreign.make, 7 * 10**9 + 10**8, ""), longitudinal_velocity=8.5,
                          lateral_velocity=0.5, heading_rate=0.25)
    take(report)
    ego = adapter.odometry_from_msg(message)
    assert (ego.speed_mps, ego.lateral_mps, ego.yaw_rate_rps) == (8.5, 0.5, 0.25)
    report.header.frame_id = "map"
    with pytest.raises(SensorError, match="VelocityReport in base_link; got one in 'map'"):
        take(report)
    message.header.stamp = to_stamp(8 * 10**9)
    assert adapter.notes()["speed from"] == "velocity_status"
    assert adapter.odometry_from_msg(message).speed_mps == 9.0, "a report of a second ago is not taken"
    assert adapter.notes()["speed from"] == "odometry: the newest VelocityReport is not of its time"
    adapter.reports["steering_status"][1](foreign.make(autoware.STEERING, stamp=base.time(foreign.make, 1), steering_tire_angle=0.25))
    assert adapter.notes()["reported steering rad"] == "0.2500"
    adapter.max_steer_rad = 1.0
    monkeypatch.setattr(adapters, "find_type", lambda kind: object)
    monkeypatch.setattr(adapters, "make", foreign.make)
    sent = adapter.control_to_msg(Control(5, steer=0.5, brake=0.5))
    assert sent.lateral.steering_tire_angle == 0.5 and adapter.control_from_msg(sent) == Control(5, 0.0, 0.5, 0.5)
    monkeypatch.setattr(adapters, "find_type", lambda kind: None)
    assert "which Autoware does not read" in adapter.notes()["autoware_control_msgs"]
    assert adapter.control_from_msg(adapter.control_to_msg(Control(5, steer=0.5))).steer == 0.5
