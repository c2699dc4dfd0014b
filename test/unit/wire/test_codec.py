"""Every channel, by rosbags' classes and by rclpy's: what is sent is read, and numbers agree with those worked out by hand."""

import math
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from support.fakes import straight_route
from support.makers import MAKERS, find_maker
from support.wire import SAMPLES, same

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import Command, EgoState, Pose
from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.outputs import DETECTION_DTYPE, DenseOutput, Detections, MapLines
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.wire.channels import CHANNELS, find_channel
from kd_planner_ros.wire.codec import base, dense, motion, pictures, plans, tables
from kd_planner_ros.wire.tables import table_dtype

STAMP = 1_234_567_890_123


@pytest.fixture(params=MAKERS)
def make(request):
    return find_maker(request.param)


def sent(make, channel, record, stamp=STAMP, frame="ego_vehicle/front"):
    return find_channel(channel).encode(make, record, stamp, frame)


def there_and_back(make, channel, record):
    return find_channel(channel).decode(sent(make, channel, record))


def test_every_channel_has_samples():
    assert set(SAMPLES) == set(CHANNELS), "give the new channel a sample in test/support/wire.py"


@pytest.mark.parametrize("channel", sorted(SAMPLES))
def test_what_is_sent_is_read(make, channel):
    try:
        make(find_channel(channel).kind)
    except ImportError as missing:
        pytest.skip(f"{missing}: its package is not installed")
    except TypeError:
        pass  # rosbags' classes have no defaults
    for record in SAMPLES[channel]:
        message = sent(make, channel, record)
        if hasattr(message, "header"):
            assert base.stamp_of(message) == STAMP
        same(find_channel(channel).decode(message), record)


@pytest.mark.parametrize("channel, kind", [(name, kind) for name, one in CHANNELS.items() for kind, _ in one.others])
def test_carlas_own_messages_are_read_as_the_common_ones(channel, kind):
    """carla_msgs is not on PyPI, so rosbags' classes alone can be made here."""
    make = find_maker("rosbags")
    one = find_channel(channel)
    chosen, encode = one.format(lambda wanted: wanted == kind)
    assert chosen == kind and one.format(lambda wanted: False) == (one.kind, one.encode)
    for record in SAMPLES[channel]:
        if channel == "control":
            record = Control(record.stamp_ns, record.throttle, record.steer, record.brake)  # no place for the reason
        message = encode(make, record, STAMP, "ego_vehicle")
        assert message.__msgtype__ == kind
        same(one.decode(message), record) if channel != "speedometer" else same(one.decode(message)[1], record)


def test_an_unknown_channel_is_named():
    with pytest.raises(ConfigError, match="odometry, speedometer"):
        find_channel("odometer")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_every_channel_goes_through_a_recording(tmp_path, storage):
    """What ``BagWriter.put`` writes, ``Recording.records`` reads; topics of one name a sensor do not meet."""
    with BagWriter(tmp_path / "bag", SensorRig(), {}, storage=storage) as bag:
        for channel, records in SAMPLES.items():
            bag.put(channel, records[0], STAMP, f"{channel}_sensor")
    with open_bag(tmp_path / "bag", "ego_vehicle") as recording:
        for channel, records in SAMPLES.items():
            ((stamp, back),) = recording.records(channel, f"{channel}_sensor")
            assert stamp == STAMP
            same(back, records[0])
        assert list(recording.records("image", "nobody")) == []


# --- motion --------------------------------------------------------------------------------------------------------------

def test_steer_is_flipped_for_carla(make):
    message = sent(make, "control", Control(STAMP, 0.3, 0.25, 0.1, "limited"))
    assert list(message.name) == ["throttle", "steer", "brake", "reason/limited"]
    assert list(message.position[:3]) == [0.3, -0.25, 0.1]


def test_a_control_without_a_pedal_is_refused(make):
    message = motion.named(make, {"throttle": 0.0, "steer": 0.0}, 0, "")
    with pytest.raises(SensorError, match="brake"):
        motion.control_of(message)


@pytest.mark.parametrize("slope_deg, shown", [(5.7, (9.80, 0.0, 1.98)), (10.0, (9.40, 0.0, 3.42))])
def test_the_bridges_twist_on_a_slope_is_understood(make, slope_deg, shown):
    # Uphill: nose up is a negative ROS pitch. The bridge shows the wrong twist; the speed is 10 m/s all the same.
    message = sent(make, "odometry", EgoState(0, Pose(pitch=-math.radians(slope_deg)), 10.0))
    twist = message.twist.twist.linear
    assert (twist.x, twist.y, twist.z) == pytest.approx(shown, abs=0.01)
    assert motion.ego_of(message).speed_mps == pytest.approx(10.0, abs=1e-9)


