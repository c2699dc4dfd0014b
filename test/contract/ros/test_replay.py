"""`kd-planner replay`: a recording through real processes, compared with the evaluation that needs no graph."""

import math
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.bags import scene, write_bag
from support.networks import save_seeded
from support.plans import straight
from support.rewrite import moved, rewrite, zoomed

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.messages import make
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.roadside import decoders, roadside_topics
from kd_planner_ros.bags.source import Source
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import BagError, ConfigError, KdPlannerError, PlannerError
from kd_planner_ros.core.frames import RoadsideBuffer
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.evaluation.open_loop import OpenLoopConfig, run
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.ros.graph import replay as module
from kd_planner_ros.ros.graph.pacing import Asked
from kd_planner_ros.ros.graph.player import header_stamp, instants, plain
from kd_planner_ros.ros.graph.replay import ReplayConfig, replay
from kd_planner_ros.ros.graph.replay_outputs import OutputBag
from kd_planner_ros.ros.graph.replay_score import score
from kd_planner_ros.ros.graph.replay_topics import needed_topics, playable
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.sync.cadence import Cadence
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.motion import TRANSFORMS, Mount, transforms
from kd_planner_ros.wire.topics import TF_STATIC

FRONT = (CameraSpec("front", Pose(x=-1.5, z=2.0), 64, 32, 100.0),)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp("bags") / "arc", seconds=6.0)


@pytest.fixture(scope="module")
def model(tiny_model):
    return str(tiny_model)


@pytest.mark.parametrize("camera", ["front", "rgb_front"])
def test_lockstep_gives_the_figures_of_the_offline_evaluation(model, tmp_path, camera):
    """Whatever the recording calls its only camera."""
    bag = write_bag(tmp_path / "arc", seconds=6.0, camera=camera)
    ours = replay(ReplayConfig(bag=bag, planner=model, engine="torch"), progress=False)
    theirs = run(OpenLoopConfig(bag=bag, planner=model, engine="torch"), progress=False)
    assert ours["frames"] == theirs["plans"] == 12 and ours["dropped"] == 0
    for name, value in theirs["l2_m"].items():
        assert ours["l2_m"][name] == pytest.approx(value, rel=1e-5)
    assert ours["collision_rate"] == theirs["collision_rate"] and ours["unmatched"] == ours["extra"] == 0
    assert ours["calibration"]["camera_info compared"] == "1" and not [key for key in ours["calibration"] if "condition" in key]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A DistillDrive with random weights, and 4 s for its three cameras at 2 Hz; the right one gives nothing in the last second."""
    folder, network = tmp_path_factory.mktemp("many"), find_network("distilldrive")
    config = network.config({"cameras": 3, "rescore": False, "camera_width": 88, "camera_height": 66})  # small pictures are not lost
    torch.manual_seed(3)
    model = network.build_model(config)
    with torch.no_grad():
        for head in (model.agents, model.lines):  # confidences so far apart that rounding changes no choice
            for layer in head.layers:
                layer.score[-1].weight.mul_(4.0)
                layer.score[-1].bias.zero_()
    save_model(folder / "many", "distilldrive", config, model.state_dict())
    write_many(folder / "bag", config.camera_specs)
    return folder


def write_many(path, cameras, mounts=()):
    """``mounts`` go to /tf_static."""
    random, points = np.random.default_rng(0), np.stack([np.arange(0.0, 60.0, 0.5), np.zeros(120)], axis=1)
    with BagWriter(path, SensorRig(cameras), {"map": "nowhere"}) as bag:
        if mounts:
            bag.write(TF_STATIC, TRANSFORMS, transforms(make, mounts, 10**9), 10**9, latched=True)
        for tick in range(80):
            stamp = 10**9 + tick * 50_000_000
            ego = EgoState(stamp, Pose(x=0.25 * tick), 5.0)
            if tick == 0:
                bag.write_route(Route("r", "nowhere", points, np.zeros(120), np.full(120, 4, np.int8), points[[0, -1]]), stamp)
                bag.write_map_lines(np.array([(1, LineKind.DIVIDER, x, 1.75) for x in (-20.0, 80.0)], MAP_LINE_DTYPE), stamp)
            bag.write_ego(ego)
            if tick % 10 == 0:
                bag.write_scene(scene(ego))
                for spec in cameras[:2 if tick >= 60 else 3]:
                    bag.write_camera(spec.id, CameraImage(stamp, random.integers(0, 256, (spec.height, spec.width, 3), np.uint8)), ())
    return path


def test_a_planner_of_three_cameras_with_a_memory_plans_alike(many):
    """DistillDrive's plans depend on those before; in the last second a camera that may be missing is."""
    ours = replay(ReplayConfig(bag=many / "bag", planner=str(many / "many"), engine="torch"), progress=False)
    theirs = run(OpenLoopConfig(bag=many / "bag", planner=str(many / "many"), engine="torch"), progress=False)
    assert ours["frames"] == theirs["plans"] == 8 and ours["dropped"] == 0
    for name, value in theirs["l2_m"].items():
        assert ours["l2_m"][name] == pytest.approx(value, rel=1e-5)
    assert ours["collision_rate"] == theirs["collision_rate"] and ours["unmatched"] == ours["extra"] == 0
    assert ours["min_ade_m"] == pytest.approx(theirs["min_ade_m"], rel=1e-5) and ours["min_ade_plans"] == theirs["min_ade_plans"] > 0
    assert leaves(ours["nuscenes"]) == pytest.approx(leaves(theirs["nuscenes"]), rel=1e-5, abs=1e-6, nan_ok=True)
    users, lines = theirs["detected"]["users"], theirs["detected"]["lines"]
    assert min(users["found"], users["true"], users["instants"], lines["found"], lines["true"]) > 0, "there is something to find"
    assert leaves(ours["detected"]) == pytest.approx(leaves(theirs["detected"]), rel=1e-4, abs=1e-6, nan_ok=True)


