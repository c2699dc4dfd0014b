"""DAIR-V2X as published: the tiny set in both layouts, read back against what it was drawn from."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.bags.dair.convert import convert
from kd_planner_ros.bags.dair.example import ORIGIN, SEQUENCES, TURN, WORLD, ego_ahead_m, users, write_example
from kd_planner_ros.bags.dair.layout import STATION, VEHICLE, DairV2x, read_labels, rigid
from kd_planner_ros.bags.dair.scene import actors, camera_pose, camera_spec, pose_of, rectify
from kd_planner_ros.bags.dair.splits import Split
from kd_planner_ros.bags.drive import captions_of
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import RoadsideWish, SensorRig
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.geometry.projection import box_corners, pixels

WANTS = SensorRig(roadside=RoadsideWish(objects=True), needs_route=True)


@pytest.fixture(scope="module", params=[False, True], ids=["cooperative", "sequential"])
def published(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dair") / "set"
    assert write_example(folder, request.param) == sum(one.frames for one in SEQUENCES) == 330
    return folder


@pytest.fixture(scope="module")
def recordings(published, tmp_path_factory):
    out = tmp_path_factory.mktemp("recordings")
    return out, convert(published, out, progress=False)


def test_the_layout_is_told_from_its_pairs(published):
    data = DairV2x(published)
    assert data.sequential is (data.pairs[0].label.parent.name == "label") and len(data.pairs) == 330 and data.unlisted == 0
    assert {shot.sequence for shot in data.vehicle.values()} == {f"{number:04d}" for number in range(6)}
    first = data.pairs[0]
    assert first.vehicle.stamp_ns - first.station.stamp_ns == 37_000_000 and first.vehicle.frame == "000000"
    assert data.earlier(first.station, 1) is None and data.earlier(data.pairs[5].station, 2).frame == "010003"
    assert data.pairs[130].offset.tolist() == [0.5, -0.25] and data.pairs[0].offset.tolist() == [0.0, 0.0]


def test_station_s_boxes_fall_where_the_vehicle_s_camera_sees_them(published):
    """Through the whole chain of matrices within a pixel of the direct projection, offsets included."""
    data = DairV2x(published)
    for number in (20, 135, 310):
        pair = data.pairs[number]
        sequence = SEQUENCES[int(pair.vehicle.sequence)]
        station = data.lidar_to_world(pair.station)
        vehicle = data.lidar_to_world(pair.vehicle)
        station[:2, 3] += vehicle[:2, :2] @ pair.offset if data.sequential else pair.offset
        labels = read_labels(data.folder / STATION / "label" / "virtuallidar" / f"{pair.station.frame}.json")
        found = box_corners(actors(labels, station, 1, Counter()))
        matrix, _ = data.intrinsics(pair.vehicle)
        seen = np.concatenate([found, np.ones((*found.shape[:2], 1))], -1) @ np.linalg.inv(vehicle).T @ data.lidar_to_camera(pair.vehicle).T
        across = seen[..., :2] / seen[..., 2:3] * matrix[0, 0] + (matrix[0, 2], matrix[1, 2])
        front = camera_spec("front", matrix, (320, 180), 320, camera_pose(data.lidar_to_camera(pair.vehicle), np.eye(4)))
        index = int(pair.vehicle.frame) - sum(one.frames for one in SEQUENCES[:sequence.number])
        rows = users(sequence)
        rows["x"] -= ego_ahead_m(sequence, index)
        rows["z"] -= 1.9
        direct = pixels(box_corners(rows), front)[..., :2] - 0.5
        ahead = np.isfinite(direct).all((1, 2))
        assert ahead.any()
        np.testing.assert_allclose(across[ahead], direct[ahead], atol=1.0)


def test_recordings_hold_the_drives(recordings):
    out, report = recordings
    assert report.recordings == ["dair_0000_0", "dair_0001_0", "dair_0002_0", "dair_0003_0", "dair_0004_0", "dair_0004_1", "dair_0005_0"]
    without = report.left_out.pop("velocities of road users without a track, kept as 0", 0)
    assert report.left_out == {"pairs without a whole calibration": 1} and report.pictures == 329
    assert without > 0, "in neither layout do the stations' lists name tracks"
    with open_bag(out / "dair_0000_0") as recording:
        samples = list(recording.samples(("front",), wants=WANTS))
        told, stations = captions_of(recording), recording.stations
        timeline = recording.timeline
    assert len(samples) == 60 and recording.cameras == ("front",) and len(stations) == 1
    first = samples[0].frame
    assert first.images["front"].shape == (252, 448, 3) and first.ego.speed_mps == pytest.approx(8.0, abs=0.01)
    assert first.ego.pose.yaw == pytest.approx(TURN, abs=1e-6) and first.ego.pose.z == pytest.approx(1.9, abs=1e-6)
    np.testing.assert_allclose((first.ego.pose.x, first.ego.pose.y), ORIGIN, atol=1e-6)
    assert samples[5].frame.roadside[0].age_s == pytest.approx(0.037, abs=1e-6)
    assert timeline.ego.values[-1][6] == pytest.approx(0.0, abs=0.01)  # it has braked to a stand
    walker = [row for row in samples[0].truth.actors if row["kind"] == ActorKind.PEDESTRIAN]
    wanted = WORLD @ (36.0, -3.2, 0.0, 1.0)
    np.testing.assert_allclose((walker[0]["x"], walker[0]["y"], walker[0]["z"]), wanted[:3], atol=1e-3)
    assert "walker" in told[f"{stations[0].id}/camera", samples[5].frame.roadside[0].stamp_ns].text
    assert sum("walker" in one.text for one in told.values()) >= 60


def test_a_station_s_list_is_where_the_truth_is(recordings):
    """Sequence 2 has an offset, sequence 5 empty relative errors."""
    out, _ = recordings
    for name in ("dair_0002_0", "dair_0005_0"):
        with open_bag(out / name) as recording:
            sample = next(one for one in recording.samples(("front",), wants=WANTS) if one.frame.roadside)
        found, wanted = sample.frame.roadside[0].objects, sample.truth.actors
        np.testing.assert_allclose(np.sort(found["x"]), np.sort(wanted["x"]), atol=2e-3)
        camera = sample.frame.roadside[0].camera
        assert camera.pose.z == pytest.approx(6.0, abs=1e-6) and camera.pose.pitch == pytest.approx(math.radians(15.0), abs=1e-6)


def test_skew_night_and_gaps_are_as_drawn(recordings):
    out, _ = recordings
    with open_bag(out / "dair_0003_0") as recording:
        samples = list(recording.samples(("front",), wants=WANTS))
        assert samples[5].frame.roadside[0].age_s == pytest.approx(0.18, abs=1e-6)
        assert all(abs(one.frame.ego.speed_mps) < 1e-6 for one in samples)
    with open_bag(out / "dair_0002_0") as recording:
        assert {one.light for one in captions_of(recording).values()} == {"night"}
    with open_bag(out / "dair_0004_0") as recording, open_bag(out / "dair_0004_1") as later:
        assert int(later.timeline.ego.stamps[0] - recording.timeline.ego.stamps[-1]) == 600_000_000
        assert len(recording.timeline.ego.stamps) == 29 and len(later.timeline.ego.stamps) == 30


@pytest.mark.slow
def test_a_delay_takes_earlier_pictures_of_the_same_batch(tmp_path):
    write_example(tmp_path / "set")
    report = convert(tmp_path / "set", tmp_path / "late", delay_frames=2, progress=False)
    assert report.left_out["pairs without a station's picture 2 frames before"] == 12 and report.pictures == 317
    with open_bag(tmp_path / "late" / "dair_0001_0") as recording:
        sample = list(recording.samples(("front",), wants=WANTS))[9]
        assert sample.frame.roadside[0].age_s == pytest.approx(0.237, abs=1e-6)


# --- the published split -----------------------------------------------------------------------------------------------

ONE_LAYOUT = pytest.mark.parametrize("published", [False], indirect=True, ids=["cooperative"])


def split_of(folder, sequential=False, **changes):
    """A split file as published: sequences 0 and 1 and the first frames of 2 for training, 3 for validation, 4 for test; 5 in none."""
    ids = [[f"{sum(other.frames for other in SEQUENCES[:one.number]) + index:06d}" for index in range(one.frames)] for one in SEQUENCES]
    parts = {"train": [*ids[0], *ids[1], *ids[2][:30]], "val": [*ids[3], *ids[2][30:]], "test": ids[4], "test_A": ids[4][:30], **changes}
    folder.mkdir(exist_ok=True)
    path = folder / ("cooperative-split-data-spd.json" if sequential else "cooperative-split-data.json")
    path.write_text(json.dumps({"batch_split": {}, "cooperative_split": parts}))
    return path


def test_tracks_give_road_users_their_velocities(tmp_path):
    """The car of sequence 0 comes at 5 m/s against the drive's direction."""
    write_example(tmp_path / "set", sequential=True)
    for index, pair in enumerate(DairV2x(tmp_path / "set").pairs[:60]):
        labels = read_labels(pair.label)
        for one in labels:
            one["3d_location"]["x"] -= 0.5 * index * (one["track_id"] == 2)
        pair.label.write_text(json.dumps(labels))
    split = split_of(tmp_path / "split", sequential=True, train=[f"{number:06d}" for number in range(60)])
    convert(tmp_path / "set", tmp_path / "out", progress=False, split_file=split, parts=("train",))
    with open_bag(tmp_path / "out" / "train" / "dair_0000_0") as recording:
        truths = [one.truth.actors for one in recording.samples(("front",), wants=WANTS)]
    car = np.concatenate([rows[rows["id"] == 2] for rows in truths])
    wanted = -5.0 * np.array([math.cos(TURN), math.sin(TURN)])
    np.testing.assert_allclose(np.stack([car["vx"], car["vy"]], -1), np.tile(wanted, (60, 1)), atol=0.01)
    assert all(not np.hypot(rows["vx"], rows["vy"])[rows["id"] != 2].any() for rows in truths)