def test_an_ego_that_is_not_finite_is_refused():
    assert motion.require_finite(EgoState(0, Pose(), 1.0)).speed_mps == 1.0
    for ego in (EgoState(0, Pose(x=math.nan), 1.0), EgoState(0, Pose(), math.inf), EgoState(0, Pose(), 1.0, math.nan)):
        with pytest.raises(SensorError, match="finite"):
            motion.require_finite(ego)


def test_the_imu_of_a_car_in_a_bend():
    """10 m/s at 0.2 rad/s: 2 m/s^2 to the left; gravity upward."""
    sample = motion.imu_of_ego(EgoState(0, Pose(), 10.0, 0.2, 0.5))
    assert sample.acceleration.tolist() == [0.5, 2.0, 9.81] and sample.angular_velocity.tolist() == [0.0, 0.0, 0.2]


# --- pictures ------------------------------------------------------------------------------------------------------------

def test_a_picture_is_bgra(make):
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    message = sent(make, "image", rgb)
    assert message.encoding == "bgra8" and message.step == 12 and message.header.frame_id == "ego_vehicle/front"
    assert list(message.data[:4]) == [2, 1, 0, 255]


def test_camera_info_at_ninety_degrees(make):
    info = sent(make, "camera_info", CameraSpec("front", Pose(), 800, 600, 90.0))
    assert [info.k[at] for at in (0, 4, 2, 5)] == pytest.approx([400.0, 400.0, 400.0, 300.0])
    assert pictures.camera_of(info, "front") == CameraSpec("front", Pose(), 800, 600, 90.0)
    info.width = 0
    with pytest.raises(SensorError, match="0x600"):
        pictures.camera_of(info)


@pytest.mark.parametrize("k, named", [
    ({0: 0.0, 4: 0.0}, "fx 0 and fy 0"), ({0: -400.0, 4: 400.0}, "fx -400"), ({0: 400.0, 4: -400.0}, "fy -400"),
    ({0: 0.8, 4: 0.8}, "fx 0.8"),
    ({0: 8e5, 4: 8e5}, "fx 800000"), ({0: float("nan")}, "fx nan"), ({4: float("inf")}, "fy inf"), ({0: 400.0, 4: 4.0}, "fy 4"),
    ({2: 0.0}, "cx 0 and cy 300"), ({5: 601.0}, "cy 601"), ({2: float("nan")}, "cx nan")])
def test_a_calibration_that_cannot_be_is_refused(make, k, named):
    info = sent(make, "camera_info", CameraSpec("front", Pose(), 800, 600, 90.0))
    for at, value in k.items():
        info.k[at] = value
    with pytest.raises(SensorError, match=named):
        pictures.camera_of(info)


@pytest.mark.parametrize("fov_deg", [5.0, 60.0, 120.0, 150.0])
def test_calibrations_of_real_lenses_are_read(make, fov_deg):
    info = sent(make, "camera_info", CameraSpec("front", Pose(), 640, 480, fov_deg))
    info.k[4] *= 1.02
    info.k[2] += 25.0
    assert pictures.camera_of(info).fov_deg == pytest.approx(fov_deg, abs=1e-5)


def test_a_png_keeps_every_value_and_a_jpeg_nearly(make):
    rgb = np.kron(np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10, np.ones((16, 16, 1), np.uint8))
    message = pictures.compressed(make, rgb, STAMP, "front", "png")
    assert message.format == "png" and (pictures.rgb_of(message) == rgb).all()
    depth_mm = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    assert (pictures.pixels_of(pictures.compressed(make, depth_mm, STAMP, "front", "png")) == depth_mm).all()
    ids = np.arange(32 * 48, dtype=np.uint8).reshape(32, 48)
    assert (pictures.label_of(pictures.compressed(make, ids, STAMP, "front", "png")) == ids).all()
    jpeg = sent(make, "compressed", rgb)
    assert jpeg.format == "jpeg" and np.abs(pictures.rgb_of(jpeg).astype(int) - rgb).mean() < 4.0
    grey = pictures.rgb_of(pictures.compressed(make, ids, STAMP, "front", "png"))
    assert grey.shape == (32, 48, 3) and (grey[..., 1] == ids).all()


def test_bytes_that_are_no_picture_are_refused(make):
    with pytest.raises(SensorError, match="jpeg, png"):
        pictures.compressed(make, np.zeros((2, 2, 3), np.uint8), 0, "", "webp")
    for data in (np.zeros(0, np.uint8), np.arange(100, dtype=np.uint8)):
        message = make("sensor_msgs/msg/CompressedImage", header=base.header(make, 0, ""), format="jpeg", data=data)
        with pytest.raises(SensorError, match="neither"):
            pictures.rgb_of(message)
    with pytest.raises(SensorError, match="float32"):
        pictures.compressed(make, np.zeros((2, 2), np.float32), 0, "")
    with pytest.raises(SensorError, match="8 bits"):
        pictures.rgb_of(pictures.compressed(make, np.zeros((2, 2), np.uint16), 0, "", "png"))


