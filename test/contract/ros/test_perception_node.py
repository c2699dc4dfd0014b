"""The perception node with real rclpy: every kind of output, labels, calibration, history, faults, plugins."""

import json
import math
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from geometry_msgs.msg import Point, PoseStamped
from geometry_msgs.msg import Pose as RosPose
from nav_msgs.msg import Path
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, Header, String
from support.fakes import CAMERA, FakePerceiver, FakePlanner
from support.graph import wait_for
from support.perception import install_network, save_tiny
from support.perception_node import LATCHED, START, TICK, Source, collect, connected, play, start
from support.plugins import distribution

from kd_planner_ros.bags.messages import make
from kd_planner_ros.core.ego import Command, NavigationGoal, Pose
from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.core.plugins import NETWORKS
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.diagnostics import ERROR, WARN
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.messages import make as ros_make
from kd_planner_ros.ros.nodes import perception_node, planner_node
from kd_planner_ros.ros.ports import calibration_inputs
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.wire.codec.base import pose_of, quaternion
from kd_planner_ros.wire.codec.dense import DENSE_ENCODINGS, dense_of
from kd_planner_ros.wire.codec.motion import Mount, transforms


def test_every_kind_of_output_arrives_exactly(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph)
    names = list(eye.perceive(perception_node.blank_frame(eye)).outputs)
    found = {name: collect(graph, Image, f"perception/{name}") for name in names}
    ready = collect(graph, Bool, "perception/ready", LATCHED)
    labels = collect(graph, String, "perception/classes/labels", LATCHED)
    scalars, infos = collect(graph, JointState, "perception/scalars"), collect(graph, CameraInfo, "perception/camera_info")
    node = start(graph, monkeypatch, eye)
    assert wait_for(lambda: ready and ready[-1].data and connected(node, *names, "scalars", "camera_info"))
    eye.frames.clear()
    play(source, eye, range(4))
    wanted = eye.perceive(eye.frames[1]).outputs
    for name, output in wanted.items():
        assert wait_for(lambda name=name: len(found[name]) == 2), name
        message = found[name][1]
        assert message.encoding == DENSE_ENCODINGS[output.kind] and (message.height, message.width) == (8, 16)
        assert from_stamp(message.header.stamp) == START + 2 * TICK and message.header.frame_id == "ego_vehicle/front"
        assert np.array_equal(dense_of(message, output.kind).array, output.array, equal_nan=output.kind == "depth")
    assert wait_for(lambda: labels) and json.loads(labels[-1].data) == {"0": "road", "1": "car", "2": "sky"}
    assert wait_for(lambda: len(scalars) == len(infos) == 2)
    assert dict(zip(scalars[0].name, scalars[0].position, strict=True)) == {"steer": 0.25, "twist_x": 5.0}
    assert (infos[1].width, infos[1].height) == (16, 8) and infos[1].header.stamp == found["depth"][1].header.stamp
    assert infos[1].k[0] == pytest.approx(CAMERA.focal_px / 4)


@pytest.mark.parametrize("given, loaded, text", [
    ({"model": "eye"}, ["eye"], ""), ({"perceiver": "eye"}, ["eye"], ""), ({"model": "eye", "perceiver": "eye"}, ["eye"], ""),
    ({"model": "eye", "perceiver": "ear"}, [], "one of the parameters model and perceiver, or both alike; got 'eye' and 'ear'")])
def test_the_model_has_two_names(graph, monkeypatch, given, loaded, text):
    """``model``, as nodes of detectors have it, and ``perceiver`` beside ``planner``."""
    asked = []
    monkeypatch.setattr(perception_node, "load", lambda name, *a, **k: asked.append(name) or FakePerceiver())
    node = graph.start(perception_node.PerceptionNode, given)
    assert autostart(node) == bool(loaded) and asked == loaded
    assert text in str(node.health.worst)


