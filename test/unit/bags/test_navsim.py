"""NAVSIM's logs in their published layout become recordings; the tests write a tiny set of them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import sqlite3
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.navsim.convert import CHANNELS, convert
from kd_planner_ros.bags.navsim.geopackage import shapes_of, to_utm
from kd_planner_ros.bags.navsim.layout import NavsimLogs, camera_to_ego
from kd_planner_ros.bags.navsim.maps import NuPlanMap, find_map
from kd_planner_ros.bags.navsim.unpickle import read_plain
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.overlay import project

LOG, STEPS, SPEED = "2021.05.12.22.00.38_veh-35_01008_01518", 10, 6.0
SIZE, FOCAL = (192, 108), 154.5
START_US = 1_620_857_000_000_000


def quaternion(yaw):
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def looking(yaw):
    """Rotation [3, 3] of a camera that looks to ``yaw``: its x to the right, its y down, its z ahead."""
    return np.array([[math.sin(yaw), 0.0, math.cos(yaw)], [-math.cos(yaw), 0.0, math.sin(yaw)], [0.0, -1.0, 0.0]])


def camera(channel, step, yaw):
    return {"data_path": f"{LOG}/{channel}/{step}.jpg", "sensor2lidar_rotation": looking(yaw), "sensor2lidar_translation":
            np.array([0.4, 0.0, -0.3]), "cam_intrinsic": np.array([[FOCAL, 0, 96], [0, FOCAL, 54], [0, 0, 1.0]]), "distortion": np.zeros(5)}


def frame(step, x, y, yaw):
    """A frame with a car 12 m ahead that drives as fast, a cone, and something of a class that nobody knows."""
    can_bus = np.array([x, y, 600.0, *quaternion(yaw), 0.5, 0, 0, SPEED, 0.1, 0, 0, 0, 0.0, 0, 0])
    boxes = np.array([[12.0, 1.0, 0.8, 4.6, 1.9, 1.6, 0.1], [5.0, -3.0, 0.4, 0.4, 0.4, 0.8, 0.0], [7.0, 7.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
    return {"token": f"t{step}", "frame_idx": step, "timestamp": START_US + 500_000 * step, "log_name": LOG, "log_token": "log",
            "scene_name": "log-0001-scene-0001", "scene_token": "scene", "map_location": "us-nv-las-vegas-strip", "roadblock_ids": ["7"],
            "vehicle_name": "veh-35", "can_bus": can_bus, "lidar_path": "none.pcd", "lidar2ego_translation": np.array([1.3, 0.0, 1.8]),
            "lidar2ego_rotation": quaternion(0.0), "ego2global_translation": can_bus[:3], "ego2global_rotation": can_bus[3:7],
            "ego_dynamic_state": [SPEED, 0.1, 0.5, 0.0], "traffic_lights": [(41, True), (42, False)],
            "driving_command": np.eye(4, dtype=int)[3 if step == 0 else 0 if step >= 6 else 1], "sample_prev": None, "sample_next": None,
            "cams": {channel: camera(channel, step, yaw) for channel, yaw in (("CAM_F0", 0.0), ("CAM_L0", math.radians(55.0)))},
            "anns": {"gt_boxes": boxes, "gt_names": np.array(["vehicle", "traffic_cone", "balloon"]), "gt_velocity_3d":
                     np.array([[SPEED, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), "instance_tokens": ["a", "b", "c"],
                     "track_tokens": ["car", "cone", "balloon"]}}


def way():
    """x, y, yaw at every frame: straight on for 3 s, then an arc."""
    poses, x, y, yaw = [], 664_432.1, 3_998_765.4, 0.3
    for step in range(STEPS):
        poses.append((x, y, yaw))
        yaw += 0.15 if step >= 5 else 0.0
        x, y = x + 0.5 * SPEED * math.cos(yaw), y + 0.5 * SPEED * math.sin(yaw)
    return poses


def write_log(path: Path, frames, protocol=pickle.HIGHEST_PROTOCOL) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(frames, protocol=protocol))


def write_set(folder: Path, change=lambda frames: frames, split="mini", logs="navsim_logs", protocol=pickle.HIGHEST_PROTOCOL) -> Path:
    frames = change([frame(step, *pose) for step, pose in enumerate(way())])
    write_log(folder / logs / split / f"{LOG}.pkl", frames, protocol)
    for one in frames:
        for shot in one["cams"].values():
            path = folder / "sensor_blobs" / split / shot["data_path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 20 * one["frame_idx"], np.uint8)).save(path)
    return folder


def converted(folder: Path, *more, **set_):
    write_set(folder / "set", *more, **set_)
    return convert(folder / "set", folder / "out", cameras=("front", "left"), progress=False)


def test_a_log_becomes_a_recording_with_places_boxes_and_published_commands(tmp_path):
    report = converted(tmp_path)
    assert report.recordings == [LOG] and report.pictures == 2 * STEPS
    assert report.left_out == {"boxes of class 'balloon'": STEPS, "states of signals, which have no stop line": 2 * STEPS,
                               "stretches without nuPlan's map, kept without lines": 1}
    with open_bag(tmp_path / "out" / LOG) as recording:
        samples = list(samples_for(recording, ("front", "left"), wants=SensorRig(scene=True)))
        lines, town, route = recording.map_lines, recording.map_name, recording.route
    assert len(samples) == STEPS and town == "navsim_us-nv-las-vegas-strip" and lines is None
    seen, (x, y, yaw) = samples[3].frame, way()[3]
    x, y = x - 664_000.0, y - 3_999_000.0
    assert (seen.ego.pose.x, seen.ego.pose.y, seen.ego.pose.yaw) == pytest.approx((x, y, yaw), abs=1e-4)
    assert (seen.ego.speed_mps, seen.ego.acceleration_mps2, seen.ego.lateral_mps) == pytest.approx((SPEED, 0.5, 0.1))
    assert seen.images["front"].shape == (396, 704, 3)
    car, cone = seen.scene.actors
    assert (car["kind"], cone["kind"], car["length"]) == (ActorKind.CAR, ActorKind.STATIC, pytest.approx(4.6))
    cos, sin = math.cos(yaw), math.sin(yaw)
    assert (car["x"] - x, car["y"] - y) == pytest.approx((12.0 * cos - sin, 12.0 * sin + cos), abs=1e-3)
    assert (car["vx"], car["vy"], car["yaw"]) == pytest.approx((SPEED * cos, SPEED * sin, yaw + 0.1), abs=1e-4)
    assert float(car["z"]) == pytest.approx(600.0, abs=1e-3)
    assert seen.scene.tracks.states(np.array([1]), np.array([seen.stamp_ns + 500_000_000]))[0, 0, 0] > car["x"], "its future is known"
    told = route.commands.tolist()
    assert told[0] == Command.VOID and told[2] == Command.LANE_FOLLOW and Command.LEFT in told and Command.RIGHT not in told


def test_a_point_lies_where_the_published_matrices_show_it(tmp_path):
    converted(tmp_path)
    with open_bag(tmp_path / "out" / LOG) as recording:
        specs = {one.id: one for one in (recording.camera_spec("front"), recording.camera_spec("left"))}
    data = NavsimLogs(tmp_path / "set")
    first = data.frames(data.logs[0])[0]
    for channel, name in (("CAM_F0", "front"), ("CAM_L0", "left")):
        point = np.array([15.0, 9.0 if name == "left" else 1.0, 0.5, 1.0])
        shown = np.linalg.inv(camera_to_ego(first, channel)) @ point
        u, v = (first["cams"][channel]["cam_intrinsic"] @ shown[:3])[:2] / shown[2]
        assert project(point[None, :3], specs[name])[0] == pytest.approx([u * 704 / 192, v * 704 / 192], abs=1.5), channel
    assert camera_to_ego(first, "CAM_F0")[:3, 3] == pytest.approx([1.7, 0.0, 1.5])


# --- nuPlan's maps ---------------------------------------------------------------------------------------------------

def degrees(points, zone=11):
    """Longitudes and latitudes [N, 2] of metres in a UTM zone, by Newton's method on ``to_utm``."""
    found = np.tile([6.0 * zone - 183.0, 36.0], (len(points), 1))
    for _ in range(30):
        found -= (to_utm(found, zone) - points) / np.array([111_320.0 * math.cos(math.radians(36.1)), 110_900.0])
    return found