def test_labels_come_as_numbers_or_as_colours(make):
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (pictures.label_of(pictures.class_colours(make, ids, 0, "")) == ids).all()
    assert (pictures.label_of(pictures.classes(make, ids, 0, "")) == ids).all()


def test_carlas_raw_depth_and_tags(make):
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 0] = (255, 255, 255, 255)  # B, G, R, A: the code's maximum is 1000 m
    pixels[0, 1] = (1, 2, 10, 255)  # R + 256 G + 65536 B = 10 + 512 + 65536 = 66058
    message = pictures.image(make, pixels, "bgra8", 0, "")
    assert pictures.coded_depth_of(message)[0].tolist() == pytest.approx([1000.0, 66058 / (2**24 - 1) * 1000.0])
    assert pictures.red_classes_of(message)[0].tolist() == [255, 10]
    with pytest.raises(SensorError, match="carla_bridge"):
        pictures.coded_depth_of(pictures.depth(make, np.zeros((1, 2)), 0, ""))


def test_a_dense_output_in_a_wrong_picture_is_refused(make):
    message = dense.dense(make, DenseOutput("depth", np.zeros((2, 3), np.float32)), 0, "")
    with pytest.raises(SensorError, match="mono8 for classes"):
        dense.dense_of(message, "classes")
    with pytest.raises(SensorError, match="kind depth"):
        dense.dense_of(message, "colour")
    assert dense.dense_of(message, "depth", ("road",)).labels == ("road",)


# --- tables --------------------------------------------------------------------------------------------------------------

def cloud_message(make, fields, rows, **change):
    """A PointCloud2 from fields (name, offset, type number, count) and packed bytes."""
    parts = {"header": base.header(make, 0, ""), "height": 1, "width": 2, "is_bigendian": False, "point_step": 4, "row_step": 8,
             "fields": [make("sensor_msgs/msg/PointField", name=n, offset=o, datatype=t, count=c) for n, o, t, c in fields],
             "data": np.frombuffer(rows, np.uint8), "is_dense": True}
    return make("sensor_msgs/msg/PointCloud2", **{**parts, **change})


def test_the_radars_four_byte_hole_is_honoured(make):
    names, offsets = ["x", "y", "z", "Range", "Velocity", "AzimuthAngle", "ElevationAngle"], [0, 4, 8, 12, 16, 20, 28]
    row = struct.pack("<6f4xf", 1, 2, 3, 4, 5, 6, 7)
    message = cloud_message(make, [(n, o, 7, 1) for n, o in zip(names, offsets)], row * 2, point_step=32, row_step=64)
    table = tables.rows_of(message)
    assert table["ElevationAngle"].tolist() == [7.0, 7.0] and table["AzimuthAngle"].tolist() == [6.0, 6.0]


