"""What is written is read back, and what is wrong with a recording is said in one line."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from support.bags import HEIGHT, RIG, SPEED, WIDTH, picture, pose_at, scene, shot, write_bag
from support.rewrite import rewrite

from kd_planner_ros.bags.messages import make, typestore
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import Command, EgoState, Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.route import Route
from kd_planner_ros.geometry.attitude import from_bridge_twist, to_bridge_twist
from kd_planner_ros.wire.codec import motion, pictures, tables
from kd_planner_ros.wire.codec.base import header


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_round_trip(tmp_path, storage):
    recording = open_bag(write_bag(tmp_path / "bag", storage=storage, seed=3))
    assert recording.cameras == ("front",) and recording.custom_data["map"] == "Town01"
    samples = list(recording.samples(labels=("depth", "semantic", "instance")))
    assert len(samples) == 16 and recording.incomplete == 0 and recording.notes == []
    rng = np.random.default_rng(3)
    for number, sample in enumerate(samples):
        rgb = picture(0.2, rng)
        frame, truth, expected = sample.frame, sample.truth, shot(0, rgb, True)
        assert frame.stamp_ns == 1_000_000_000 + number * 500_000_000
        np.testing.assert_array_equal(frame.images["front"], rgb)
        label = truth.labels["front"]
        np.testing.assert_array_equal(label.depth, expected.depth)
        np.testing.assert_array_equal(label.semantic, expected.semantic)
        np.testing.assert_array_equal(label.instance, expected.instance)
        pose = pose_at(number * 0.5, 0.2)
        assert (frame.ego.pose.x, frame.ego.pose.y) == pytest.approx((pose.x, pose.y))
        assert frame.ego.pose.yaw == pytest.approx(pose.yaw) and frame.ego.speed_mps == SPEED
        assert frame.ego.acceleration_mps2 == 0.5 and frame.ego.yaw_rate_rps == pytest.approx(0.2)
        assert frame.goal.command == Command.LEFT and frame.goal.target_point[0] > 0
        np.testing.assert_array_equal(truth.actors, scene(frame.ego).actors)
        assert truth.signals["state"].tolist() == [2]
        assert truth.control.steer == pytest.approx(0.1)  # positive left again, as it was before the CARLA sign
        assert truth.states["expert_throttle"] == pytest.approx(0.3)


def test_control_travels_in_carlas_sign(tmp_path):
    recording = open_bag(write_bag(tmp_path / "bag"))
    _, _, message = next(recording.messages([recording.topics.control]))
    assert dict(zip(message.name, message.position))["steer"] == pytest.approx(-0.1)


def test_a_recording_holds_no_reason_of_a_control(tmp_path):
    """Its bytes are those of earlier versions, whatever made the control."""
    with BagWriter(tmp_path / "bag", RIG, {}) as bag:
        bag.write_ego(EgoState(5, Pose(), 1.0))
        bag.write_state(5, Control(5, 0.1, 0.2, 0.0, "limited"), {"a": 1.0})
    with open_bag(tmp_path / "bag") as recording:
        ((_, _, message),) = recording.messages([recording.topics.control])
    assert list(message.name) == ["throttle", "steer", "brake"]


def test_palette_is_read_where_ids_are_missing(tmp_path):
    path = write_bag(tmp_path / "bag")
    recording = open_bag(path)
    full = [s.truth.labels["front"].semantic for s in recording.samples(labels=("semantic",))]
    del recording.kinds[recording.topics.ids("front")]  # as CARLA's bridge records: colours only
    coloured = [s.truth.labels["front"].semantic for s in recording.samples(labels=("semantic",))]
    np.testing.assert_array_equal(full, coloured)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    one, two = (write_bag(tmp_path / name / "bag") for name in "ab")
    assert (one / "bag.mcap").read_bytes() == (two / "bag.mcap").read_bytes()


def test_interrupted_writing_leaves_no_recording(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "bag", abort=True)
    assert not (tmp_path / "bag").exists() and (tmp_path / "bag.partial").is_dir()
    write_bag(tmp_path / "bag")  # the same name again takes its place
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]
    with pytest.raises(BagError, match="one that is complete"):
        BagWriter(tmp_path / "bag", RIG, {})


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.97])
def test_truncated_file_is_one_line(tmp_path, storage, share):
    path = write_bag(tmp_path / "bag", storage=storage)
    data = next(p for p in path.iterdir() if p.suffix in (".mcap", ".db3"))
    raw = data.read_bytes()
    data.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(BagError) as caught:
        list(open_bag(path).samples())
    assert "\n" not in str(caught.value) and str(path) in str(caught.value) and "cut off" in str(caught.value)


@pytest.mark.parametrize("position", [0.1, 0.2, 0.3, 0.4, 0.5, 0.7])  # 0.3, 0.4, 0.7: in an index of messages that are read
def test_damaged_bytes_are_one_line(tmp_path, position):
    path = write_bag(tmp_path / "bag")
    raw = bytearray((path / "bag.mcap").read_bytes())
    first = int(len(raw) * position)
    raw[first:first + 400] = bytes(400)
    (path / "bag.mcap").write_bytes(raw)
    with pytest.raises(BagError, match="whole recording"):
        list(open_bag(path).samples(labels=("depth",)))


def test_no_folder(tmp_path):
    with pytest.raises(BagError, match="no such folder"):
        open_bag(tmp_path / "elsewhere")


def test_missing_odometry_is_named_and_pictures_still_work(tmp_path):
    recording = open_bag(write_bag(tmp_path / "bag", leave_out="odometry"))
    with pytest.raises(BagError, match="/carla/ego_vehicle/odometry.*pictures can be read"):
        list(recording.samples())
    pictures = list(recording.pictures("front"))
    assert len(pictures) == 16 and pictures[0][1].shape == (HEIGHT, WIDTH, 3)


def test_missing_camera_is_named(tmp_path):
    recording = open_bag(write_bag(tmp_path / "bag"))
    with pytest.raises(BagError, match="/carla/ego_vehicle/rear/image.*cameras front"):
        list(recording.samples(("rear",)))
    blind = open_bag(write_bag(tmp_path / "blind", leave_out="camera"))
    with pytest.raises(BagError, match="image"):
        list(blind.samples())
    assert len(blind.timeline.ego.stamps) == 160


def test_a_calibration_that_cannot_be_is_refused_where_it_is_asked_for(tmp_path):
    path = write_bag(tmp_path / "bag", labels=False)
    zero = rewrite(path, tmp_path / "zero", lambda topic, _, raw: calibrated(raw, 0.0, WIDTH) if topic.endswith("camera_info") else raw)
    with open_bag(zero) as recording, pytest.raises(BagError, match="focal lengths from 6.4 to 1280 .* on .*/front/camera_info; got fx 0"):
        next(recording.samples())
    assert len(list(open_bag(zero).pictures("front"))) == 16  # pictures ask for none
    other = rewrite(path, tmp_path / "other", lambda topic, _, raw: calibrated(raw, 100.0, 200) if topic.endswith("camera_info") else raw)
    with open_bag(other) as recording, pytest.raises(BagError, match="pictures of 200x32 on .*/front/image, .*; got 64x32"):
        next(recording.samples())
    bare = rewrite(path, tmp_path / "bare", lambda topic, _, raw: None if topic.endswith("camera_info") else raw)  # the remedy
    assert len(list(open_bag(bare).samples())) == 16


def calibrated(raw, focal, width):
    kind = "sensor_msgs/msg/CameraInfo"
    message = typestore().deserialize_cdr(raw, kind)
    k = np.array([focal, 0, width / 2, 0, focal, HEIGHT / 2, 0, 0, 1])
    return bytes(typestore().serialize_cdr(replace(message, width=width, k=k), kind))


@pytest.mark.parametrize("camera", ["sensing/camera/front", "rgb_front", "a/b", "front/depth/rgb"])
def test_a_camera_id_with_slashes_is_found(tmp_path, camera):
    path = rewrite(write_bag(tmp_path / "bag"), tmp_path / "b",
                   rename=lambda topic: topic.replace("/front", f"/{camera}") if topic.startswith(("/carla/", "/truth/")) else topic)
    with open_bag(path) as recording:
        assert recording.cameras == (camera,)
        samples = list(recording.samples(labels=("depth", "semantic")))
        spec = recording.camera_spec(camera)
    assert len(samples) == 16 and samples[0].frame.images[camera].shape == (HEIGHT, WIDTH, 3)
    assert spec.width == WIDTH and samples[0].truth.labels[camera].depth is not None


def test_missing_speedometer_falls_back_to_odometry(tmp_path):
    recording = open_bag(write_bag(tmp_path / "bag", leave_out="speed"))
    assert next(recording.samples()).frame.ego.speed_mps == pytest.approx(SPEED)
    assert any("speedometer" in note for note in recording.notes)


def test_missing_route_gives_frames_without_a_goal(tmp_path):
    recording = open_bag(write_bag(tmp_path / "bag", leave_out="route"))
    assert next(recording.samples()).frame.goal.command == Command.VOID
    assert any("global_plan" in note for note in recording.notes)


def test_a_route_that_is_sent_again_is_one_and_another_one_is_refused(tmp_path):
    source = write_bag(tmp_path / "bag")

    def again(topic, bag_ns, raw, longer=False):
        if not topic.endswith("global_plan"):
            return raw
        message = typestore().deserialize_cdr(raw, kind)
        if longer:
            message.data = np.concatenate([np.float32([77.0]).view(np.uint8), message.data[4:]])
        return [(bag_ns, raw), (bag_ns + 10**9, typestore().serialize_cdr(message, kind))]

    with open_bag(source) as recording:
        kind, wanted = recording.kinds["/carla/ego_vehicle/global_plan"], recording.route
    with open_bag(rewrite(source, tmp_path / "twice", again)) as recording:
        np.testing.assert_array_equal(recording.route.points, wanted.points)
    with open_bag(rewrite(source, tmp_path / "other", lambda *one: again(*one, longer=True))) as recording:
        with pytest.raises(BagError, match="one route on .*global_plan .*got 2 different ones .*each drive by itself"):
            next(recording.samples())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_topic_without_a_message_hides_none_that_has_some(tmp_path, storage):
    silent = {"/carla/ego_vehicle/front/image": "sensor_msgs/msg/Image"}
    bag = rewrite(write_bag(tmp_path / "bag", compact=True), tmp_path / "again", storage=storage, silent=silent)
    with open_bag(bag) as recording:
        assert set(silent) <= set(recording.kinds) and len(list(recording.samples())) == 16


def test_bridge_twist_is_undone_on_slopes():
    pose = Pose(yaw=0.7, pitch=0.1, roll=0.02)
    seen = to_bridge_twist(np.array([10.0, 0.0, 0.0]), Pose(pitch=np.radians(5.7)))
    np.testing.assert_allclose(np.abs(seen), [9.80, 0.0, 1.98], atol=0.01)  # the measured figures of the contract, A4
    body = np.array([8.0, -0.3, 0.0])
    np.testing.assert_allclose(from_bridge_twist(to_bridge_twist(body, pose), pose), body, atol=1e-12)


def test_a_bag_as_carlas_bridge_records_it(tmp_path):
    """carla_msgs types without embedded definitions, another role name, bag time unlike sim time, camera by any name."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    store, path = typestore(), tmp_path / "carla"
    points = np.stack([np.arange(60.0), np.zeros(60)], 1)
    route = tables.carla_route(make, Route("", "", points, np.zeros(60), np.full(60, 3, np.int8), points))
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        def channel(topic, kind):
            return writer.add_connection(topic, kind, typestore=store), kind

        channels = {name: channel(f"/carla/hero/{name}", kind) for name, kind in (
            ("global_plan", "carla_msgs/msg/CarlaRoute"), ("odometry", "nav_msgs/msg/Odometry"),
            ("speedometer", "std_msgs/msg/Float32"), ("rgb_front/image", "sensor_msgs/msg/Image"),
            ("vehicle_control_cmd", "carla_msgs/msg/CarlaEgoVehicleControl"))}

        def write(name, bag_ns, message):
            connection, kind = channels[name]
            writer.write(connection, bag_ns, store.serialize_cdr(message, kind))

        write("global_plan", 5, route)
        for tick in range(10):
            stamp, bag = tick * 50_000_000, 10**12 + tick * 130_000_000  # slower than real time
            ego = EgoState(stamp, Pose(x=0.5 * tick, pitch=0.1), 9.0)
            write("odometry", bag + 1000, motion.odometry(make, ego, stamp, "hero"))
            write("speedometer", bag + 2_000_000, motion.speed(make, 9.0 + tick, stamp))
            rgb = np.full((4, 6, 4), tick, np.uint8)
            write("rgb_front/image", bag + 60_000_000, pictures.image(make, rgb, "bgra8", stamp, "hero/rgb_front"))
            write("vehicle_control_cmd", bag + 90_000_000, make(
                "carla_msgs/msg/CarlaEgoVehicleControl", header=header(make, stamp, ""), throttle=0.5, steer=0.25,
                brake=0.0, hand_brake=False, reverse=False, gear=1, manual_gear_shift=False))
    recording = open_bag(path)
    assert recording.role_name == "hero" and recording.cameras == ("rgb_front",)
    samples = list(recording.samples())
    assert [s.frame.ego.speed_mps for s in samples] == pytest.approx([9.0 + t for t in range(10)])
    assert samples[4].truth.control.steer == pytest.approx(-0.25) and samples[4].truth.actors is None
    assert samples[4].frame.goal.command == Command.STRAIGHT