def geometry(points, polygon=True, order="<"):
    """A GeoPackage's geometry with an envelope, of points [P, 2] in degrees."""
    flag = order == "<"
    data = struct.pack(f"{order}4d", *points.min(0), *points.max(0))
    body = struct.pack(f"{order}BI", flag, 3 if polygon else 2) + (struct.pack(f"{order}I", 1) if polygon else b"")
    body += struct.pack(f"{order}I", len(points)) + points.astype(f"{order}f8").tobytes()
    return b"GP" + struct.pack(f"{order}BBi", 0, 2 | flag, 4326) + data + body


def along(corners, closed=True):
    """Degrees of (s, w) metres ahead and left of the log's first place."""
    x, y, yaw = way()[0]
    points = np.array(corners, float)
    found = np.stack([x + math.cos(yaw) * points[:, 0] - math.sin(yaw) * points[:, 1],
                      y + math.sin(yaw) * points[:, 0] + math.cos(yaw) * points[:, 1]], 1)
    return degrees(np.concatenate([found, found[:1]]) if closed else found)


def box(s0, s1, w):
    return along([(s0, -w), (s1, -w), (s1, w), (s0, w)])


def write_map(path: Path, zone="epsg:32611", roads=True) -> Path:
    """Two lane groups that meet 15 m ahead, a broken line in the middle, an imagined one, one at the edge, a crossing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"lane_groups_polygons": [(geometry(box(-20, 15, 6)), 0), (geometry(box(15, 60, 6), order=">"), 0)] if roads else [],
            "boundaries": [(geometry(along([(-20, w), (60, w)], False), False), kind) for w, kind in ((0, 0), (2, 3), (6, 2))],
            "crosswalks": [(geometry(box(20, 23, 5)), 0)], "intersections": [(None, 0)]}
    with contextlib.closing(sqlite3.connect(path)) as data, data:
        data.execute("CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT)")
        data.execute("CREATE TABLE meta (key TEXT, value TEXT)")
        data.execute("INSERT INTO meta VALUES ('projectedCoordSystem', ?)", (zone,))
        for layer, shapes in rows.items():
            data.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom')", (layer,))
            data.execute(f"CREATE TABLE {layer} (fid INTEGER PRIMARY KEY, geom BLOB, boundary_type_fid INTEGER)")
            data.executemany(f"INSERT INTO {layer} (geom, boundary_type_fid) VALUES (?, ?)", shapes)
    return path


def test_degrees_become_the_metres_of_their_zone():
    """The CN Tower, as published; the equator on a zone's meridian; the same south of it."""
    assert to_utm(np.array([[-79.387139, 43.642567]]), 17)[0] == pytest.approx((630_084.0, 4_833_438.0), abs=1.0)
    assert to_utm(np.array([[3.0, 0.0]]), 31)[0] == pytest.approx((500_000.0, 0.0), abs=1e-6)
    north, south = (to_utm(np.array([[104.0, sign * 1.3]]), 48, sign < 0)[0] for sign in (1.0, -1.0))
    assert north[0] == pytest.approx(south[0]) and north[1] + south[1] == pytest.approx(10_000_000.0)


