"""nuscenes-devkit as an oracle: its poses, boxes, velocities and pixels are those of the recordings made from the same set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.nuscenes import STEPS, write_set

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.nuscenes.convert import convert
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.overlay import project
from kd_planner_ros.geometry.frames import rotation_3d

devkit = pytest.importorskip("nuscenes.nuscenes", reason="nuscenes-devkit is not installed: 'make test-devkit' has it, beside .venv")


def edit(folder: Path, name: str, change) -> None:
    """``change`` each row of a table in place."""
    path = folder / "v1.0-mini" / f"{name}.json"
    rows = json.loads(path.read_text())
    for row in rows:
        change(row)
    path.write_text(json.dumps(rows))


def uneven(folder: Path) -> Path:
    """The tiny set with what real ones have: uneven times, a car that pitches and rolls, turned boxes of many sizes; and the tables that
    the devkit wants beside ours."""
    random = np.random.default_rng(5)
    late = random.integers(-40_000, 40_000, STEPS).tolist()

    def delay(row):
        row["timestamp"] += late[int(row["token"][1:])]

    def tilt(row):
        turn = np.array(row["rotation"]) + random.normal(0.0, 0.02, 4)
        row["rotation"], row["translation"][2] = (turn / np.linalg.norm(turn)).tolist(), float(random.normal(0.0, 0.3))

    def box(row):
        turn = random.normal(0.0, 1.0)
        row["rotation"], row["num_lidar_pts"] = [float(np.cos(turn / 2)), 0.0, 0.0, float(np.sin(turn / 2))], 1 + row["num_lidar_pts"]
        row["size"] = random.uniform(0.5, 6.0, 3).tolist()
        row["translation"] = (np.array(row["translation"]) + random.normal(0.0, 0.5, 3)).tolist()

    write_set(folder)
    for name in ("sample", "ego_pose"):
        edit(folder, name, delay)
    edit(folder, "ego_pose", tilt)
    edit(folder, "sample_annotation", lambda row: (box(row), row.update(attribute_tokens=[], visibility_token="")))
    for name, rows in {"attribute": [], "visibility": [], "map": [{"token": "m", "log_tokens": ["log"], "filename": "maps/m.png"}]}.items():
        (folder / "v1.0-mini" / f"{name}.json").write_text(json.dumps(rows))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "maps" / "m.png")
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(the devkit's set, frames of our recording of it, the specs of its cameras)."""
    folder = tmp_path_factory.mktemp("nuscenes")
    convert(uneven(folder / "set"), folder / "out", cameras=("front", "left"), progress=False)
    with open_bag(folder / "out" / "scene-0001") as recording:
        frames = [one.frame for one in samples_for(recording, ("front", "left"), wants=SensorRig(scene=True))]
        specs = {name: recording.camera_spec(name) for name in ("front", "left")}
    return devkit.NuScenes("v1.0-mini", str(folder / "set"), verbose=False), frames, specs


def test_key_frames_have_the_times_and_poses_of_the_devkit(both):
    theirs, frames, _ = both
    assert len(frames) == len(theirs.sample) == STEPS
    for sample, frame in zip(theirs.sample, frames, strict=True):
        pose = theirs.get("ego_pose", theirs.get("sample_data", sample["data"]["CAM_FRONT"])["ego_pose_token"])
        assert frame.stamp_ns == 1000 * sample["timestamp"]
        assert (frame.ego.pose.x, frame.ego.pose.y, frame.ego.pose.z) == pytest.approx(pose["translation"], abs=1e-4)
        np.testing.assert_allclose(rotation_3d(frame.ego.pose), devkit.Quaternion(pose["rotation"]).rotation_matrix, atol=1e-6)


def test_boxes_have_the_places_sizes_headings_and_velocities_of_the_devkit(both):
    theirs, frames, _ = both
    for sample, frame in zip(theirs.sample, frames, strict=True):
        wanted = [box for box in theirs.get_boxes(sample["data"]["CAM_FRONT"]) if box.name != "animal"]
        assert len(wanted) == len(frame.scene.actors) == 2
        for box, row in zip(wanted, frame.scene.actors, strict=True):
            width, length, height = box.wlh
            assert (row["x"], row["y"], row["z"] + height / 2.0) == pytest.approx(box.center, abs=1e-3)
            assert (row["length"], row["width"], row["height"]) == pytest.approx((length, width, height), abs=1e-5)
            assert np.exp(1j * row["yaw"]) == pytest.approx(np.exp(1j * box.orientation.yaw_pitch_roll[0]), abs=1e-5)
            assert (row["vx"], row["vy"]) == pytest.approx(theirs.box_velocity(box.token)[:2], abs=1e-4)


@pytest.mark.parametrize(("channel", "name"), [("CAM_FRONT", "front"), ("CAM_FRONT_LEFT", "left")])
def test_cameras_show_boxes_where_the_devkit_shows_them(both, channel, name):
    theirs, frames, specs = both
    shown = 0
    for sample, frame in zip(theirs.sample, frames, strict=True):
        _, boxes, pinhole = theirs.get_sample_data(sample["data"][channel], devkit.BoxVisibility.ANY)
        centres = np.array([theirs.get("sample_annotation", box.token)["translation"] for box in boxes]).reshape(-1, 3)
        places = (centres - (frame.ego.pose.x, frame.ego.pose.y, frame.ego.pose.z)) @ rotation_3d(frame.ego.pose)
        for box, pixel in zip(boxes, project(places, frame.calibrations.get(name, specs[name])), strict=True):
            wanted = devkit.view_points(box.center[:, None], pinhole, normalize=True)[:2, 0] * 4.4
            assert pixel == pytest.approx(wanted, abs=2.0), "pixels of 704 columns"
            shown += 1
    assert shown > 3
