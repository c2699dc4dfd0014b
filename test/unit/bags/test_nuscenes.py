"""nuScenes in its published layout becomes recordings; a tiny set stands for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.nuscenes import SPEED, STEPS, way, write_set

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.nuscenes.convert import CHANNELS, convert
from kd_planner_ros.bags.nuscenes.layout import NuScenes, matrix
from kd_planner_ros.bags.nuscenes.lines import read_lines
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.overlay import project


def rename(folder: Path, name: str) -> None:
    path = folder / "v1.0-mini" / "scene.json"
    path.write_text(json.dumps([{**row, "name": name} for row in json.loads(path.read_text())]))


def converted(tmp_path, **more):
    write_set(tmp_path / "set", **more)
    return convert(tmp_path / "set", tmp_path / "out", cameras=("front", "left"), progress=False)


def test_a_scene_becomes_a_recording_with_places_boxes_lines_and_commands(tmp_path):
    report = converted(tmp_path)
    assert report.recordings == ["scene-0001"] and report.pictures == 2 * STEPS
    assert report.left_out == {"boxes of category 'animal'": STEPS, "boxes without a LiDAR or radar point": STEPS}
    with open_bag(tmp_path / "out" / "scene-0001") as recording:
        samples = list(samples_for(recording, ("front", "left"), wants=SensorRig(scene=True)))
        lines, town, route = recording.map_lines, recording.map_name, recording.route
    assert len(samples) == STEPS and town == "nuscenes_singapore-onenorth"
    frame = samples[3].frame
    assert (frame.ego.pose.x, frame.ego.pose.y, frame.ego.pose.yaw) == pytest.approx(way()[3], abs=1e-4)
    assert frame.ego.speed_mps == pytest.approx(SPEED, abs=0.05) and frame.images["front"].shape == (396, 704, 3)
    (car,) = frame.scene.actors
    assert (car["kind"], car["length"], car["width"]) == (ActorKind.CAR, pytest.approx(4.6), pytest.approx(1.9))
    assert float(np.hypot(car["vx"], car["vy"])) == pytest.approx(SPEED, abs=0.1) and float(car["z"]) == pytest.approx(0.0, abs=1e-5)
    assert frame.scene.tracks.states(np.array([1]), np.array([frame.stamp_ns + 500_000_000]))[0, 0, 0] > car["x"], "its future is known"
    assert sorted(set(lines["kind"].tolist())) == [LineKind.DIVIDER, LineKind.CROSSING], "the far road is left out"
    assert route.commands[0] == Command.LANE_FOLLOW and Command.LEFT in route.commands.tolist()
    assert Command.RIGHT not in route.commands.tolist()


def test_a_box_lies_where_the_published_matrices_show_it(tmp_path):
    converted(tmp_path)
    with open_bag(tmp_path / "out" / "scene-0001") as recording:
        spec = {one.id: one for one in (recording.camera_spec("front"), recording.camera_spec("left"))}
        frame = next(iter(samples_for(recording, ("front", "left")))).frame
    data = NuScenes(tmp_path / "set")
    sample = data.samples(data.scenes[0])[0]
    for channel, name in (("CAM_FRONT", "front"), ("CAM_FRONT_LEFT", "left")):
        own = data.row("calibrated_sensor", data.shot(sample, channel)["calibrated_sensor_token"])
        point = np.array([15.0, 9.0 if name == "left" else 1.0, 0.5, 1.0])
        shown = np.linalg.inv(matrix(own)) @ point
        u, v = (np.array(own["camera_intrinsic"]) @ shown[:3])[:2] / shown[2]
        pixel = project(point[None, :3], frame.calibrations.get(name, spec[name]))[0]
        assert pixel == pytest.approx([u * 4.4, v * 4.4], abs=1.5), channel


def test_without_expansion_there_are_no_lines_and_it_is_counted(tmp_path):
    report = converted(tmp_path, expansion=False)
    assert report.left_out["scenes without map expansion, kept without lines"] == 1
    with open_bag(tmp_path / "out" / "scene-0001") as recording:
        assert recording.map_lines is None


def borders(folder: Path, segments, lanes=(), holes=()):
    """The lines of the class BOUNDARY around (10, 0) on a map of rectangles (x0, y0, x1, y1)."""
    nodes, polygons, layers = [], [], {"road_segment": [], "lane": []}

    def ring(x0, y0, x1, y1):
        first = len(nodes)
        corners = (x0, y0), (x1, y0), (x1, y1), (x0, y1)
        nodes.extend({"token": str(first + number), "x": x, "y": y} for number, (x, y) in enumerate(corners))
        return [str(first + number) for number in range(4)]

    for layer, boxes in (("road_segment", segments), ("lane", lanes)):
        for box in boxes:
            own = [{"node_tokens": ring(*hole)} for hole in holes] if layer == "road_segment" and box is segments[0] else []
            polygons.append({"token": f"p{len(polygons)}", "exterior_node_tokens": ring(*box), "holes": own})
            layers[layer].append({"token": f"{layer}{len(polygons)}", "polygon_token": polygons[-1]["token"]})
    path = folder / "maps" / "expansion" / "here.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"node": nodes, "line": [], "polygon": polygons, **layers}))
    rows = read_lines(folder, "here", np.array([[10.0, 0.0]]))
    assert set(rows["kind"].tolist()) <= {LineKind.BOUNDARY}
    return [np.stack([rows["x"][rows["line"] == number], rows["y"][rows["line"] == number]], 1) for number in np.unique(rows["line"])]


def length(lines):
    return sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines)


def test_borders_are_where_the_road_ends(tmp_path):
    alone = borders(tmp_path, [(0, -4, 20, 4)])
    assert length(alone) == pytest.approx(56.0) and alone[0][0].tolist() == alone[0][-1].tolist(), "closed"
    both = borders(tmp_path, [(0, -4, 20, 4), (20, -4, 40, 4)])
    assert len(both) == 2 and length(both) == pytest.approx(2 * 48.0, abs=1.5)
    assert not any(((np.abs(line[:, 0] - 20.0) < 0.2) & (np.abs(line[:, 1]) < 3.4)).any() for line in both), "none where segments meet"
    crossing = borders(tmp_path, [(0, -4, 20, 4), (20, -30, 30, 30)], lanes=[(-10, -2, 0, 2)])
    inner = [line for line in crossing if (np.abs(line[:, 0]) < 0.2).any()]
    assert all((np.abs(line[np.abs(line[:, 0]) < 0.2, 1]) > 1.4).all() for line in inner), "a lane goes on there"
    assert length(borders(tmp_path, [(0, -4, 20, 4)], holes=[(8, -1, 12, 1)])) == pytest.approx(56.0 + 12.0)


def test_key_frames_without_a_picture_are_left_out_and_counted(tmp_path):
    write_set(tmp_path / "set")
    (tmp_path / "set" / "samples" / "CAM_FRONT" / "5.jpg").unlink()
    report = convert(tmp_path / "set", tmp_path / "out", cameras=("front",), progress=False)
    assert report.left_out["key frames without a picture"] == 1 and report.pictures == STEPS - 1
    with pytest.raises(BagError, match="two key frames and their pictures"):
        convert(tmp_path / "set", tmp_path / "none", cameras=tuple(CHANNELS.values()), progress=False)


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda folder: (folder / "v1.0-mini" / "ego_pose.json").unlink(), "ego_pose.json"),
    (lambda folder: (folder / "v1.0-mini" / "sample.json").write_text("[{"), "sample.json"),
    (lambda folder: (folder / "v1.0-mini" / "ego_pose.json").write_text("[]"), "row 'e0' in ego_pose.json"),
    (lambda folder: write_set(folder, "v1.0-trainval", expansion=False), "--set-version"),
    (lambda folder: rename(folder, "../scene"), "folder's; got '../scene'"), (lambda folder: rename(folder, ".."), "folder's"),
    (lambda folder: (folder / "v1.0-mini" / "sensor.json").write_text('[{"token": "CAM_FRONT"}]'), "as published"),
    (lambda folder: (folder / "maps" / "expansion" / "singapore-onenorth.json").write_text("{}"), "map expansion")])
def test_broken_sets_are_refused_in_one_line(tmp_path, spoil, words):
    spoil(write_set(tmp_path / "set"))
    with pytest.raises(BagError, match=words):
        convert(tmp_path / "set", tmp_path / "out", cameras=("front",), progress=False)


def test_the_command_says_what_it_wrote_and_left_out(tmp_path, capsys):
    write_set(tmp_path / "set")
    assert main(["bags", "nuscenes", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--cameras", "front", "--json"]) == 0
    told = capsys.readouterr().out
    assert f"1 recordings with {STEPS} pictures" in told and f"{STEPS} boxes of category 'animal'" in told
    assert json.loads(told.splitlines()[-1])["pictures"] == STEPS
    assert main(["bags", "nuscenes", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert main(["bags", "nuscenes", str(tmp_path / "set"), "--out", str(tmp_path / "left"), "--cameras", "left"]) == 2
    assert "expected front among the cameras" in capsys.readouterr().err
