"""Odometry, controls and depth that cannot be: left out, counted and told, so that no label is made of them."""

import numpy as np
import pytest
from support.bags import copy_bag
from support.rewrite import rewrite

from kd_planner_ros.bags.decode import join_ego
from kd_planner_ros.bags.messages import make, typestore
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.errors import BagError, SensorError
from kd_planner_ros.core.timeline import series
from kd_planner_ros.wire.codec import pictures
from kd_planner_ros.wire.codec.motion import CONTROL, ODOMETRY

S, TICK = 10**9, 50_000_000
EGO, CONTROLS = "/carla/ego_vehicle/odometry", "/carla/ego_vehicle/vehicle_control_cmd"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return copy_bag(tmp_path_factory.mktemp("motion") / "bag", labels=False, every=2)


def edited(kind, change):
    """A change of messages of ``kind``: ``change(message, bag time)`` edits it."""
    def work(raw, when):
        message = typestore().deserialize_cdr(raw, kind)
        change(message, when)
        return bytes(typestore().serialize_cdr(message, kind))

    return work


def timeline(path):
    with open_bag(path) as recording:
        return recording.timeline, recording.notes, list(recording.samples())


def odometry(bag, target, change):
    work = edited(ODOMETRY, change)
    return timeline(rewrite(bag, target, lambda topic, when, raw: work(raw, when) if topic == EGO else raw))


@pytest.mark.parametrize("at, kept, lost", [(3.0, (3.0, 8.95), 40), (7.0, (1.0, 6.95), 40)])
def test_a_car_that_is_spawned_anew_gives_the_longest_drive(bag, tmp_path, at, kept, lost):
    """Stamps go on: without this the way from one place to the other is a label."""
    def put(message, when):
        message.pose.pose.position.x += 150.0 * (when >= at * S)

    found, notes, samples = odometry(bag, tmp_path / "b", put)
    assert (found.ego.stamps[[0, -1]] / 1e9).tolist() == [pytest.approx(one) for one in kept]
    assert any(f"{lost} of 160 states of {EGO} are left out" in note and f" m at {at:.3f} s" in note for note in notes)
    assert np.linalg.norm(np.diff(found.ego.values[:, :2], axis=0), axis=1).max() < 1.0 and len(samples) == 60


def test_a_first_message_from_before_the_spawn_costs_itself_alone(bag, tmp_path):
    def put(message, when):
        message.pose.pose.position.y += 300.0 * (when > S)

    found, notes, _ = odometry(bag, tmp_path / "b", put)
    assert len(found.ego.stamps) == 159 and any(note.startswith("1 of 160 states") for note in notes)


def test_a_fast_car_and_a_gap_of_odometry_are_no_jump(bag, tmp_path):
    def fast(message, when):
        message.pose.pose.position.x = 60.0 * when / S

    work = edited(ODOMETRY, fast)
    path = rewrite(bag, tmp_path / "b", lambda topic, when, raw: raw if topic != EGO else None if 3 * S < when < 5 * S else work(raw, when))
    assert len(timeline(path)[0].ego.stamps) == 121 and not any("another place" in note for note in timeline(path)[1])


def test_odometry_without_an_orientation_is_left_out(bag, tmp_path):
    """A driver that does not know it leaves four zeros: read as no rotation, every waypoint would lie askew."""
    def unturned(message, when):
        if when % (2 * TICK):
            message.pose.pose.orientation.w = message.pose.pose.orientation.z = 0.0

    found, notes, _ = odometry(bag, tmp_path / "b", unturned)
    assert len(found.ego.stamps) == 80 and f"80 messages on {EGO} are left out: an orientation of four zeros" in notes
    with pytest.raises(BagError, match="finite numbers and orientations on .*; got none in 160 messages"):
        odometry(bag, tmp_path / "c", lambda message, when: setattr(message.pose, "pose", make(
            "geometry_msgs/msg/Pose", position=message.pose.pose.position,
            orientation=make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=0.0))))


