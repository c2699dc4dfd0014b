"""The perception node's switches, its outputs beside pictures, and bad input, with real rclpy."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from geometry_msgs.msg import TwistStamped
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Float64
from support import foreign
from support.fakes import CAMERA, FakePerceiver
from support.graph import wait_for
from support.networks import save_seeded
from support.perception_node import START, TICK, Source, collect, connected, play, start

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.networks.parts import Part
from kd_planner_ros.ros.adapters import carla_bridge
from kd_planner_ros.ros.adapters import foreign as ports
from kd_planner_ros.ros.diagnostics import ERROR, WARN
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes import perception_node
from kd_planner_ros.ros.ports import perception_motion, perception_outputs
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.wire.codec.tables import coloured_of

PARTS = (Part("eye", switch=False), Part("depth", ("eye",)), Part("pose", ("eye",), ("eye",)), Part("flow", ("eye", "pose"), ("eye",)))


class InParts(FakePerceiver):
    """Depth and flow, each only where its part is due."""

    parts = PARTS
    made_of = {"shift": ("flow", "depth")}
    cut_by = {"depth": ("pose", "what stands")}

    def perceive(self, frame):
        seen = super().perceive(frame)
        names = [name for name in ("depth", "flow") if self.due is None or name in self.due]
        spent = {part.name: 1.0 for part in PARTS if self.due is None or part.name in self.due}
        return replace(seen, outputs={name: seen.outputs[name] for name in names}, spent_ms=spent)


def test_parts_are_switched_while_the_node_runs(graph, monkeypatch):
    eye, source = InParts(), Source(graph)
    depths, flows = (collect(graph, Image, f"perception/{name}") for name in ("depth", "flow"))
    spent = collect(graph, Float64, "perception/debug/processing_time_ms")
    node = start(graph, monkeypatch, eye, **{"rate_divider.depth": 2})
    assert wait_for(lambda: connected(node, "depth", "flow"))

    def put(name, value):
        return node.set_parameters([Parameter(f"rate_divider.{name}", value=value)])[0]

    eye.frames.clear()
    play(source, eye, range(8))
    assert wait_for(lambda: len(flows) == 4 and len(depths) == 2)
    tick = [[(from_stamp(one.header.stamp) - START) // TICK for one in found] for found in (depths, flows)]
    assert tick == [[0, 4], [0, 2, 4, 6]], "an output is never repeated under a new stamp"
    assert wait_for(lambda: len(spent) >= 4) and min(one.data for one in spent) > 0.0 and float(node._values()["overhead p50 ms"]) > 0.0
    assert node._values()["depth ms"] == "1.0" and node._values()["rate_divider.depth"] == 2

    assert put("pose", 2).successful
    assert node.health.get("rate_divider") == "'pose' runs on more pictures than rate_divider.pose 2 says: it is needed by flow"
    assert put("flow", 0).successful
    uncut = "'depth' holds what stands as well: it needs pose on each of its own frames, and rate_divider.pose is "
    for pose, told in ((2, None), (1, None), (4, uncut + "4"), (3, uncut + "3"), (1, None)):
        assert put("pose", pose).successful and node.health.get("rate_divider") == told, "depth runs on every second frame"
    assert put("pose", 0).successful and node.health.get("rate_divider") == uncut + "0"
    assert put("pose", 1).successful and put("flow", 1).successful
    assert put("depth", 0).successful and put("flow", 2).successful
    assert node.health.get("rate_divider") == "'shift' is not given: it needs depth, switched off by rate_divider.depth 0"
    play(source, eye, range(8, 16))
    assert wait_for(lambda: len(flows) == 6) and len(depths) == 2

    assert put("pose", 0).successful
    assert node.health.get("rate_divider") == "'flow' does not run: it needs pose, switched off by rate_divider.pose 0"
    assert node.health._conditions["rate_divider"][0] == WARN
    results, frames = node._inference.results, len(eye.frames)
    source.tick(16)
    assert wait_for(lambda: node._inference.results == results + 1) and len(eye.frames) == frames, "nothing is due"
    for name, value in (("pose", -1), ("pose", 1001)):
        refused = put(name, value)
        assert not refused.successful and node.get_parameter("rate_divider.pose").value == 0, refused.reason
    assert put("pose", 1).successful and "'shift' is not given" in node.health.get("rate_divider")
    assert put("flow", 0).successful and node.health.get("rate_divider") is None, "who wants no flow wants nothing made of it"
    assert put("flow", 2).successful
    play(source, eye, range(18, 22))
    assert wait_for(lambda: len(flows) == 7) and len(depths) == 2
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert not node.has_parameter("rate_divider.pose")


@pytest.mark.parametrize("name, value, text", [
    ("sound", 2, "rate_divider.depth, rate_divider.pose, rate_divider.flow for 'fake_eye'; got rate_divider.sound"),
    ("depth", "abc", "expected parameter rate_divider.depth: a whole number from 0 (off) to 1000; got 'abc'"),
    ("depth", -1, "expected parameter rate_divider.depth: a whole number from 0 (off) to 1000; got -1")])
def test_a_divider_that_cannot_be_refuses_to_configure(graph, monkeypatch, name, value, text):
    monkeypatch.setattr(perception_node, "load", lambda *a, **k: InParts())
    node = graph.start(perception_node.PerceptionNode, {f"rate_divider.{name}": value})
    assert not autostart(node)
    assert text in node.health.worst[1]
    graph.spin_in_thread(node)


def test_a_perceiver_of_one_part_has_one_switch_and_one_time(graph, monkeypatch):
    eye, source = FakePerceiver(), Source(graph)
    node = start(graph, monkeypatch, eye, **{"rate_divider.network": 3})
    assert wait_for(lambda: source.heard)
    eye.frames.clear()
    seen = node._inference.results
    for n in range(0, 12, 2):
        source.tick(n)
        assert wait_for(lambda n=n: node._inference.results == seen + n // 2 + 1)
    assert [(one.stamp_ns - START) // TICK for one in eye.frames] == [0, 6] and "network ms" in node._values()


class Moving(FakePerceiver):
    """Gives the ego's motion and a depth of 10 m."""

    turn = 0.5

    def perceive(self, frame):
        seen = super().perceive(frame)
        depth = np.full((8, 16), 10.0, np.float32)
        depth[:4] = np.nan
        spec = replace(CAMERA, width=16, height=8)
        return replace(seen, outputs={**seen.outputs, "depth": DenseOutput("depth", depth)}, calibration=spec,
                       scalars={"forward_mps": 4.0, "left_mps": 0.25, "yaw_rate_rps": self.turn, "steer": 0.1})