def test_metadata_is_of_the_version_that_humble_reads(tmp_path):
    """Humble's rosbag2 knows versions up to 8 and wants offered_qos_profiles as a text; checked with its own metadata_io.cpp."""
    for storage in ("mcap", "sqlite3"):
        info = yaml.safe_load((write_bag(tmp_path / storage, seconds=0.5, storage=storage) / "metadata.yaml").read_text())
        facts = info["rosbag2_bagfile_information"]
        assert facts["version"] == 8
        offered = [topic["topic_metadata"]["offered_qos_profiles"] for topic in facts["topics_with_message_count"]]
        assert all(isinstance(text, str) and yaml.safe_load(text)[0]["depth"] in (1, 10) for text in offered)
    with open_bag(tmp_path / "mcap") as recording:
        assert recording.route is not None


def test_a_route_has_the_header_of_the_real_message():
    """Field for field as branch leaderboard-2.0 of ros-carla-msgs has it: what rclpy serialises there is read from a bag here."""
    points = np.stack([np.arange(3.0), np.zeros(3)], 1)
    found = tables.carla_route(make, Route("", "", points, np.zeros(3), np.full(3, 3, np.int8), points), 7, "map")
    data = typestore().serialize_cdr(found, "carla_msgs/msg/CarlaRoute")
    assert bytes(data[4:12]) == (0).to_bytes(4, "little") + (7).to_bytes(4, "little"), "the stamp comes first"
    back = typestore().deserialize_cdr(data, "carla_msgs/msg/CarlaRoute")
    assert back.header.frame_id == "map" and len(tables.route_of(back).points) == 3