def test_lines_come_from_the_map_where_it_is_there(tmp_path):
    write_map(tmp_path / "set" / "maps" / "us-nv-las-vegas-strip" / "9.15.1915" / "map.gpkg")
    report = converted(tmp_path)
    assert "stretches without nuPlan's map, kept without lines" not in report.left_out
    with open_bag(tmp_path / "out" / LOG) as recording:
        rows = recording.map_lines
    (x, y, yaw), lines = way()[0], {}
    for number in np.unique(rows["line"]):
        own = rows[rows["line"] == number]
        ahead, left = own["x"] + 664_000.0 - x, own["y"] + 3_999_000.0 - y
        place = np.stack([math.cos(yaw) * ahead + math.sin(yaw) * left, math.cos(yaw) * left - math.sin(yaw) * ahead], 1)
        lines.setdefault(LineKind(int(own["kind"][0])), []).append(place)
    assert {kind: len(found) for kind, found in lines.items()} == {LineKind.BOUNDARY: 2, LineKind.DIVIDER: 1, LineKind.CROSSING: 1}
    (divider,), (crossing,) = lines[LineKind.DIVIDER], lines[LineKind.CROSSING]
    assert np.abs(divider[:, 1]).max() < 0.01 and (divider[:, 0].min(), divider[:, 0].max()) == pytest.approx((-20.0, 60.0), abs=0.6)
    assert crossing[:, 0].min() == pytest.approx(20.0, abs=0.01)
    every = np.concatenate(lines[LineKind.BOUNDARY])
    assert not ((np.abs(every[:, 0] - 15.0) < 0.2) & (np.abs(every[:, 1]) < 5.4)).any(), "none where two groups meet"
    assert np.abs(every[:, 1]).max() == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda path: path.write_bytes(b"no database"), "a map of nuPlan in .*map.gpkg"),
    (lambda path: write_map(path, zone="epsg:4326"), "UTM zone"), (lambda path: write_map(path, roads=False), "roads in the map")])