def test_a_remapped_camera_keeps_its_own_frame(graph, monkeypatch):
    """A world that mounts the camera under another name: what is made of its pictures stands in its frame, not in the planner's."""
    eye, source, depths = FakePerceiver(), Source(graph, camera="perception_front"), collect(graph, Image, "perception/depth")
    monkeypatch.setattr(perception_node, "load", lambda *a, **k: eye)
    node = graph.start(perception_node.PerceptionNode, {"use_sim_time": True}, remaps=[("front/image", "perception_front/image")])
    assert autostart(node), node.health.worst
    graph.spin_in_thread(node)
    assert wait_for(lambda: connected(node, "depth"))
    play(source, eye, range(2))
    assert wait_for(lambda: depths) and depths[0].header.frame_id == "ego_vehicle/perception_front"


def test_a_strip_of_the_outputs_is_kept_now_and_then(graph, monkeypatch, tmp_path):
    """Ten perceptions a second, a strip each 0.15 s; named by the time since the drive began."""
    eye, source = FakePerceiver(), Source(graph)
    start(graph, monkeypatch, eye, strips_dir=str(tmp_path / "run" / "perception"), strips_every_s=0.15)
    play(source, eye, range(7))
    assert wait_for(lambda: len([*tmp_path.glob("run/perception/*.png")]) == 2)
    assert sorted(path.name for path in tmp_path.glob("run/perception/*")) == ["00000000.png", "00000200.png"]


def test_outputs_come_where_no_strip_can_be_written(graph, monkeypatch, tmp_path):
    eye, source, depths = FakePerceiver(), Source(graph), collect(graph, Image, "perception/depth")
    (tmp_path / "file").write_text("")
    node = start(graph, monkeypatch, eye, strips_dir=str(tmp_path / "file"))
    assert wait_for(lambda: connected(node, "depth"))
    play(source, eye, range(2))
    assert wait_for(lambda: depths) and wait_for(lambda: "strip of outputs cannot be written to" in (node.health.get("strips") or ""))


def test_a_frame_has_no_goal_and_holds_the_declared_history(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph)
    start(graph, monkeypatch, eye)
    eye.frames.clear()
    play(source, eye, range(8))
    assert all(frame.goal is None for frame in eye.frames) and eye.frames[-1].ego.speed_mps == 5.0
    first, last = eye.frames[0], eye.frames[-1]
    assert first.history == (None, None)
    assert [past.stamp_ns for past in last.history] == [last.stamp_ns - 2 * TICK, last.stamp_ns - 4 * TICK]
    assert [past.images["front"][0, 0, 0] for past in last.history] == [4, 2]
    resets = eye.resets
    play(source, eye, [100])
    play(source, eye, [0])  # time is set back: nothing from before may count
    assert eye.resets > resets and eye.frames[-1].history == (None, None)


SPEC_20_HZ = replace(CAMERA, period_s=0.05)