def test_twist_points_and_label_info(graph, monkeypatch):
    monkeypatch.setattr(ports, "find_type", lambda kind: Image if kind == "vision_msgs/msg/LabelInfo" else None)  # a class that is there
    told = []
    monkeypatch.setattr(ports.vision, "label_info", None)
    monkeypatch.setitem(ports.FOREIGN, "label_info", (ports.FOREIGN["label_info"][0], lambda make, *words: told.append(words) or Image()))
    eye, source = Moving(), Source(graph)
    twists, clouds = collect(graph, TwistStamped, "perception/twist"), collect(graph, PointCloud2, "perception/points")
    node = start(graph, monkeypatch, eye, points=True, points_stride=2, colormap="gray")
    assert told and told[0][0] == ("road", "car", "sky")
    assert wait_for(lambda: connected(node, "twist", "points"))
    eye.frames.clear()
    play(source, eye, range(2))
    assert wait_for(lambda: twists and clouds)
    linear, angular = twists[0].twist.linear, twists[0].twist.angular
    assert (linear.x, linear.y, angular.z) == (4.0, 0.25 - 0.5 * CAMERA.pose.x, 0.5) and twists[0].header.frame_id == "ego_vehicle"
    points = coloured_of(clouds[0])
    assert len(points) == 2 * 8 and (points["z"] == 10.0).all() and clouds[0].header.frame_id == "ego_vehicle/front"
    focal = CAMERA.focal_px / 4
    assert points[0]["x"] == pytest.approx(10.0 * (0.5 - 8.0) / focal, rel=1e-5)
    assert points[0]["y"] == pytest.approx(10.0 * (4.5 - 4.0) / focal, rel=1e-5)
    assert "ackermann_msgs is not installed" in node._values().get("steering message", "ackermann_msgs is not installed")
    eye.turn = math.nan
    play(source, eye, range(2, 4))
    assert wait_for(lambda: len(clouds) == 2) and len(twists) == 1, "a twist that is not known is not sent"


def test_points_that_no_depth_feeds_are_told(graph, monkeypatch):
    monkeypatch.setattr(perception_outputs, "PATIENT_PICTURES", 2)
    eye, source = InParts(), Source(graph)
    node = start(graph, monkeypatch, eye, points=True, **{"rate_divider.depth": 3})
    eye.frames.clear()
    play(source, eye, range(6))
    assert wait_for(lambda: node.health.get("points") == "no points: no depth for 2 pictures and more")
    play(source, eye, range(6, 8))
    assert wait_for(lambda: node.health.get("points") is None)