@ONE_LAYOUT
def test_the_published_split_decides_what_is_written_where(published, tmp_path):
    out, told = tmp_path / "out", convert(published, tmp_path / "out", progress=False, split_file=split_of(tmp_path / "split"))
    assert told.recordings == ["train/dair_0000_0", "train/dair_0001_0", "train/dair_0002_0", "val/dair_0002_1", "val/dair_0003_0",
                               "test/dair_0004_0", "test/dair_0004_1"]
    del told.left_out["velocities of road users without a track, kept as 0"]
    assert told.left_out == {"pairs in no part of the split": 30, "pairs without a whole calibration": 1}
    frames = {}
    for name in told.recordings:
        with open_bag(out / name) as recording:
            frames[name] = len(recording.timeline.ego.stamps)
            assert recording.split == name.split("/")[0] and recording.map_name.startswith("dair_yizhuang")
    assert frames["train/dair_0002_0"] == frames["val/dair_0002_1"] == 30, "no recording holds pairs of two parts"


@ONE_LAYOUT
@pytest.mark.parametrize("parts, recordings", [(["val"], {"val/dair_0002_0", "val/dair_0003_0"}), (["test_A"], {"test/dair_0004_0"}),
                                               (["test", "test_A"], {"test/dair_0004_0", "test/dair_0004_1"})])