def test_side_cameras_that_stand_elsewhere_are_read_where_the_recording_tells(many, tmp_path):
    """The left one by /tf_static and another field of view in its camera_info, as CAM_FRONT_LEFT of nuScenes; alike with and without a
    graph, and not as the declared ones."""
    front, left, right = find_network("distilldrive").config({"camera_width": 88, "camera_height": 66}).camera_specs
    pose = replace(left.pose, y=0.5, z=1.6, yaw=math.radians(55.0))
    bag = write_many(tmp_path / "b", (front, replace(left, fov_deg=64.6), right), [Mount("ego_vehicle", "ego_vehicle/left", optical(pose))])
    ours = replay(ReplayConfig(bag=bag, planner=str(many / "many"), engine="torch"), progress=False)
    theirs, plain_ones = (run(OpenLoopConfig(bag=one, planner=str(many / "many"), engine="torch"), progress=False)
                          for one in (bag, many / "bag"))
    assert ours["frames"] == theirs["plans"] == 8 and ours["dropped"] == 0
    assert ours["l2_m"] == {name: None if value is None else pytest.approx(value, rel=1e-5) for name, value in theirs["l2_m"].items()}
    assert plain_ones["l2_m"] != theirs["l2_m"], "the planner reads where its cameras are"
    assert ours["calibration"]["condition mounting of left"].startswith("warn: sensor left: ")


def test_a_recording_without_a_route_is_played_to_a_planner_that_can_do_without(many, tmp_path):
    """From the first frame straight on, as in the evaluation; a planner that needs a route is refused."""
    bag = rewrite(many / "bag", tmp_path / "b", lambda topic, when, raw: None if topic.endswith("/global_plan") else raw)
    ours = replay(ReplayConfig(bag=bag, planner=str(many / "many"), engine="torch"), progress=False)
    theirs = run(OpenLoopConfig(bag=bag, planner=str(many / "many"), engine="torch"), progress=False)
    assert ours["frames"] == theirs["plans"] == 8 and ours["dropped"] == ours["unanswered"] == 0
    assert ours["l2_m"] == {name: None if value is None else pytest.approx(value, rel=1e-5) for name, value in theirs["l2_m"].items()}
    assert any("frames have no navigation goal" in note for note in ours["notes"])
    assert ours["calibration"]["camera_info compared"] == "3"
    with pytest.raises(BagError, match="global_plan.*no route; record the route too, or choose a planner that needs none") as refused:
        replay(ReplayConfig(bag=bag, planner="constant_velocity"), progress=False)
    assert "\n" not in str(refused.value)