class Unscaled(Moving):
    """Has learnt no metres: depth and motion are unknown until it sees a flat ground."""

    scaled = False

    def perceive(self, frame):
        seen = super().perceive(frame)
        if self.scaled:
            return seen
        nothing = dict.fromkeys(("forward_mps", "left_mps"), math.nan)
        depth = DenseOutput("depth", np.full((8, 16), np.nan, np.float32))
        return replace(seen, outputs={**seen.outputs, "depth": depth}, scalars={**seen.scalars, **nothing},
                       unknown=dict.fromkeys(("depth", *nothing), "scale unknown: no flat ground"))


def test_metres_are_unknown_until_the_scale_is(graph, monkeypatch):
    eye, source = Unscaled(), Source(graph)
    depths, twists = collect(graph, Image, "perception/depth"), collect(graph, TwistStamped, "perception/twist")
    clouds = collect(graph, PointCloud2, "perception/points")
    node = start(graph, monkeypatch, eye, points=True)
    assert wait_for(lambda: connected(node, "depth", "twist", "points"))
    eye.frames.clear()
    play(source, eye, range(2))
    assert wait_for(lambda: depths and clouds) and np.isnan(np.frombuffer(depths[0].data, np.float32)).all() and not clouds[0].width
    assert node.health.get("unknown") == "depth, forward_mps, left_mps: scale unknown: no flat ground"
    eye.scaled = True
    play(source, eye, range(2, 4))
    assert wait_for(lambda: twists and len(depths) == 2) and twists[0].twist.linear.x == 4.0
    assert np.nanmax(np.frombuffer(depths[1].data, np.float32)) == 10.0 and node.health.get("unknown") is None
    assert from_stamp(twists[0].header.stamp) == START + 2 * TICK, "no twist of the frame without a scale"


def test_the_steering_angle_where_ackermann_msgs_is_there(monkeypatch):
    """By a hand-made class: the angle in radians, positive left; the speed is the odometry's, else the perceiver's own."""
    sent = []

    class AckermannDriveStamped:
        def __init__(self, header):
            self.header, self.drive = header, SimpleNamespace()

    def advertise(node, kind, topic, profile, lifecycle):
        listens = kind is AckermannDriveStamped
        return SimpleNamespace(publish=sent.append, get_subscription_count=lambda: int(listens))

    monkeypatch.setattr(perception_motion, "advertise", advertise)
    monkeypatch.setattr(perception_motion.standard, "steering_type", lambda: AckermannDriveStamped)
    adapter = carla_bridge.Adapter()
    adapter.max_steer_rad = 1.2
    eye = Moving()
    blank = perception_node.blank_frame(eye)
    ports_of_it = perception_motion.PerceptionMotion(None, adapter, eye.perceive(blank))
    known = replace(blank, ego=replace(blank.ego, speed_mps=7.0))
    unknown = replace(blank, ego=replace(blank.ego, speed_mps=math.nan))
    for frame in (known, unknown):
        ports_of_it.publish(eye.perceive(frame), frame)
    ports_of_it.publish(replace(eye.perceive(blank), scalars={"steer": math.nan}), blank)
    assert [(round(one.drive.steering_angle, 6), one.drive.speed) for one in sent] == [(0.12, 7.0), (0.12, 4.0)]
    assert sent[0].header.frame_id == "ego_vehicle" and ports_of_it.values() == {}


def test_label_info_holds_the_names():
    message = ports.vision.label_info(foreign.make, ("road", "sky"), 5, "front")
    assert [(one.class_id, one.class_name) for one in message.class_map] == [(0, "road"), (1, "sky")]


@pytest.fixture(scope="module")
def seer(tmp_path_factory):
    """A folder of models with a tiny unified encoder for a camera of 64x48 pixels."""
    folder = tmp_path_factory.mktemp("models")
    save_seeded(folder / "seer", "unified_encoder", {"size": "tiny", "camera_width": 64, "camera_height": 48})
    return folder


