"""nuScenes in its published layout becomes recordings; the tests write a tiny set of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.nuscenes.convert import CHANNELS, convert
from kd_planner_ros.bags.nuscenes.layout import TABLES, NuScenes, matrix
from kd_planner_ros.bags.nuscenes.lines import read_lines
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.overlay import project

STEPS, SPEED = 12, 6.0
"""Key frames, and the ego's speed along x, then along an arc to the left."""
SIZE, FOCAL = (160, 90), 126.6


def quaternion(yaw):
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def looking(yaw):
    """Rotation (w, x, y, z) of a camera that looks to ``yaw``: its z ahead, its x to the right."""
    ahead = np.array([0.5, -0.5, 0.5, -0.5])  # w, x, y, z of yaw 0
    w, z = math.cos(yaw / 2), math.sin(yaw / 2)
    a, b, c, d = ahead
    return [w * a - z * d, w * b - z * c, w * c + z * b, w * d + z * a]


def way():
    """x, y, yaw at every key frame: straight on for 3 s, then an arc."""
    poses, x, y, yaw = [], 600.0, 1600.0, 0.3
    for step in range(STEPS):
        poses.append((x, y, yaw))
        yaw += 0.15 if step >= 6 else 0.0
        x, y = x + 0.5 * SPEED * math.cos(yaw), y + 0.5 * SPEED * math.sin(yaw)
    return poses


def write_set(folder: Path, version="v1.0-mini", expansion=True) -> Path:
    """One scene with two cameras, a car that drives ahead, a walker without a point, an animal."""
    tables = {name: [] for name in TABLES}
    tables["log"] = [{"token": "log", "location": "singapore-onenorth"}]
    tables["scene"] = [{"token": "scene", "name": "scene-0001", "log_token": "log", "nbr_samples": STEPS, "first_sample_token": "s0"}]
    tables["category"] = [{"token": f"c{number}", "name": name} for number, name in enumerate(
        ("vehicle.car", "human.pedestrian.adult", "animal"))]
    tables["instance"] = [{"token": f"i{number}", "category_token": f"c{number}"} for number in range(3)]
    for channel, yaw in (("CAM_FRONT", 0.0), ("CAM_FRONT_LEFT", math.radians(55.0))):
        tables["sensor"].append({"token": channel, "channel": channel, "modality": "camera"})
        tables["calibrated_sensor"].append({"token": f"k_{channel}", "sensor_token": channel, "translation": [1.7, 0.0, 1.5],
                                            "rotation": looking(yaw), "camera_intrinsic": [[FOCAL, 0, 80], [0, FOCAL, 45], [0, 0, 1]]})
    for step, (x, y, yaw) in enumerate(way()):
        stamp = 1_532_402_927_000_000 + 500_000 * step
        tables["sample"].append({"token": f"s{step}", "timestamp": stamp, "scene_token": "scene", "prev": f"s{step - 1}" if step else "",
                                 "next": f"s{step + 1}" if step + 1 < STEPS else ""})
        tables["ego_pose"].append({"token": f"e{step}", "timestamp": stamp, "translation": [x, y, 0.0], "rotation": quaternion(yaw)})
        for channel in ("CAM_FRONT", "CAM_FRONT_LEFT"):
            name = f"samples/{channel}/{step}.jpg"
            tables["sample_data"].append({"token": f"{channel}{step}", "sample_token": f"s{step}", "ego_pose_token": f"e{step}",
                                          "calibrated_sensor_token": f"k_{channel}", "filename": name, "is_key_frame": True,
                                          "width": SIZE[0], "height": SIZE[1], "timestamp": stamp})
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 20 * step, np.uint8)).save(folder / name)
        sweep = {"token": f"sweep{step}", "is_key_frame": False, "filename": "sweeps/none.jpg"}
        tables["sample_data"].append({**tables["sample_data"][-1], **sweep})
        for number, (ahead, points) in enumerate(((12.0, 9), (8.0, 0), (5.0, 3))):
            tables["sample_annotation"].append({
                "token": f"a{number}_{step}", "sample_token": f"s{step}", "instance_token": f"i{number}",
                "translation": [x + ahead * math.cos(yaw), y + ahead * math.sin(yaw), 0.8], "size": [1.9, 4.6, 1.6],
                "rotation": quaternion(yaw), "num_lidar_pts": points, "num_radar_pts": 0, "prev": f"a{number}_{step - 1}" if step else "",
                "next": f"a{number}_{step + 1}" if step + 1 < STEPS else ""})
    for name, rows in tables.items():
        (folder / version).mkdir(parents=True, exist_ok=True)
        (folder / version / f"{name}.json").write_text(json.dumps(rows))
    if expansion:
        write_expansion(folder)
    return folder


def write_expansion(folder: Path) -> None:
    """A divider along the way, a crossing on it, a road segment far away."""
    corners = {"n0": (600, 1602), "n1": (620, 1608), "n2": (606, 1598), "n3": (609, 1599), "n4": (608, 1603), "n5": (9000, 9000),
               "n6": (9010, 9000), "n7": (9010, 9010)}
    tables = {"node": [{"token": name, "x": x, "y": y} for name, (x, y) in corners.items()],
              "line": [{"token": "l0", "node_tokens": ["n0", "n1"]}],
              "polygon": [{"token": "p0", "exterior_node_tokens": ["n2", "n3", "n4"], "holes": []},
                          {"token": "p1", "exterior_node_tokens": ["n5", "n6", "n7"], "holes": []}],
              "lane_divider": [{"token": "d0", "line_token": "l0"}], "road_divider": [],
              "ped_crossing": [{"token": "x0", "polygon_token": "p0"}], "road_segment": [{"token": "r0", "polygon_token": "p1"}]}
    path = folder / "maps" / "expansion" / "singapore-onenorth.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(tables))


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