def leaves(tree, name=""):
    """The figures of a result by their path; NaN for None."""
    if not isinstance(tree, dict):
        return {name: np.nan if tree is None else tree}
    return {path: value for key, inner in tree.items() for path, value in leaves(inner, f"{name}/{key}").items()}


@pytest.mark.parametrize("topic", ["/tf", "/tf_static"])
def test_transforms_are_played_with_the_instants_they_came_with_and_none_is_lost(bag, tmp_path, topic):
    """They have no header, several come at once, and the first ones come before everything else."""
    path = rewrite(bag, tmp_path / "b", lambda name, when, raw: [(when - 500_000_003 if name == "/tf" else when, raw)],
                   lambda name: topic if name == "/tf" else name)
    with open_bag(path) as recording:
        asked, trigger = needed_topics(recording, SensorRig(FRONT))
        assert set(asked) == {trigger, "/carla/ego_vehicle/odometry", "/carla/ego_vehicle/front/camera_info", topic}
        found = list(instants(recording, set(asked)))
        counts = {one: recording._file.counts[one] for one in asked}
    assert [stamp for stamp, _ in found] == [10**9 + n * 50_000_000 for n in range(120)]
    assert Counter(one for _, group in found for one, _ in group) == counts and counts[topic] > 12


def test_a_calibration_of_another_clock_never_moves_the_clock(bag, tmp_path):
    path = rewrite(bag, tmp_path / "b", moved("/camera_info", lambda stamp: stamp + 1_700_000_000 * 10**9))
    with open_bag(path) as recording:
        asked, _ = needed_topics(recording, SensorRig(FRONT))
        found = list(instants(recording, set(asked)))
        assert not recording.notes
    assert [stamp for stamp, _ in found] == [10**9 + n * 50_000_000 for n in range(120)]
    assert sum(topic.endswith("camera_info") for _, group in found for topic, _ in group) == 12


def test_transforms_that_cannot_be_played_here_are_told(bag):
    topics = {"/tf": TRANSFORMS, "/x": "y"}
    with open_bag(bag) as recording:
        assert playable(topics, SimpleNamespace(has_transforms=True), recording) == topics and not recording.notes
        assert playable(topics, SimpleNamespace(has_transforms=False), recording) == {"/x": "y"}
        assert recording.notes == ["/tf is not played: tf2_msgs/msg/TFMessage is not installed, mountings are not compared"]


def test_compressed_pictures_are_played_as_plain_ones_and_the_planner_compares_their_calibration(model, tmp_path):
    bag = rewrite(write_bag(tmp_path / "arc", seconds=3.0, compact=True), tmp_path / "b", zoomed(1.03))
    ours = replay(ReplayConfig(bag=bag, planner=model, engine="torch"), progress=False)
    theirs = run(OpenLoopConfig(bag=bag, planner=model, engine="torch"), progress=False)
    assert ours["frames"] == theirs["plans"] == 6 and ours["dropped"] == ours["unreadable"] == 0
    told = ours["calibration"]["condition intrinsics of front"]
    assert told.startswith("warn: sensor front: camera_info has focal lengths 27.7 and 27.7 px")
    for name, value in theirs["l2_m"].items():
        assert ours["l2_m"][name] == (None if value is None else pytest.approx(value, rel=1e-5))


