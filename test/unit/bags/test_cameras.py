"""A recording's cameras must be those that a model declares: by its camera_info, and by the mounting that the recorder noted."""

import json
import re
from dataclasses import asdict, astuple, replace

import numpy as np
import pytest
from support.bags import RIG, Pictures, copy_bag
from support.rewrite import edited, rewrite, zoomed

from kd_planner_ros.bags.cameras import recorded_mounts, require_calibration, samples_for
from kd_planner_ros.bags.drive import drive_of
from kd_planner_ros.bags.messages import make
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, SensorRig
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.ros.graph.replay import needed_topics
from kd_planner_ros.ros.mounts import mounts_text, read_mounts
from kd_planner_ros.samples.shards import build_shards
from kd_planner_ros.wire.codec.motion import TRANSFORMS, Mount, transforms
from kd_planner_ros.wire.topics import TF_STATIC

FRONT = RIG.cameras[0]
INFO = "/camera_info", "sensor_msgs/msg/CameraInfo"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return copy_bag(tmp_path_factory.mktemp("cameras") / "bag", labels=False, seconds=1.0)


def centred(x):
    def edit(info):
        k = info.k.copy()
        k[2] = x
        return replace(info, k=k)

    return edited(*INFO, edit)


def bent(d):
    return edited(*INFO, lambda info: replace(info, d=np.array(d)))


def mounted(pose):
    return {"rig": json.dumps({"cameras": [{"id": "front", "pose": asdict(pose)}]})}


SOUND = [("as declared", None, {}), ("rounding", zoomed(1.004), {}), ("mounted as declared", None, mounted(FRONT.pose)),
         ("a mounting of no numbers", None, {"rig": '{"cameras": [{"id": "front", "pose": {"x": "far"}}]}'})]
ODD = [("a little longer", zoomed(1.03), {}, "focal lengths 27.7 and 27.7 px.*declares 26.9 px"),
       ("bent", bent([0.1] * 5), {}, "distortion"),
       ("a little higher", None, mounted(replace(FRONT.pose, z=2.1)), r"recorder has .*2\.10.*declares .*2\.00.*0\.10 m")]
WRONG = [("60 degrees", zoomed(2.06), {}, r"camera 'front' of .* as the model declares it; got .* 55\.3 and 55\.3 px.*declares 26\.9 px"),
         ("off centre", centred(40.0), {}, r"centre \(40\.0"),
         ("higher", None, mounted(replace(FRONT.pose, z=2.3)), "0.30 m and 0.0 degrees apart"),
         ("turned", None, mounted(replace(FRONT.pose, yaw=0.1)), "0.00 m and 5.7 degrees apart"),
         ("of another network", None, mounted(Pose(1.3, 0.0, 2.3)), "2.82 m")]


def changed(bag, home, change, custom):
    return rewrite(bag, home / "b", *([] if change is None else [change]), custom=custom)


@pytest.mark.parametrize("change, custom", [one[1:] for one in SOUND], ids=[one[0] for one in SOUND])
def test_the_declared_camera_is_taken(bag, tmp_path, change, custom):
    with open_bag(changed(bag, tmp_path, change, custom)) as recording:
        assert len(list(samples_for(recording, ("front",), (), RIG))) == 2
        assert recording.notes == []


@pytest.mark.parametrize("change, custom, told", [one[1:] for one in ODD], ids=[one[0] for one in ODD])
def test_a_difference_below_the_limit_is_told_once(bag, tmp_path, change, custom, told):
    with open_bag(changed(bag, tmp_path, change, custom)) as recording:
        for _ in range(2):
            assert len(list(samples_for(recording, ("front",), (), RIG))) == 2
        assert len(recording.notes) == 1
        assert re.search(told, recording.notes[0])