def test_parts_of_the_split_can_be_written_alone(published, tmp_path, parts, recordings):
    told = convert(published, tmp_path / "out", progress=False, split_file=split_of(tmp_path / "split"), parts=parts)
    assert set(told.recordings) == recordings and told.left_out["pairs of other parts of the split"] > 100


def test_a_split_in_the_sets_folder_is_taken_and_none_is_no_split(published, recordings, tmp_path):
    assert all("/" not in name for name in recordings[1].recordings)
    path = split_of(published, DairV2x(published).sequential)
    try:
        assert convert(published, tmp_path / "out", progress=False, parts=["val"]).recordings == ["val/dair_0002_0", "val/dair_0003_0"]
    finally:
        path.unlink()
    with pytest.raises(ConfigError, match="a split file for --split val; got none in .*give --split-file"):
        convert(published, tmp_path / "other", progress=False, parts=["val"])


@pytest.mark.parametrize("changes, parts, told", [
    ({"val": ["000000"]}, (), "each pair in one part.*000000 in train and val"), ({"val": "000000"}, (), "lists of ids"),
    ({"test_A": [1]}, (), "lists of ids")])
def test_a_split_that_cannot_be_right_is_refused(tmp_path, changes, parts, told):
    with pytest.raises(BagError, match=told):
        Split(split_of(tmp_path, **changes), parts)