def test_what_stations_sent_is_played_where_the_planner_asks_for_it(tmp_path):
    camera = CameraSpec("north", Pose(x=10.0, z=7.0), 16, 8, 90.0, 0.5)
    station = Station("rsu", Pose(x=10.0), (camera,))
    view = RoadsideView("rsu", camera, np.full((8, 16, 3), 90, np.uint8), np.zeros(2, ACTOR_DTYPE), 0, 0.0)
    bag = write_bag(tmp_path / "arc", seconds=1.0, compact=True, views=(view,), stations=(station,))
    with open_bag(bag) as recording:
        asked, trigger = needed_topics(recording, SensorRig(FRONT, roadside=RoadsideWish(objects=True)))
        plain_rig, _ = needed_topics(recording, SensorRig(FRONT))
    assert set(asked) - set(plain_rig) == {"/carla/rsu/north/image/compressed", "/carla/rsu/objects"}
    assert trigger == "/carla/ego_vehicle/front/image/compressed"
    with open_bag(bag) as recording:
        raw = next(raw for _, group in instants(recording, {"/carla/rsu/north/image/compressed"}) for _, raw in group)
    image = plain(raw)
    assert (image.header.frame_id, image.width, image.encoding) == ("rsu/north", 16, "bgra8")
    assert image.header.stamp.sec == 1 and abs(int(image.data[0]) - 90) <= 2


def test_what_the_nodes_publish_is_written_into_a_new_recording(tmp_path):
    """Beside a planner that needs no picture the perceiver sees each of them; depth and numbers lie under the pictures' stamps."""
    save_seeded(tmp_path / "seer", "unified_encoder", {"size": "tiny", "camera_width": 64, "camera_height": 32, "camera_x_m": -1.5,
                                                       "camera_z_m": 2.0})
    bag = write_bag(tmp_path / "arc", seconds=2.0, every=2)
    found = replay(ReplayConfig(bag=bag, planner="constant_velocity", perception=str(tmp_path / "seer"), engine="torch",
                                out=tmp_path / "new" / "seen"), progress=False)
    assert (found["perceptions"], found["pictures_unseen"], found["dropped"]) == (20, 0, 0) and "not_written" not in found
    with closing(BagFile(tmp_path / "new" / "seen")) as new:
        counts, stamps = Counter(), []
        for topic, stamp_ns, raw in new.raw(set(new.kinds)):
            counts[topic.removeprefix("/carla/ego_vehicle/")] += 1
            if topic.endswith("/depth"):
                assert stamp_ns == header_stamp(raw, topic)
                stamps.append(stamp_ns)
    assert stamps == [10**9 + n * 100_000_000 for n in range(20)]
    assert counts["perception/scalars"] == counts["perception/classes"] == 20 and counts["perception/classes/labels"] == 1
    assert counts["planner/joint_trajectory"] == found["frames"] and counts["vehicle_control_cmd"] >= found["frames"] - 1
    assert not [topic for topic in counts if "overlay" in topic or "rosout" in topic]
    assert {topic.removeprefix("/carla/ego_vehicle/"): count for topic, count in found["written"].items()} == counts
    with pytest.raises(BagError, match="no recording at .*seen yet; got one that is complete; give another --out"):
        replay(ReplayConfig(bag=bag, planner="constant_velocity", out=tmp_path / "new" / "seen"), progress=False)


def test_a_perceiver_that_cannot_see_the_recording_is_refused_before_anything_starts(bag, model, tmp_path):
    save_seeded(tmp_path / "seer", "unified_encoder", {"size": "tiny", "camera_width": 96, "camera_height": 48, "camera_x_m": -1.5,
                                                       "camera_z_m": 2.0})
    with pytest.raises(BagError, match="96x48 from camera 'front'.*got 64x32"):
        replay(ReplayConfig(bag=bag, planner="constant_velocity", perception=str(tmp_path / "seer")), progress=False)
    words = "96x48 camera for 'front' of the perceiver '.*seer'.*has the cameras front and.*--camera perception_front=RECORDED"
    with pytest.raises(BagError, match=words):  # the planner has another camera of that name
        replay(ReplayConfig(bag=bag, planner=str(model), perception=str(tmp_path / "seer")), progress=False)