@pytest.mark.parametrize("change, custom, told", [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_another_camera_is_refused_with_both_numbers(bag, tmp_path, change, custom, told):
    with open_bag(changed(bag, tmp_path, change, custom)) as recording, pytest.raises(BagError, match=told) as refused:
        list(samples_for(recording, ("front",), (), RIG))
    assert "\n" not in str(refused.value)


def test_pictures_that_are_scaled_have_the_field_of_view_of_the_declared_ones(bag):
    """TCP takes a picture that has its input's size already: half of the camera's, for example."""
    large = replace(FRONT, width=2 * FRONT.width, height=2 * FRONT.height)
    with open_bag(bag) as recording:
        require_calibration(recording, SensorRig((large,)))
        assert recording.notes == []


def test_what_was_not_recorded_is_not_compared(bag):
    rig = SensorRig((FRONT, replace(FRONT, id="rear", fov_deg=20.0)))
    with open_bag(bag) as recording:
        require_calibration(recording, rig)
        assert recording.notes == []


_shorter = edited("/global_plan", "sensor_msgs/msg/PointCloud2", lambda one: replace(
    one, width=one.width - 1, row_step=one.row_step - one.point_step, data=one.data[:-one.point_step]))


def test_two_routes_are_refused_where_goals_are_wanted_and_told_where_none_are(bag, tmp_path):
    def change(topic, when, raw):
        return [(when, raw), (when, _shorter(topic, when, raw))] if topic.endswith("/global_plan") else raw

    path = rewrite(bag, tmp_path / "b", change)
    with open_bag(path) as recording, pytest.raises(BagError, match="one route on .*global_plan.*2 different ones"):
        list(samples_for(recording, ("front",), (), RIG))
    with open_bag(path) as recording:
        found = list(samples_for(recording, ("front",), (), replace(RIG, needs_route=False)))
        assert len(found) == 2 and recording.timeline.targets is None
        (note,) = recording.notes
        assert "2 different ones" in note and note.endswith("frames have no navigation goal")
    with open_bag(path) as recording:
        assert needed_topics(recording, replace(RIG, needs_route=False)) and drive_of(recording).route is None
    with open_bag(path) as recording, pytest.raises(BagError, match="2 different ones"):
        needed_topics(recording, RIG)


@pytest.mark.parametrize("needs_route", [False, True])
def test_samples_of_a_network_that_needs_no_route_are_made_beside_two(bag, tmp_path, needs_route):
    class Maker(Pictures):
        horizon_s, step_s = 0.0, 0.5

    Maker.needs_route = needs_route
    path = rewrite(bag, tmp_path / "b", lambda topic, when, raw: [(when, raw), (when, _shorter(topic, when, raw))]
                   if topic.endswith("/global_plan") else raw)
    if needs_route:
        with pytest.raises(BagError, match="2 different ones"):
            build_shards([path], tmp_path / "cache", Maker(), progress=False)
    else:
        (shard,) = build_shards([path], tmp_path / "cache", Maker(), progress=False)
        assert shard.facts["samples"] == 2 and "2 different ones" in shard.facts["notes"][0]


# --- sensors that may be missing -------------------------------------------------------------------------------------

EYES = tuple(CameraSpec(name, Pose(x=1.3, z=2.3, yaw=yaw), 64, 32, 100.0, period_s=0.1) for name, yaw in (("front", 0.0), ("left", 1.0)))
TWO = SensorRig(EYES, needs_route=False, optional=("left",))


def two_cameras(path, times, late=0):
    """Pictures of the front camera at 10 Hz for 2 s, and of the left one at ``times`` alone, each written ``late`` pictures after the
    front camera's."""
    rows = [(tick, "front", tick) for tick in range(20)] + [(tick + late, "left", tick) for tick in times]
    rig = SensorRig(EYES if times else EYES[:1])
    with BagWriter(path, rig, {"rig": json.dumps(asdict(rig))}) as bag:
        for tick in range(40):
            bag.write_ego(EgoState(10**9 + tick * 50_000_000, Pose(x=0.25 * tick), 5.0))
        for _, name, tick in sorted(rows):
            bag.write_camera(name, CameraImage(10**9 + tick * 100_000_000, np.full((32, 64, 3), tick, np.uint8), *(None,) * 3), ())
    return path


@pytest.mark.parametrize("late", [0, 1])
def test_instants_without_a_camera_that_may_be_missing_count(tmp_path, late):
    there = [tick for tick in range(20) if tick % 3]
    with open_bag(two_cameras(tmp_path / "b", there, late)) as recording:
        frames = [sample.frame for sample in samples_for(recording, ("front", "left"), (), TWO)]
        whole = [sample.frame for sample in samples_for(recording, ("front", "left"), (), replace(TWO, optional=()))]
        assert not [note for note in recording.notes if "left" in note]
    assert [frame.stamp_ns for frame in frames] == [10**9 + tick * 100_000_000 for tick in range(20)], "in order, none lost"
    assert [tick for tick, frame in enumerate(frames) if "left" in frame.images] == there
    assert all(frame.images["left"][0, 0, 0] == tick for tick, frame in enumerate(frames) if "left" in frame.images)
    assert len(whole) == len(there), "where it is needed, instants without it are left out as before"


def test_instants_with_too_few_pictures_are_left_out_and_too_few_recorded_cameras_refused(tmp_path):
    """The least number of cameras is a count: it does not say which of those that may be missing is there."""
    rig = replace(TWO, min_cameras=2)
    with open_bag(two_cameras(tmp_path / "b", range(0, 20, 2))) as recording:
        frames = [sample.frame for sample in samples_for(recording, ("front", "left"), (), rig)]
        assert len(frames) == recording.incomplete == 10 and all(set(frame.images) == {"front", "left"} for frame in frames)
    words = "at least 2 of the planner's cameras in .*; got 1: front; record more"
    with open_bag(two_cameras(tmp_path / "c", [])) as recording:
        for read in (lambda: next(samples_for(recording, ("front", "left"), (), rig)), lambda: needed_topics(recording, rig)):
            with pytest.raises(BagError, match=words):
                read()
    assert rig.fed_by(("front", "left"), ()) and not rig.fed_by(("front",), ()) and TWO.fed_by(("front",), ())


def test_a_camera_that_was_never_recorded_is_told_once(tmp_path):
    with open_bag(two_cameras(tmp_path / "b", [])) as recording:
        frames = [sample.frame for sample in samples_for(recording, ("front", "left"), (), TWO)]
        assert recording.notes.count("nothing of sensor 'left' was recorded: the model goes without") == 1
        with pytest.raises(BagError, match="left"):
            next(samples_for(recording, ("front", "left"), (), replace(TWO, optional=())))
    assert len(frames) == 20 and all(set(frame.images) == set(frame.ages_s) == {"front"} for frame in frames)


def test_recorded_frames_tell_where_cameras_are(tmp_path):
    """By /tf_static, before what the recorder noted; a frame of the map does not count. Without notes by /tf."""
    pose = replace(EYES[1].pose, y=0.5, yaw=0.9, pitch=0.05, roll=-0.02)
    chain = [Mount("ego_vehicle", "ego_vehicle/mast", Pose(z=1.0)),
             Mount("ego_vehicle/mast", "ego_vehicle/left", optical(replace(pose, z=pose.z - 1.0))),
             Mount("map", "ego_vehicle/front", Pose())]
    rig = SensorRig((EYES[0], replace(EYES[1], pose=pose)), needs_route=False, placed=True)
    with BagWriter(tmp_path / "b", SensorRig(EYES), {"rig": json.dumps(asdict(SensorRig(EYES)))}) as bag:
        bag.write(TF_STATIC, TRANSFORMS, transforms(make, chain, 0), 10**9, latched=True)
        for tick in range(40):
            bag.write_ego(EgoState(10**9 + tick * 50_000_000, Pose(x=0.25 * tick), 5.0))
        for name in ("front", "left"):
            bag.write_camera(name, CameraImage(10**9, np.zeros((32, 64, 3), np.uint8), *(None,) * 3), ())
    with open_bag(tmp_path / "b") as recording:
        frame = next(samples_for(recording, ("front", "left"), (), rig)).frame
        assert frame.calibrations["front"].pose == EYES[0].pose, "noted"
        told = frame.calibrations["left"].pose
        assert astuple(told) == pytest.approx(astuple(pose), abs=1e-9)
        assert read_mounts(mounts_text(recorded_mounts(recording, ("front", "left")))).keys() == {"front", "left"}
    bare = rewrite(tmp_path / "b", tmp_path / "c", lambda topic, when, raw: None if topic == TF_STATIC else raw, custom={"rig": ""})
    with open_bag(bare) as recording:
        assert recording.camera_place("left") is None, "of a model that does not read where its cameras are /tf says nothing"
        frame = next(samples_for(recording, ("front", "left"), (), rig)).frame
        assert astuple(frame.calibrations["left"].pose) == pytest.approx(astuple(EYES[1].pose), abs=1e-9)
        assert [note for note in recording.notes if "camera 'left': tf has" in note]
    with open_bag(tmp_path / "b") as recording:
        with pytest.raises(BagError, match=r"camera 'left' of .* as the model declares it; got tf_static has \(1.30, 0.50, 2.30\) m"):
            next(samples_for(recording, ("front", "left"), (), SensorRig(EYES, needs_route=False)))


def test_a_model_that_reads_where_its_side_cameras_are_takes_recordings_with_others(tmp_path):
    """nuScenes' CAM_FRONT_LEFT looks 55 degrees to the left. The first camera must be the declared one all the same."""
    path, turned = two_cameras(tmp_path / "b", range(20)), replace(EYES[1], pose=replace(EYES[1].pose, y=0.5, yaw=0.9), fov_deg=70.0)
    placed = SensorRig((EYES[0], turned), needs_route=False, placed=True)
    with open_bag(path) as recording:
        frame = next(samples_for(recording, ("front", "left"), (), placed)).frame
        assert frame.calibrations["left"].pose == EYES[1].pose and frame.calibrations["left"].fov_deg == pytest.approx(100.0)
        assert [note for note in recording.notes if "camera 'left'" in note]
        for rig in (replace(placed, placed=False), replace(placed, cameras=(replace(EYES[0], fov_deg=70.0), turned))):
            with pytest.raises(BagError, match="as the model declares it"):
                next(samples_for(recording, ("front", "left"), (), rig))