class Camera(Source):
    """Pictures of 64x48 pixels of any encoding, and their camera_info."""

    def __init__(self, graph):
        super().__init__(graph, odometry=False, infos=True)

    def show(self, n, pixels, encoding="rgb8"):
        """The picture ``pixels`` at tick ``n``."""
        from rosgraph_msgs.msg import Clock

        from kd_planner_ros.ros.messages import make
        from kd_planner_ros.ros.stamps import to_stamp
        from kd_planner_ros.wire.codec.pictures import image

        stamp = START + n * TICK
        self.clock.publish(Clock(clock=to_stamp(stamp)))
        self.image.publish(image(make, pixels, encoding, stamp, "ego_vehicle/front"))

    def tell(self, **changes):
        """The camera_info of the model's camera with ``changes``."""
        spec = replace(CAMERA, height=48, **changes)
        self.infos.publish(self.adapter.to_msg("camera_info", spec, START, "front"))


def noise(n):
    return np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8)


def test_bad_input_is_named_and_nothing_is_made_up(graph, seer, monkeypatch):
    """One node, one bad input after another; between them good pictures bring it back."""
    source = Camera(graph)
    found = {name: collect(graph, Image, f"perception/{name}") for name in ("flow", "moving", "depth")}
    infos = collect(graph, CameraInfo, "perception/camera_info")
    node = start(graph, monkeypatch, perceiver="seer", models_dir=str(seer), engine="torch", odometry=False)
    assert wait_for(lambda: source.heard and source.infos.get_subscription_count() and connected(node, *found))
    health, inference = node.health, node._inference
    tick = iter(range(0, 10_000, 2))

    def show(pixels=None, encoding="rgb8", gap=0):
        """Show a picture and wait until it is answered; how many outputs came."""
        n = [next(tick) for _ in range(1 + gap)][-1]
        before = inference.results + inference.faults
        source.show(n, noise(n) if pixels is None else pixels, encoding)
        assert wait_for(lambda: inference.results + inference.faults == before + 1)

    show()
    assert "flow, independent_flow, motion, moving, forward_mps, left_mps" in health.get("unknown")
    assert "yaw_rate_rps: not ready" in health.get("unknown")
    assert wait_for(lambda: len(found["flow"]) == 1) and np.isnan(np.frombuffer(found["flow"][0].data, "<f4")).all()
    show()
    assert health.get("unknown") is None and wait_for(lambda: len(found["moving"]) == 1), "no mask came before it was known"
    show(gap=4)
    assert "not ready: no frame within 0.25 s" in health.get("unknown"), "a gap of 0.5 s"

    for pixels, encoding, words in (
            (np.zeros((48, 64, 3), np.uint8), "rgb8", "a picture with light in it from camera 'front'"),
            (np.full((48, 64), 900, np.uint16), "mono16", "a colour image (rgb8, bgr8, rgba8, bgra8, mono8); got 'mono16'"),
            (noise(1)[:32], "rgb8", "64x48 pixels from camera 'front'; got 64x32")):
        faults = inference.faults
        show(pixels, encoding)
        assert inference.faults == faults + 1 and wait_for(lambda words=words: words in (health.get("perceiver") or ""))
        assert health.worst[0] == ERROR
        show()
        assert wait_for(lambda: health.get("perceiver") is None)
    show(noise(2)[..., 0], "mono8")
    assert "sends grey pictures" in health.get("colours of front")
    show()
    assert health.get("colours of front") is None

    while inference.results + inference.faults < 25:
        show()
    assert "beside 20 pictures: the model's calibration is used" in health.get("camera_info of front")

    source.tell()
    assert wait_for(lambda: health.get("camera_info of front") is None)
    show()
    source.tell(width=128)
    assert wait_for(lambda: "128x48 pixels" in (health.get("change of front") or ""))
    show()
    assert wait_for(lambda: "camera_info of 64x48 pixels, as the pictures of camera 'front'; got 128x48" in (health.get("perceiver") or ""))
    source.tell(fov_deg=100.5)
    assert wait_for(lambda: "64x48 pixels and focal lengths" in health.get("change of front"))
    show()
    assert wait_for(lambda: health.get("perceiver") is None) and "not ready" in health.get("unknown"), "two lenses are no pair"
    source.tell(fov_deg=60.0)
    assert wait_for(lambda: "focal lengths 55.4" in health.get("change of front"))
    show()
    assert wait_for(lambda: "a field of view of 100 degrees" in (health.get("perceiver") or ""))
    assert not infos or all(one.width == 64 for one in infos)
    source.tell()
    assert wait_for(lambda: "focal lengths 55.4" not in health.get("change of front"))
    seen = inference.results + inference.faults
    while inference.results + inference.faults < seen + 20:
        show()
    assert health.get("perceiver") is None
    assert wait_for(lambda: health.get("change of front") is None), "20 pictures later the change is the past"