def test_a_topic_of_a_type_without_a_definition_is_named_and_early_messages_wait_for_the_clock(tmp_path, monkeypatch):
    node = SimpleNamespace(get_publishers_info_by_topic=lambda topic: [], create_subscription=lambda *a, **k: None)
    offered = [("/a", ["std_msgs/msg/Bool"]), ("/odd", ["odd_msgs/msg/Odd"]), ("/a/overlay", ["sensor_msgs/msg/Image"]),
               ("/rosout", ["rcl_interfaces/msg/Log"])]
    monkeypatch.setattr("kd_planner_ros.ros.graph.replay_outputs._publishers", lambda *_: offered)
    with OutputBag(tmp_path / "new", node, [None], "ego_vehicle", {}) as bag:
        bag.look()
        bag._take("/a", "std_msgs/msg/Bool", b"\0\1\0\0\1", True)
        bag.tick(7, lambda seconds: None)
    assert bag.facts() == {"out": str(tmp_path / "new"), "written": {"/a": 1}, "not_written": {"/odd": "odd_msgs/msg/Odd"}}
    with closing(BagFile(tmp_path / "new")) as new:
        assert [(topic, stamp, bytes(raw)) for topic, stamp, raw in new.raw({"/a"})] == [("/a", 7, b"\0\1\0\0\1")]


@pytest.mark.alone
def test_at_real_time_drops_are_counted_and_none_is_needed(bag):
    result = replay(ReplayConfig(bag=bag, rate=1.0, planner="constant_velocity", max_drops=0.3), progress=False)
    assert result["frames"] == 60 and 0 <= result["dropped"] <= 18 and result["wall_s"] > 6.0


def test_too_many_drops_are_refused(bag):
    silent = SimpleNamespace(plans={}, controls={}, faults={5: "SensorError"}, unanswered=0)
    with open_bag(bag) as recording, pytest.raises(ConfigError, match="3 of 3; the planner said.*SensorError"):
        score(0.02, recording, silent, [1, 2, 3], SensorRig())


def test_plans_at_other_stamps_do_not_stand_for_frames_that_were_lost(bag):
    """Five of ten frames have no plan, and five plans came for the ticks between the others."""
    frames = [10**9 + n * 100_000_000 for n in range(10)]
    plans = {stamp: straight(4.0, stamp_ns=stamp) for frame in frames[5:] for stamp in (frame, frame + 50_000_000)}
    some = SimpleNamespace(plans=plans, controls={}, faults={}, unanswered=0, unreadable=0, calibration={})
    with open_bag(bag) as recording:
        with pytest.raises(ConfigError, match="5 of 10"):
            score(0.02, recording, some, frames, SensorRig())
        found = score(0.5, recording, some, frames, SensorRig())
    assert (found["frames"], found["dropped"], found["extra"], found["plans"]) == (10, 5, 5, 10)
    assert found["refused"] == 10 and found["detected"] == {} and found["nuscenes"]["plans"]["1"] == 10