@pytest.mark.parametrize("rate_hz, history_s", [(2.0, (0.1, 0.05)), (10.0, (0.15,))])
def test_a_model_gets_pictures_of_its_history_on_which_it_did_not_run(graph, monkeypatch, rate_hz, history_s):
    """20 pictures a second; the model runs on one of ten, or of two. Every other one may be part of a history."""
    eye, source = FakePerceiver(SensorRig((SPEC_20_HZ,), history_s=history_s)), Source(graph)
    eye.rate_hz = rate_hz
    node = start(graph, monkeypatch, eye)
    eye.frames.clear()
    assert wait_for(lambda: source.heard)
    period = round(20 / rate_hz)
    for n in range(31):
        source.tick(n)
        assert wait_for(lambda: len(eye.frames) == n // period + 1), n
        wait_for(lambda: node._inputs.newest_ns == START + n * TICK)
    assert eye.frames[0].history == (None,) * len(history_s)
    whole = [frame for frame in eye.frames if frame.stamp_ns - START > 0.15e9]
    assert [tuple((frame.stamp_ns - past.stamp_ns) / 1e9 for past in frame.history) for frame in whole] == [history_s] * len(whole)
    for frame in whole:
        for past in frame.history:
            assert past.images["front"][0, 0, 0] == round((past.stamp_ns - START) / TICK) and past.history == ()
            assert past.calibrations == frame.calibrations and past.ego.stamp_ns == past.stamp_ns
    assert node._inputs.values(None)["frames without their whole history"] == len(eye.frames) - len(whole)


def test_a_busy_model_gets_pictures_of_its_history_that_its_slot_dropped(graph, monkeypatch):
    """Three ticks and more of latency: pictures come while the model works; those that it never runs on are remembered all the same."""
    eye, source, release = FakePerceiver(SensorRig((SPEC_20_HZ,), history_s=(0.1,))), Source(graph), threading.Event()
    real = eye.perceive
    eye.perceive = lambda frame: (release.wait(20.0), real(frame))[1]
    release.set()
    node = start(graph, monkeypatch, eye)
    eye.frames.clear()
    release.clear()
    assert wait_for(lambda: source.heard)
    for n in range(8):
        source.tick(n)
        assert wait_for(lambda: node._inputs.newest_ns == START + n * TICK)
        assert wait_for(lambda: node._inputs.aligner.counters.sets == n // 2 + 1)
    release.set()
    assert wait_for(lambda: len(eye.frames) == 2)
    assert [round((frame.stamp_ns - START) / TICK) for frame in eye.frames] == [0, 6], "2 and 4 waited in the slot and were dropped"
    past, = eye.frames[-1].history
    assert past.images["front"][0, 0, 0] == 4 and past.stamp_ns == eye.frames[-1].stamp_ns - 2 * TICK


def test_the_calibration_comes_from_camera_info(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph, infos=True)
    node = start(graph, monkeypatch, eye)
    eye.frames.clear()
    play(source, eye, [0])
    assert eye.frames[-1].calibrations == {"front": CAMERA}
    real = CameraSpec("front", Pose(), 64, 32, 90.0)
    assert wait_for(source.infos.get_subscription_count)
    source.infos.publish(source.adapter.to_msg("camera_info", real, START, "front"))
    time.sleep(0.3)
    play(source, eye, [2])
    used = eye.frames[-1].calibrations["front"]
    assert used.fov_deg == pytest.approx(90.0) and used.pose == CAMERA.pose, "the pose stays the declared one"
    assert node.health.worst[0] == ERROR and "camera_info has focal lengths 32.0" in node.health.get("intrinsics of front")


NODES = {"planner": (planner_node, FakePlanner), "perception": (perception_node, FakePerceiver)}


def start_model_node(graph, monkeypatch, name):
    """The planner or the perception node; both have one rule for calibration."""
    module, model = NODES[name]
    monkeypatch.setattr(module, "load", lambda *a, **k: model())
    node = graph.start(getattr(module, f"{name.capitalize()}Node"), {"use_sim_time": True})
    assert autostart(node)
    return node


@pytest.mark.parametrize("name", NODES)
def test_a_camera_that_is_not_the_models_is_told_with_both_numbers(graph, monkeypatch, name):
    """Declared: 64x32 pixels, 100 degrees, a focal length of 26.9 px."""
    source = Source(graph, infos=True)
    node = start_model_node(graph, monkeypatch, name)
    graph.spin_in_thread(node)
    assert wait_for(source.infos.get_subscription_count)

    def told(fov_deg):
        spec = CameraSpec("front", Pose(), 64, 32, fov_deg)
        source.infos.publish(source.adapter.to_msg("camera_info", spec, START, "front"))
        return node.health.get("intrinsics of front")

    def level():
        return node.health._conditions["intrinsics of front"][0]

    assert wait_for(lambda: told(98.0)) and level() == WARN
    assert node.health.get("intrinsics of front") == (
        "sensor front: camera_info has focal lengths 27.8 and 27.8 px, centre (32.0, 16.0) px; the model declares 26.9 px and "
        "(32.0, 16.0) px; mount the sensor that the model declares, or train a model for this one")
    assert wait_for(lambda: told(60.0) and level() == ERROR) and node.health.worst[0] == ERROR
    assert wait_for(lambda: told(100.0) is None)

    def frames(**mount):
        pose = replace(CAMERA.pose, **mount)
        chain = [Mount("ego_vehicle", "ego_vehicle/roof", Pose(z=1.0)), Mount("ego_vehicle/roof", "ego_vehicle/front", optical(pose))]
        node._inputs._calibration._take_static(transforms(make, chain, 0))  # a stand-in: tf2_msgs is not on PyPI
        return node.health.get("mounting of front")

    assert frames(z=CAMERA.pose.z - 1.0) is None
    assert "0.10 m and 0.0 degrees apart" in frames(z=CAMERA.pose.z - 1.1) and node.health._conditions["mounting of front"][0] == WARN
    assert "0.00 m and 10.0 degrees apart" in frames(z=CAMERA.pose.z - 1.0, yaw=math.radians(10.0)) and node.health.worst[0] == ERROR
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.health.get("mounting of front") is None


@pytest.mark.parametrize("name", NODES)
def test_mountings_are_compared_where_the_bridge_sends_frames_on_tf(graph, monkeypatch, name):
    """CARLA's bridge sends a sensor's frame on /tf with each sample. tf2_msgs is not on PyPI: a Path stands in for its message."""
    def mounts(message):
        return [Mount(*one.header.frame_id.split(">"), pose_of(one.pose.position, one.pose.orientation)) for one in message.poses]

    real = Adapter.type_of
    monkeypatch.setattr(Adapter, "type_of", lambda self, name: Path if name.startswith("tf") else real(self, name))
    monkeypatch.setattr(calibration_inputs, "find_channel", lambda name: SimpleNamespace(decode=mounts))
    node = start_model_node(graph, monkeypatch, name)
    graph.spin_in_thread(node)
    publisher = graph.node.create_publisher(Path, "/tf", 100)

    def told(parent, **mount):
        pose = optical(replace(CAMERA.pose, **mount))
        place = RosPose(position=Point(x=pose.x, y=pose.y, z=pose.z), orientation=quaternion(ros_make, pose))
        publisher.publish(Path(poses=[PoseStamped(header=Header(frame_id=f"{parent}>ego_vehicle/front"), pose=place)]))
        return node.health.get("mounting of front") or ""

    assert wait_for(lambda: "tf has" in told("ego_vehicle", y=0.5)), "frames on /tf were passed over"
    assert "0.50 m and 0.0 degrees apart" in node.health.get("mounting of front") and node.health.worst[0] == ERROR
    assert wait_for(lambda: told("ego_vehicle") == "")
    for _ in range(5):
        told("map", x=90.0)  # without lock-step the bridge hangs sensors off the map, where the car moves
        told("elsewhere", x=90.0)
    assert wait_for(lambda: "0.10 m" in told("ego_vehicle", z=CAMERA.pose.z - 0.1)) and node.health.worst[0] == WARN
    assert node._values()["mounts compared"] == "1 of 1"


def test_a_camera_alone_is_enough_where_odometry_is_not_wanted(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph, odometry=False)
    node = start(graph, monkeypatch, eye, odometry=False)
    eye.frames.clear()
    play(source, eye, range(3))
    assert math.isnan(eye.frames[-1].ego.speed_mps) and math.isnan(eye.frames[-1].ego.pose.x)
    assert node.health.get("unseen") is None


def test_overlays_are_drawn_only_while_somebody_looks(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph)
    drawn = []
    from kd_planner_ros.ros.ports import perception_outputs

    real = perception_outputs.overlay
    monkeypatch.setattr(perception_outputs, "overlay", lambda *a: drawn.append(a) or real(*a))
    node = start(graph, monkeypatch, eye)
    eye.frames.clear()
    play(source, eye, range(2))
    assert not drawn
    pictures = collect(graph, Image, "perception/classes/overlay")
    assert wait_for(lambda: connected(node, "classes/overlay"))
    play(source, eye, range(2, 4))
    assert wait_for(lambda: pictures) and len(drawn) == 1
    assert pictures[0].encoding == "bgra8" and (pictures[0].height, pictures[0].width) == (8, 16)


def test_a_perceiver_that_raises_is_named_and_the_node_lives(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph)
    depths = collect(graph, Image, "perception/depth")
    node = start(graph, monkeypatch, eye)
    assert wait_for(lambda: connected(node, "depth"))
    eye.frames.clear()
    eye.fail = RuntimeError("out of focus")
    play(source, eye, range(2))
    assert wait_for(lambda: node.health.get("perceiver"))
    assert "the perceiver failed: RuntimeError: out of focus" in node.health.get("perceiver") and not depths
    eye.fail, eye.more = None, {"extra": DenseOutput("mask", np.ones((2, 2), bool))}
    play(source, eye, range(2, 4))
    assert wait_for(lambda: "extra (mask)" in (node.health.get("perceiver") or "")), "outputs that change are refused"
    eye.more = {}
    play(source, eye, range(4, 6))
    assert wait_for(lambda: depths and node.health.get("perceiver") is None)
    assert node._inference.faults == 2 and node._inference.results == 1


@pytest.mark.parametrize("name", ["camera_info", "Depth map"])
def test_an_output_that_no_topic_can_hold_refuses_to_configure(graph, monkeypatch, name):
    eye = FakePerceiver()
    eye.more = {name: DenseOutput("mask", np.ones((2, 2), bool))}
    monkeypatch.setattr(perception_node, "load", lambda *a, **k: eye)
    node = graph.start(perception_node.PerceptionNode, {})
    assert not autostart(node) and node.health.worst[0] == ERROR
    assert repr(name) in node.health.worst[1] and "rename the output" in node.health.worst[1]
    graph.spin_in_thread(node)


def test_deactivated_it_is_silent_and_cleanup_drops_the_ports(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph)
    ready = collect(graph, Bool, "perception/ready", LATCHED)
    node = start(graph, monkeypatch, eye)
    assert wait_for(lambda: source.heard and ready and ready[-1].data)
    node.trigger_deactivate()
    eye.frames.clear()
    for n in range(4):
        source.tick(n)
    time.sleep(0.3)
    assert not eye.frames and not ready[-1].data
    node.trigger_cleanup()
    assert not [one.topic_name for one in node.publishers if "/perception/" in one.topic_name
                and not one.topic_name.endswith(("/ready", "/debug/processing_time_ms"))], "those two are the node's own"


def test_a_strangers_network_runs_as_a_node_and_a_broken_one_is_named(graph, monkeypatch, tmp_path):
    install_network(monkeypatch, tmp_path, "node_eye_package")
    distribution(monkeypatch, tmp_path, "node-broken", {NETWORKS: {"node_broken": "node_broken"}},
                 {"node_broken/__init__.py": "raise OSError('no licence file')\n"})
    save_tiny(tmp_path / "models", "eye")
    source, depths = Source(graph), collect(graph, Image, "perception/depth")
    node = start(graph, monkeypatch, perceiver="auto", models_dir=str(tmp_path / "models"))
    assert wait_for(lambda: source.heard and connected(node, "depth"))
    source.tick(20)
    assert wait_for(lambda: depths) and (depths[0].width, depths[0].encoding) == (64, "32FC1")
    assert node.health.get("state") == "perceiving with eye"
    assert "plugin 'node_broken'" in node.health.get("plugins") and "node-broken" in node.health.get("plugins")
    assert node.health.worst[0] == WARN


def test_a_planner_is_refused_as_a_perceiver(graph):
    node = graph.start(perception_node.PerceptionNode, {"perceiver": "constant_velocity"})
    assert not autostart(node)
    assert "expected a Perceiver; got 'constant_velocity', a planner" in node.health.worst[1]
    graph.spin_in_thread(node)


def paths_heard(node):
    return any(one.topic_name.endswith("planner/trajectory") and one.get_subscription_count() for one in node.publishers)


def test_a_planner_that_needs_no_route_plans_at_once(graph, monkeypatch):
    planner = FakePlanner(SensorRig((CAMERA,), needs_route=False))
    plan, ahead = planner.plan, NavigationGoal(np.array([20.0, 0.0]), Command.LANE_FOLLOW)
    planner.plan = lambda frame: replace(plan(frame), goal=ahead)
    monkeypatch.setattr(planner_node, "load", lambda *a, **k: planner)
    source, paths = Source(graph), collect(graph, Path, "planner/trajectory")
    node = graph.start(planner_node.PlannerNode, {"use_sim_time": True, "unseen_after_s": 0.6})
    assert autostart(node)
    graph.spin_in_thread(node)
    assert node.health.get("state") == "planning with fake"
    assert wait_for(lambda: paths_heard(node))
    play(source, planner, range(3))
    assert wait_for(lambda: len(paths) == 2) and planner.frames[-1].goal is None and node.health.get("planner") is None
    assert not [one for one in node.subscriptions if one.topic_name.endswith(("global_plan", "waypoints"))]