def test_a_split_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(BagError, match="no such file; give the split file as published"):
        Split(tmp_path / "nothing.json")
    path = split_of(tmp_path)
    data = json.loads(path.read_text())
    del data["cooperative_split"]["test_A"]
    path.write_text(json.dumps(data))
    assert Split(path).part_of("000000") == "train" and Split(path).part_of("999999") == ""
    with pytest.raises(ConfigError, match="--split out of train, val, test.*got test_A"):
        Split(path, ("test_A",))
    path.write_text("{}")
    with pytest.raises(BagError, match="cooperative_split"):
        Split(path)


# --- what is refused and what is borne ---------------------------------------------------------------------------------

@pytest.mark.slow
def test_missing_pictures_are_counted_and_broken_lists_refused(tmp_path):
    folder = tmp_path / "set"
    write_example(folder)
    with pytest.raises(BagError, match="empty folder"):
        write_example(folder)
    for path in sorted((folder / VEHICLE / "image").iterdir())[:50]:
        path.unlink()
    report = convert(folder, tmp_path / "out", progress=False)
    assert report.left_out["pairs without a picture file"] == 50 and "dair_0000_0" in report.recordings
    for path in (folder / VEHICLE / "image").iterdir():
        path.unlink()
    with pytest.raises(BagError, match="fetch the pictures"):
        convert(folder, tmp_path / "none", progress=False)
    (folder / "cooperative" / "data_info.json").write_text("[")
    with pytest.raises(BagError, match="data_info.json"):
        DairV2x(folder)
    with pytest.raises(BagError, match="vehicle-side"):
        DairV2x(tmp_path / "nothing")


def test_a_delay_among_pictures_without_numbers_is_refused_in_a_sentence(published):
    data = DairV2x(published)
    with pytest.raises(BagError, match="ids of the station's pictures that are numbers.*leave --delay-frames out"):
        data.earlier(replace(data.pairs[0].station, frame="a0001"), 1)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=4), lambda one: st.lists(one, max_size=3) | st.dictionaries(
    st.sampled_from(["rotation", "translation", "transform"]), one, max_size=3), max_leaves=12))
@settings(max_examples=60, deadline=None)
def test_a_broken_calibration_is_refused_by_its_name(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "calibration.json"
    path.write_text(json.dumps(content))
    with pytest.raises(BagError, match=r"calibration\.json"):
        rigid(path)


@given(st.floats(-3.0, 3.0), st.floats(-1.5, 1.5), st.floats(-3.0, 3.0))
def test_a_pose_comes_back_from_its_matrix(yaw, pitch, roll):
    pose = Pose(1.0, 2.0, 3.0, yaw, pitch, roll)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_3d(pose), (1.0, 2.0, 3.0)
    found = pose_of(matrix)
    np.testing.assert_allclose(rotation_3d(found), matrix[:3, :3], atol=1e-9)


def test_a_rectified_picture_has_its_axis_in_the_middle():
    """A white column at the principal point lands in the middle, and a distortion of 0 changes nothing else."""
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[:, 119:122] = 255
    matrix = np.array([[150.0, 0.0, 120.0], [0.0, 150.0, 49.5], [0.0, 0.0, 1.0]])
    camera = camera_spec("front", matrix, (200, 100), 100, Pose())
    found = rectify(rgb, matrix, np.zeros(5), camera)
    assert found.shape == (50, 100, 3) and abs(int(found[25, :, 0].argmax()) - 49.5) <= 1.0
    assert camera.focal_px == pytest.approx(75.0)