def test_broken_maps_are_refused_in_one_line(tmp_path, spoil, words):
    path = tmp_path / "maps" / "nuplan-maps-v1.0" / "us-nv-las-vegas-strip" / "1" / "map.gpkg"
    path.parent.mkdir(parents=True)
    spoil(path)
    assert find_map(tmp_path, "us-nv-las-vegas-strip") == path and find_map(tmp_path, "us-ma-boston") is None
    with pytest.raises(BagError, match=words):
        NuPlanMap(path)
    for name in ("../us", "..", "", "*"):
        with pytest.raises(BagError, match="folder's name"):
            find_map(tmp_path, name)


@given(st.data())
def test_broken_geometries_are_a_value_error(data):
    whole = geometry(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0], [1.0, 2.0]]), data.draw(st.booleans()), data.draw(st.sampled_from("<>")))
    assert shapes_of(whole)[0][0].tolist()[0] == [1.0, 2.0]
    assert shapes_of(b"GP\0\1" + bytes(4) + struct.pack("<BII", 1, 2, 0))[0][0].size == 0, "an empty line"
    cut = bytearray(whole[:data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if cut else 0):
        cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        shapes_of(bytes(cut))


# --- bad input -------------------------------------------------------------------------------------------------------

def test_gaps_missing_pictures_and_logs_without_labels_are_counted(tmp_path):
    def gapped(frames):
        for one in frames[6:]:
            one["timestamp"] += 2_000_000
        del frames[0]["anns"]
        return [*frames[3:], *frames[:3]]

    write_set(tmp_path / "set", gapped)
    (tmp_path / "set" / "sensor_blobs" / "mini" / LOG / "CAM_F0" / "9.jpg").unlink()
    report = convert(tmp_path / "set", tmp_path / "out", cameras=("front",), progress=False)
    assert report.recordings == [f"{LOG}_1", f"{LOG}_2"] and report.pictures == STEPS - 1
    assert report.left_out["frames without a picture"] == 1 and report.left_out["frames without labels"] == 1
    with pytest.raises(BagError, match="two frames and their pictures"):
        convert(tmp_path / "set", tmp_path / "none", cameras=tuple(CHANNELS.values()), progress=False)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_each_protocol_and_of_numpy_1_and_2_are_read(tmp_path, protocol):
    write_log(tmp_path / "log.pkl", [frame(0, *way()[0])], protocol)
    assert read_plain(tmp_path / "log.pkl")[0]["anns"]["gt_names"].tolist() == ["vehicle", "traffic_cone", "balloon"]
    held = OrderedDict(a={1, 2}, b=(np.float32(2.5), np.arange(6).reshape(2, 3).T, frozenset("x"), bytearray(b"12"), 1j))
    data = pickle.dumps(held, protocol)
    for core in (b"numpy.core.", b"numpy._core."):
        other = data if protocol > 2 else data.replace(b"numpy._core.", core).replace(b"numpy.core.", core)
        (tmp_path / "log.pkl").write_bytes(other)
        found = read_plain(tmp_path / "log.pkl")
        assert isinstance(found, OrderedDict) and np.array_equal(found["b"][1], held["b"][1]) and found["b"][0] == 2.5


class Runs:
    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("evil", [
    lambda folder: Runs(os.mkdir, str(folder / "run")), lambda folder: Runs(eval, f"__import__('os').mkdir({str(folder / 'run')!r})"),
    lambda folder: Runs(getattr, "", "join"), lambda folder: Path("a"), lambda folder: np.random.default_rng(0)],
    ids=["system", "eval", "getattr", "path", "generator"])
def test_a_pickle_that_names_anything_else_is_refused_and_runs_nothing(tmp_path, evil, protocol):
    write_log(tmp_path / "log.pkl", [{"timestamp": 1, "hidden": [evil(tmp_path)]}], protocol)
    with pytest.raises(BagError, match=r"numpy and builtin containers alone; got one that names .*\..*fetch the log anew"):
        read_plain(tmp_path / "log.pkl")
    assert not (tmp_path / "run").exists()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_broken_bytes_are_a_named_error(tmp_path_factory, data):
    whole = pickle.dumps([{"timestamp": 1, "a": np.arange(3.0), "b": [np.float32(1.0), {"c"}]}], data.draw(st.integers(0, 5)))
    cut = bytearray(whole[:data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if cut else 0):
        cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("logs") / "log.pkl"
    path.write_bytes(cut)
    try:
        read_plain(path)
    except BagError as error:
        assert "expected" in str(error)


def spoiled(**changes):
    def change(frames):
        frames[4].update(changes)
        return frames
    return change


@pytest.mark.parametrize(("change", "words"), [
    (spoiled(ego2global_rotation=[0.0] * 4), "quaternion"), (spoiled(driving_command=[1, 0]), "as published"),
    (spoiled(ego_dynamic_state=[1.0]), "as published"), (spoiled(ego2global_translation=["x", 0, 0]), "as published"),
    (spoiled(anns={"gt_boxes": np.zeros((1, 9)), "gt_names": ["vehicle"], "gt_velocity_3d": np.zeros((1, 3)), "track_tokens": ["a"]}),
     r"\[1, 7\]"),
    (spoiled(anns={"gt_boxes": np.full((1, 7), np.nan), "gt_names": ["vehicle"], "gt_velocity_3d": np.zeros((1, 3)),
                   "track_tokens": ["a"]}), "finite"),
    (spoiled(ego_dynamic_state=None), "as published"), (lambda frames: frames[:1], "two frames"),
    (spoiled(map_location=None), "map_location in .*frame 4"), (spoiled(timestamp="then"), "timestamp")])
def test_broken_frames_are_refused_in_one_line(tmp_path, change, words):
    with pytest.raises(BagError, match=words):
        converted(tmp_path, change)


def test_paths_stay_in_the_folder_of_pictures(tmp_path):
    folder = write_set(tmp_path / "set")
    data = NavsimLogs(folder)
    for path in ("../secret.jpg", "/etc/secret.jpg"):
        with pytest.raises(BagError, match="inside"):
            data.picture({"cams": {"CAM_F0": {"data_path": path}}}, "CAM_F0")


def test_splits_are_named_where_there_are_several(tmp_path):
    write_set(tmp_path / "set", logs="meta_datas")
    assert NavsimLogs(tmp_path / "set").split == "mini"
    write_set(tmp_path / "set", split="test")
    with pytest.raises(BagError, match="mini, test.*--split"):
        NavsimLogs(tmp_path / "set")
    assert NavsimLogs(tmp_path / "set", "test").logs[0].parent.name == "test"
    for folder, split in ((tmp_path, ""), (tmp_path / "set", "trainval")):
        with pytest.raises(BagError, match="navsim_logs"):
            NavsimLogs(folder, split)


def test_the_command_says_what_it_wrote_and_left_out(tmp_path, capsys):
    write_set(tmp_path / "set")
    assert main(["bags", "navsim", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--cameras", "front", "--json"]) == 0
    told = capsys.readouterr().out
    assert f"1 recordings with {STEPS} pictures" in told and f"{2 * STEPS} states of signals" in told
    assert json.loads(told.splitlines()[-1])["pictures"] == STEPS
    assert main(["bags", "navsim", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert main(["bags", "navsim", str(tmp_path / "set"), "--out", str(tmp_path / "left"), "--cameras", "left"]) == 2
    assert "expected front among the cameras" in capsys.readouterr().err