def test_another_frame_than_the_routes_is_told(bag, tmp_path):
    _, notes, _ = odometry(bag, tmp_path / "b", lambda message, when: setattr(message.header, "frame_id", "odom"))
    assert any(f"the frame 'odom' of {EGO} is taken for 'map'" in note for note in notes)
    assert not any("is taken for" in note for note in timeline(bag)[1])


@pytest.mark.parametrize("wrong", [{"reverse": True}, {"hand_brake": True}, {"throttle": 70.0}, {"steer": -12.5}, {"brake": float("nan")},
                                   {"throttle": -0.5}])
def test_controls_that_do_not_drive_ahead_are_no_labels(bag, tmp_path, wrong):
    """CARLA's control in reverse gear, or in percent and degrees: those instants have no known control."""
    def control(when):
        stamp = make("builtin_interfaces/msg/Time", sec=when // S, nanosec=when % S)
        fields = {"throttle": 0.5, "steer": 0.25, "brake": 0.0, "hand_brake": False, "reverse": False, "gear": 1}
        header = make("std_msgs/msg/Header", stamp=stamp, frame_id="")
        message = make(CONTROL, header=header, manual_gear_shift=False, **fields | (wrong if when < 3 * S else {}))
        return bytes(typestore().serialize_cdr(message, CONTROL))

    path = rewrite(bag, tmp_path / "b", lambda topic, when, raw: control(when) if topic == CONTROLS else raw, kinds={CONTROLS: CONTROL})
    found, notes, samples = timeline(path)
    assert any(note.startswith(f"40 messages on {CONTROLS} are left out: reverse gear") for note in notes)
    assert found.control.stamps[0] == 3 * S
    assert samples[0].truth.control is None and samples[-1].truth.control.steer == pytest.approx(-0.25)


def test_depth_in_millimetres_becomes_metres_and_colours_are_refused():
    metres = np.array([[1.5, 0.0], [65.535, 12.0]], np.float32)
    sent = pictures.image(make, (metres * 1000).round().astype(np.uint16), "16UC1", S, "front")
    np.testing.assert_allclose(pictures.depth_of(sent), np.where(metres > 0, metres, np.nan), rtol=1e-6)
    packed = pictures.compressed(make, (metres * 1000).round().astype(np.uint16), S, "front", "png")
    np.testing.assert_allclose(pictures.depth_of(packed), np.where(metres > 0, metres, np.nan), rtol=1e-6)
    assert np.array_equal(pictures.depth_of(pictures.depth(make, metres, S, "front")), metres)
    for encoding, pixels in (("bgra8", np.zeros((2, 2, 4), np.uint8)), ("mono8", np.zeros((2, 2), np.uint8))):
        with pytest.raises(SensorError, match="depth in metres .32FC1. or millimetres"):
            pictures.depth_of(pictures.image(make, pixels, encoding, S, "front"))


def test_classes_in_a_packed_picture_are_read_by_their_colours():
    ids = np.array([[0, 1], [7, 14]], np.uint8)
    coloured = pictures.rgb_of(pictures.class_colours(make, ids, S, "front"))
    assert (pictures.label_of(pictures.compressed(make, coloured, S, "front", "png")) == ids).all()


@pytest.mark.parametrize("received, speeds, paired", [
    ((5, 9), [(None, 5, 3.0), (None, 9, 4.0)], [3.0, 4.0]), ((5, 5), [(None, 5, 3.0)], [1.0, 1.0]),
    ((5, 9), [(None, 5, 3.0), (None, 5, 4.0)], [1.0, 1.0]), ((5, 5), [(0, 5, 3.0), (S, 5, 4.0)], [3.0, 4.0])])
def test_a_speed_is_paired_by_its_stamp_or_by_a_bag_time_of_its_own(received, speeds, paired):
    """Two ticks, or two speeds, of one bag time cannot be told apart; odometry's own speed is 1."""
    rows = [(number * S, bag_ns, [0.0] * 6 + [1.0, 0.0, 0.0, 0.0]) for number, bag_ns in enumerate(received)]
    notes = []
    assert join_ego(rows, speeds, series([]), notes, "speedometer").values[:, 6].tolist() == paired
    assert notes == ([] if paired != [1.0, 1.0] else ["2 of 2 ticks without speedometer: odometry's speed is used there"])