def test_padded_lines_and_big_endian_numbers(make):
    data = struct.pack(">f4x", 1.5) + struct.pack(">f4x", 2.5)
    message = cloud_message(make, [("x", 0, 7, 1)], data, height=2, width=1, is_bigendian=True, row_step=8)
    assert tables.rows_of(message)["x"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("change", [
    {"data": np.zeros(4, np.uint8)}, {"point_step": 2}, {"height": 2, "width": 1, "row_step": 3}, {"width": 3}, {"height": 2},
    {"width": 0, "point_step": 0}])
def test_a_broken_table_is_refused(make, change):
    with pytest.raises(SensorError):
        tables.rows_of(cloud_message(make, [("x", 0, 7, 1)], bytes(8), **change))


def test_a_field_of_many_numbers_must_lie_in_its_row(make):
    assert tables.rows_of(cloud_message(make, [("x", 0, 2, 4)], bytes(range(8))))["x"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    for fields in ([("x", 0, 2, 5)], [("x", 0, 9, 1)], [("x", 0, 2, 1), ("x", 1, 2, 1)]):
        with pytest.raises(SensorError):
            tables.rows_of(cloud_message(make, fields, bytes(8)))


def test_what_is_missing_in_a_table_is_named(make):
    actors = np.zeros(2, ACTOR_DTYPE)
    with pytest.raises(SensorError, match="no intensity"):
        tables.cloud_of(tables.table(make, actors, 0, "map"))
    with pytest.raises(SensorError, match="no state"):
        tables.signals_of(tables.table(make, actors, 0, "map"))
    with pytest.raises(SensorError, match="int64"):
        tables.table(make, np.zeros(1, [("id", "i8")]), 0, "map")


def test_points_that_are_not_finite_are_left_out(make):
    cloud = np.array([[1, 2, 3, 0.5], [4, 5, 6, 0.25]], np.float32)
    cloud[0, 1] = np.inf
    assert there_and_back(make, "cloud", cloud).tolist() == [[4, 5, 6, 0.25]]


def test_a_leaderboard_route_is_read():
    pose = SimpleNamespace(position=SimpleNamespace(x=1.0, y=2.0, z=0.0),
                           orientation=SimpleNamespace(x=0.0, y=0.0, z=math.sin(0.25), w=math.cos(0.25)))
    route = tables.route_of(SimpleNamespace(poses=[pose, pose], road_options=[4, -1]))
    assert route.points.tolist() == [[1.0, 2.0]] * 2 and route.yaws == pytest.approx([0.5, 0.5])
    assert route.commands.tolist() == [Command.LANE_FOLLOW, Command.VOID]
    with pytest.raises(SensorError, match="2 road options"):
        tables.route_of(SimpleNamespace(poses=[pose, pose], road_options=[4]))
    with pytest.raises(SensorError, match="road options out of .*; got 67; check the node"):
        tables.route_of(SimpleNamespace(poses=[pose, pose], road_options=[4, 67]))


def test_waypoints_have_no_commands(make):
    back = tables.route_of(tables.waypoints(make, straight_route(5), STAMP))
    assert back.commands.tolist() == [Command.LANE_FOLLOW] * 5 and back.points[-1].tolist() == [4.0, 0.0]


# --- plans ---------------------------------------------------------------------------------------------------------------

def test_a_plan_names_what_travels_beside_it(make):
    for record in SAMPLES["plan"]:
        head = there_and_back(make, "plan", record)
        if isinstance(record, plans.Fault):
            continue
        assert head.parts == tuple(plans.parts_of(record))
        for name, part in plans.parts_of(record).items():
            head = head._replace(plan=plans.with_parts(head.plan, {name: there_and_back(make, name, part)}))
        same(plans.PlanHead(head.plan, head.parts), record)
        for name in plans.PARTS:
            same(getattr(head.plan, name), getattr(record, name))
        same(head.plan.scores, record.scores)


def test_a_table_of_a_plan_must_fit_together(make):
    good = tables.rows_of(sent(make, "plan", SAMPLES["plan"][0]))
    for names, sentence in ((("points", "command", "inference_ms", "follow"), "no target"),
                            (("target", "command", "inference_ms", "follow", "points"), "0 times")):
        with pytest.raises(SensorError, match=sentence):
            plans.plan_of(tables.table(make, good[list(names)], 0, ""))
    with pytest.raises(SensorError, match="one row"):
        plans.plan_of(tables.table(make, np.repeat(good, 2), 0, ""))


def test_ids_are_exact_or_refused(make):
    rows = np.zeros(2, DETECTION_DTYPE)
    rows["id"] = 2**53, -1
    assert there_and_back(make, "detections", Detections(rows)).rows["id"].tolist() == [2**53, -1]
    rows["id"] = 2**53 + 1
    with pytest.raises(SensorError, match="2\\^53"):
        sent(make, "detections", Detections(rows))


def test_forecasts_must_fit_their_times(make):
    rows = np.zeros(2, DETECTION_DTYPE)
    message = sent(make, "detections", Detections(rows, np.zeros((2, 3, 4, 2), "f4"), np.zeros((2, 3), "f4"), np.arange(1.0, 5.0)))
    table = tables.rows_of(message)
    for count, name in ((5, "forecast_times_s"), (2, "forecast_scores")):
        kinds = [(n, table.dtype[n] if n != name else (table.dtype[n].base, (count,))) for n in table.dtype.names]
        with pytest.raises(SensorError):
            plans.detections_of(tables.table(make, np.zeros(2, kinds), 0, ""))
    wrong = table.copy()
    wrong["forecast_times_s"] = (-2.0, -1.5, -1.0, -0.5)  # the controller would look for where the road user is then
    with pytest.raises(SensorError, match="above 0 and increasing.* check the node"):
        plans.detections_of(tables.table(make, wrong, 0, ""))


def test_nobody_and_no_lines_are_not_the_same_as_not_looking(make):
    assert len(there_and_back(make, "detections", Detections(np.zeros(0, DETECTION_DTYPE)))) == 0
    empty = MapLines(np.zeros((0, 20, 2)), np.zeros(0, np.uint8), np.zeros(0))
    assert there_and_back(make, "lines", empty).points.shape == (0, 20, 2)


def test_types_of_a_table_are_little_endian_numbers():
    assert table_dtype((("a", 0, 7, 1), ("b", 4, 8, 2)), 20) == np.dtype({"names": ["a", "b"], "formats": ["<f4", ("<f8", (2,))],
                                                                           "offsets": [0, 4], "itemsize": 20})