def test_frames_are_counted_from_where_the_planner_plans():
    """It lost the frame at 200 ms and planned at 250 ms; from there it plans each 100 ms, and so are frames counted."""
    asked, ms = Asked(Cadence(0.1)), 1_000_000
    for tick, planned in ((0, 0), (50, 0), (100, 0), (150, 100), (200, 100), (250, 100), (300, 250), (350, 250), (400, 350), (450, 350)):
        asked.take(tick * ms, planned * ms)
    assert [stamp // ms for stamp in asked.frames] == [0, 100, 200, 350, 450]


def test_bad_recordings_are_one_line(bag, tmp_path):
    without_route = write_bag(tmp_path / "lost", seconds=1.0, leave_out="route")
    for config, text in ((ReplayConfig(bag=tmp_path / "none", planner="constant_velocity"), "no such folder"),
                         (ReplayConfig(bag=without_route, planner="constant_velocity"), "no route")):
        with pytest.raises(BagError, match=text) as refused:
            replay(config, progress=False)
        assert "\n" not in str(refused.value)
    with pytest.raises(PlannerError, match="nobody"):
        replay(ReplayConfig(bag=bag, planner="nobody"), progress=False)
    with pytest.raises(ConfigError):
        replay(ReplayConfig(bag=bag, planner="constant_velocity", rate=-1.0), progress=False)


class Played(Exception):
    """Carries what would have been played."""


@pytest.fixture
def played(monkeypatch):
    """Call ``replay`` up to the start of its processes; gives back (facts of the planner, parameters of each node)."""
    def stop(config, recording, nodes, profile, topics, trigger, facts, *rest):
        raise Played(facts, {node.name: node.effective() for node in nodes}, {node.namespace for node in nodes})

    monkeypatch.setattr(module, "_play", stop)

    def ask(**config):
        with pytest.raises(Played) as caught:
            replay(ReplayConfig(**config), progress=False)
        return caught.value.args

    return ask


def test_the_controller_counts_with_the_recorded_cars_box(tmp_path, monkeypatch, played):
    noted = {"ego_box": "4.084 1.85 1.44"}
    monkeypatch.setattr("support.bags.BagWriter", lambda path, rig, notes, **more: BagWriter(path, rig, notes | noted, **more))
    _, nodes, _ = played(bag=write_bag(tmp_path / "b", seconds=1.0, labels=False), planner="constant_velocity")
    assert [nodes["controller"][f"car_{name}_m"] for name in ("length", "width", "ahead")] == [4.084, 1.85, 1.44]


def test_a_file_of_the_users_own_names_planner_models_profile_and_role(bag, model, tmp_path, played):
    name, folder = Path(model).name, Path(model).parent
    (tmp_path / "mine.yaml").write_text(
        f"/**: {{ros__parameters: {{role_name: ego_vehicle, carla_profile: carla_bridge_lb2}}}}\n"
        f"/**/planner: {{ros__parameters: {{planner: {name}, models_dir: {folder}, engine: torch}}}}\n")
    facts, nodes, namespaces = played(bag=bag, params_file=tmp_path / "mine.yaml")
    assert facts.rig.cameras[0].width == 64, "the sensors that are played are those of the file's planner"
    assert (nodes["planner"]["planner"], nodes["planner"]["models_dir"], nodes["planner"]["engine"]) == (name, str(folder), "torch")
    assert {one["carla_profile"] for one in nodes.values()} == {"carla_bridge_lb2"} and namespaces == {"/carla/ego_vehicle"}
    facts, nodes, _ = played(bag=bag, params_file=tmp_path / "mine.yaml", planner="constant_velocity", carla_profile="carla_bridge")
    assert facts.name == nodes["planner"]["planner"] == "constant_velocity", "what is given by name wins"
    assert nodes["controller"]["carla_profile"] == "carla_bridge"


@pytest.mark.parametrize("text, words", [
    ("/**: {ros__parameters: {planner: nobody}}", "nobody"),
    ("/**/planner: {ros__parameters: {models_dir: /nowhere}}", "/nowhere"),
    ("/**: {ros__parameters: {carla_profile: nonsense}}", "nonsense"),
    ("/**: {ros__parameters: {role_name: mule}}", "mule"),
    ("/**: {ros__parameters: {carla_profile: autoware}}", "odometry, as recorded; got autoware, whose nodes read /loc"),
    ("/**: {ros__parameters: {role_name: 7}}", "role_name of node planner: str; got 7"),
    ("/**/controller: {ros__parameters: {role_name: mule}}", "role_name of all nodes.*'mule' for /carla/ego_vehicle/controller"),
    ("/carla/ego_vehicle/planner: {ros__parameters: {carla_profile: autoware}}", "carla_profile of all nodes.*'autoware'"),
    ("/**/controller: {ros__parameters: {lockstep: false}}", "lockstep: true for .* as --rate 0 asks for; got False"),
])
def test_what_a_file_of_the_users_own_cannot_mean_here_is_refused(bag, tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(module, "_play", lambda *a: pytest.fail("it was passed over"))
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(KdPlannerError, match=words) as refused:
        replay(ReplayConfig(bag=bag, params_file=tmp_path / "mine.yaml", planner="" if "{planner:" in text else "constant_velocity"),
               progress=False)
    assert "\n" not in str(refused.value)


def test_the_player_reads_steering_angles_by_the_controllers_full_lock(bag, tmp_path, monkeypatch):
    made = []

    class Fake:
        def __init__(self, *_):
            self.adapter = SimpleNamespace()
            made.append(self)

        def close(self):
            pass

    def begin(*_):
        raise Played

    monkeypatch.setattr("kd_planner_ros.ros.graph.player.Player", Fake)
    monkeypatch.setattr("kd_planner_ros.ros.graph.processes.Processes", begin)
    (tmp_path / "mine.yaml").write_text("/**/controller: {ros__parameters: {max_steer_rad: 0.6}}")
    with pytest.raises(Played):
        replay(ReplayConfig(bag=bag, planner="constant_velocity", params_file=tmp_path / "mine.yaml"), progress=False)
    assert made[0].adapter.max_steer_rad == 0.6


def test_a_missing_camera_is_named(bag, tmp_path):
    with open_bag(bag) as recording, pytest.raises(BagError, match="/carla/ego_vehicle/rear/image"):
        needed_topics(recording, SensorRig(tuple(CameraSpec(name, Pose(), 64, 32, 90.0) for name in ("front", "rear"))))


def test_a_camera_that_may_be_missing_is_noted(bag, tmp_path):
    rig = SensorRig(tuple(CameraSpec(name, Pose(), 64, 32, 100.0) for name in ("front", "rear")), optional=("rear",))
    with open_bag(bag) as recording:
        asked, trigger = needed_topics(recording, rig)
        assert trigger.endswith("/front/image") and not [topic for topic in asked if "rear" in topic]
        assert recording.notes == ["nothing of sensor 'rear' was recorded: the planner goes without"]


def test_pictures_of_another_size_are_named_before_playing(bag):
    with open_bag(bag) as recording, pytest.raises(BagError, match="448x128 from camera 'front'.*got 64x32"):
        needed_topics(recording, SensorRig((CameraSpec("front", Pose(), 448, 128, 100.0),)))


def test_instants_come_in_order_of_their_stamps(bag):
    topics = {"/carla/ego_vehicle/odometry", "/carla/ego_vehicle/front/image"}
    with open_bag(bag) as recording:
        found = list(instants(recording, topics))
    assert [stamp for stamp, _ in found] == [10**9 + n * 50_000_000 for n in range(120)]
    assert [len(group) for _, group in found][:11] == [2] + [1] * 9 + [2]


@pytest.mark.parametrize("late_by", [0.45, 1.5])
def test_late_messages_never_set_the_clock_back_and_none_is_lost(bag, tmp_path, late_by):
    """One picture in four late, or a camera that is slow; what came twice is played once."""
    def change(topic, when, raw):
        late = topic.endswith("/front/image") and (late_by > 1.0 or when % (4 * 500_000_000) == 0)
        return [(when + round(late_by * 1e9) * late + n, raw) for n in range(2)]

    with open_bag(rewrite(bag, tmp_path / "b", change)) as recording:
        found = list(instants(recording, {"/carla/ego_vehicle/odometry", "/carla/ego_vehicle/front/image"}))
        assert not [note for note in recording.notes if "not played" in note]
    assert [stamp for stamp, _ in found] == [10**9 + n * 50_000_000 for n in range(120)]
    assert [len(group) for _, group in found] == [2 if n % 10 == 0 else 1 for n in range(120)]


def test_late_pictures_of_stations_come_with_the_instant_at_which_they_were_received(tmp_path):
    camera = CameraSpec("north", Pose(x=10.0, z=7.0), 16, 8, 90.0, 0.5)
    view = RoadsideView("rsu", camera, np.full((8, 16, 3), 90, np.uint8), None, 0, 0.3)
    path = write_bag(tmp_path / "arc", seconds=2.0, compact=True, views=(view,), stations=(Station("rsu", Pose(x=10.0), (camera,)),))
    station, odometry = "/carla/rsu/north/image/compressed", "/carla/ego_vehicle/odometry"
    late = rewrite(path, tmp_path / "late", lambda topic, when, raw: [(when + 300_000_001 * (topic == station), raw)])
    with open_bag(late) as recording:
        found = list(instants(recording, {station, odometry}))
    assert [stamp for stamp, _ in found] == [10**9 + n * 50_000_000 for n in range(40)]
    taken = [(stamp - header_stamp(raw, station)) / 1e9 for stamp, group in found for topic, raw in group if topic == station]
    assert len(taken) == 4 and taken == [pytest.approx(0.3, abs=0.06)] * 4


def seen(buffer, stamp_ns, **decode):
    """What a model is given at ``stamp_ns``: station, picture's stamp, sum of the pixels."""
    return [(view.station, view.stamp_ns, int(view.image.sum())) for view in buffer.views(stamp_ns, 0.0, 0.0, **decode)]


@pytest.mark.parametrize("settings", [{}, {"latency_ms": 130.0}, {"loss": 0.4, "burst": 2.0, "seed": 5},
                                      {"latency_ms": 40.0, "jitter_ms": 120.0, "loss": 0.2}], ids=str)
@pytest.mark.parametrize("late_ns", [3_000_000, 230_000_000])
def test_a_replay_plays_what_stations_sent_as_the_evaluation_reads_it(tmp_path, settings, late_ns):
    """Late as they were recorded, and late and lost by a simulated radio: each picture of the car meets the same views."""
    camera = CameraSpec("north", Pose(x=10.0, z=7.0), 16, 8, 90.0, 0.1)
    view = RoadsideView("rsu", camera, np.full((8, 16, 3), 90, np.uint8), np.zeros(2, ACTOR_DTYPE), 0, 0.0)
    path = write_bag(tmp_path / "arc", seconds=3.0, every=2, views=(view,), stations=(Station("rsu", Pose(x=10.0), (camera,)),))
    path = rewrite(path, tmp_path / "late", lambda topic, when, raw: [(when + late_ns * topic.startswith("/carla/rsu"), raw)])
    rig, radio = SensorRig(FRONT, roadside=RoadsideWish()), ChannelSettings(**settings) if settings else None
    with open_bag(Source(path, radio=radio)) as recording:
        evaluated = [(sample.frame.stamp_ns, [(one.station, one.stamp_ns, int(one.image.sum())) for one in sample.frame.roadside])
                     for sample in recording.samples(("front",), wants=rig)]
        topics, trigger = needed_topics(recording, rig)
        counts = recording.radio
        stations, buffer, played = roadside_topics(recording.stations, recording.held), RoadsideBuffer(rig.roadside), []
        for stamp, group in instants(recording, set(topics), trigger):
            for topic, raw in group:
                if topic == trigger:
                    played.append((stamp, seen(buffer, stamp, **decoders([]))))
                elif topic in stations and stations[topic][1] is not None:
                    message = recording._file.decode(topic, raw)
                    buffer.take_picture(*stations[topic], stamp_of(message), message)
        assert recording.radio == counts
    assert played == evaluated and len(played) == 30 and any(views for _, views in played)
    assert all(before <= stamp for stamp, views in played for _, before, _ in views)


def test_late_and_lost_stations_give_the_figures_of_the_offline_evaluation(tmp_path):
    camera = CameraSpec("north", Pose(x=10.0, z=7.0), 64, 32, 90.0, 0.5)
    view = RoadsideView("rsu", camera, np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8), None, 0, 0.0)
    bag = write_bag(tmp_path / "arc", seconds=4.0, views=(view,), stations=(Station("rsu", Pose(x=10.0), (camera,)),))
    planner = save_seeded(tmp_path / "vlm", "v2x_vlm", {"camera_width": 64, "camera_height": 32, "camera_x_m": -1.5, "camera_z_m": 2.0,
                                                        "head": "displacement"})
    given = {"bag": bag, "planner": str(planner), "engine": "torch"}
    radio = {"v2x_loss": 0.5, "v2x_seed": 1, "v2x_latency_ms": 20.0}
    ours, theirs = replay(ReplayConfig(**given, **radio), progress=False), run(OpenLoopConfig(**given, **radio), progress=False)
    assert ours["radio"] == theirs["radio"] and 0 < theirs["radio"]["lost"] < theirs["radio"]["sent"] == 8
    assert ours["frames"] == theirs["plans"] == 8 and ours["dropped"] == 0
    assert ours["l2_m"] == {name: None if value is None else pytest.approx(value, rel=1e-5) for name, value in theirs["l2_m"].items()}
    assert run(OpenLoopConfig(**given), progress=False)["l2_m"] != theirs["l2_m"], "the planner looks at what stations sent"
    with pytest.raises(ConfigError, match="asks for none"):
        replay(ReplayConfig(bag=bag, planner="constant_velocity", **radio), progress=False)


def test_a_message_too_short_for_a_header_is_refused():
    with pytest.raises(BagError, match="/x"):
        header_stamp(b"\0\1\0\0", "/x")
