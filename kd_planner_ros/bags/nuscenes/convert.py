"""nuScenes to recordings: one a scene, key frames at 2 Hz, which train, evaluate and replay then read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.dair.convert import Report
from kd_planner_ros.bags.dair.scene import camera_pose, camera_spec, pose_of, rectify
from kd_planner_ros.bags.ego_states import ego_states, way_driven
from kd_planner_ros.bags.labelled import read_rgb
from kd_planner_ros.bags.nuscenes.layout import EGO_BOX, NuScenes, Row, matrix
from kd_planner_ros.bags.nuscenes.lines import read_lines
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import Command, EgoState
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, SensorRig
from kd_planner_ros.geometry.frames import rotation_2d

CHANNELS = {"CAM_FRONT": "front", "CAM_FRONT_LEFT": "left", "CAM_FRONT_RIGHT": "right", "CAM_BACK": "back", "CAM_BACK_LEFT": "back_left",
            "CAM_BACK_RIGHT": "back_right"}
"""Published cameras and their ids here."""
KINDS = (("vehicle.car", ActorKind.CAR), ("vehicle.truck", ActorKind.TRUCK), ("vehicle.construction", ActorKind.TRUCK),
         ("vehicle.trailer", ActorKind.TRUCK), ("vehicle.bus", ActorKind.BUS), ("vehicle.emergency", ActorKind.CAR),
         ("vehicle.motorcycle", ActorKind.MOTORCYCLE), ("vehicle.bicycle", ActorKind.BICYCLE), ("human.pedestrian", ActorKind.PEDESTRIAN),
         ("movable_object.barrier", ActorKind.STATIC), ("movable_object.trafficcone", ActorKind.STATIC))
"""Beginnings of published categories; the others are left out and counted."""
WIDTH = 704
SIDE_M, AHEAD_NS = 2.0, 3_000_000_000
"""A way that leads so far to the side within so long is a turn, as the published planners' command has it."""


def convert(folder: Path, out: Path, version: str = "", cameras: Sequence[str] = tuple(CHANNELS.values()), progress: bool = True) -> Report:
    """Write a recording of each scene of the set at ``folder`` into ``out``.

    The map is the published global frame, ``base_link`` the published ego frame. Road users move by the differences of their boxes. The
    route is the way driven; its commands follow from the way (left or right where the place 3 s ahead lies 2 m to the side), as published
    planners have it: they know more of the future than a navigation would. A recording's ``custom_data`` says so.

    Args:
        version: folder of the tables; "" where there is one.
        cameras: ids of the cameras whose pictures are written, ``front`` among them.

    Raises:
        BagError: no such set, broken files, or no scene with two key frames and their pictures.
    """
    if "front" not in cameras:
        raise BagError("front among the cameras", ", ".join(cameras) or "none", "name it with --cameras front")
    data, report = NuScenes(folder, version), Report()
    with reading(BagError, f"rows of the tables of nuScenes in {folder} as published", "fetch the tables anew"):
        for scene in tqdm(data.scenes, desc="scenes", unit="scene", disable=not progress):
            _scene(data, scene, cameras, Path(out), report)
    report.left_out = +report.left_out
    if not report.recordings:
        raise BagError(f"a scene with two key frames and their pictures in {folder}", f"none: {dict(report.left_out)}",
                       "fetch the pictures of the key frames (samples) too")
    return report


def _scene(data: NuScenes, scene: Row, cameras: Sequence[str], out: Path, report: Report) -> None:
    samples = [one for one in data.samples(scene) if _whole(data, one, cameras)]
    report.left_out["key frames without a picture"] += int(scene["nbr_samples"]) - len(samples)
    if len(samples) < 2:
        report.left_out["scenes without two key frames"] += 1
        return
    name = str(scene["name"])
    if Path(name).name != name or name in ("", ".."):
        raise BagError("a scene whose name can be a folder's", repr(name), "fetch the tables anew")
    _write(data, scene, samples, cameras, out / name, report)
    report.recordings.append(str(scene["name"]))


def _whole(data: NuScenes, sample: Row, cameras: Sequence[str]) -> bool:
    shots = [data.shot(sample, channel) for channel, name in CHANNELS.items() if name in cameras]
    return all(one is not None and (data.folder / one["filename"]).is_file() for one in shots)


def _write(data: NuScenes, scene: Row, samples: Sequence[Row], cameras: Sequence[str], path: Path, report: Report) -> None:
    states = _states(data, samples)
    channels = {channel: name for channel, name in CHANNELS.items() if name in cameras}
    specs = {channel: _spec(data, samples[0], channel, name) for channel, name in channels.items()}
    rig, town = SensorRig(tuple(specs.values())), f"nuscenes_{data.location(scene)}"
    facts = {"map": town, "route": str(scene["name"]), "seed": "0", "weather": "", "rig": json.dumps(asdict(rig)), "driver": "human",
             "route_from": "the way driven", "source": f"nuScenes {data.version}", "ego_box": EGO_BOX}
    lines = read_lines(data.folder, data.location(scene), np.array([(one.pose.x, one.pose.y) for one in states]))
    if lines is None:
        report.left_out["scenes without map expansion, kept without lines"] += 1
    with BagWriter(path, rig, facts, compact=True) as bag:
        bag.write_route(way_driven(str(scene["name"]), town, states, _commands(states)), states[0].stamp_ns)
        if lines is not None:
            bag.write_map_lines(lines, states[0].stamp_ns)
        for sample, ego in zip(samples, states, strict=True):
            bag.write_ego(ego)
            bag.write_scene(SceneState(ego.stamp_ns, ego, _actors(data, sample, report.left_out), np.zeros(0, SIGNAL_DTYPE)))
            for channel, spec in specs.items():
                bag.write_camera(spec.id, CameraImage(ego.stamp_ns, _picture(data, sample, channel, spec)), ())
            report.pictures += len(specs)


def _states(data: NuScenes, samples: Sequence[Row]) -> list[EgoState]:
    """The ego at each key frame: places as published for the front camera's picture."""
    shots = [data.shot(sample, "CAM_FRONT") or {} for sample in samples]
    poses = [pose_of(matrix(data.row("ego_pose", shot["ego_pose_token"]))) for shot in shots]
    return ego_states([1000 * int(sample["timestamp"]) for sample in samples], poses)


def _calibration(data: NuScenes, sample: Row, channel: str) -> tuple[Row, Row]:
    shot = data.shot(sample, channel)
    if shot is None:
        raise BagError(f"a key frame of {channel} in sample {sample['token']}", "none", "convert without that camera")
    return shot, data.row("calibrated_sensor", shot["calibrated_sensor_token"])


def _spec(data: NuScenes, sample: Row, channel: str, name: str) -> CameraSpec:
    """The camera of ``channel``, scaled to ``WIDTH``, mounted as published: the published frame is the picture's, z ahead."""
    shot, own = _calibration(data, sample, channel)
    mounted = camera_pose(np.linalg.inv(matrix(own)), np.eye(4))
    return camera_spec(name, np.array(own["camera_intrinsic"], float), (int(shot["width"]), int(shot["height"])), WIDTH, mounted)


def _picture(data: NuScenes, sample: Row, channel: str, spec: CameraSpec) -> np.ndarray:
    shot, own = _calibration(data, sample, channel)
    return rectify(read_rgb(data.folder / shot["filename"]), np.array(own["camera_intrinsic"], float), np.zeros(5), spec)


def _actors(data: NuScenes, sample: Row, left_out: Counter[str]) -> np.ndarray:
    """ACTOR_DTYPE [N] of the boxes that a LiDAR or radar point hit; the others are left out, for nobody could see them."""
    rows = []
    for one in data.annotations(sample):
        kind = next((kind for begins, kind in KINDS if data.category(one).startswith(begins)), None)
        if kind is None or int(one["num_lidar_pts"]) + int(one["num_radar_pts"]) < 1:
            left_out[f"boxes of category '{data.category(one)}'" if kind is None else "boxes without a LiDAR or radar point"] += 1
            continue
        row = np.zeros((), ACTOR_DTYPE)
        place = matrix(one)
        width, length, height = (float(side) for side in one["size"])
        row["id"], row["kind"], row["yaw"] = data.track(one), kind, math.atan2(place[1, 0], place[0, 0])
        row["x"], row["y"], row["z"] = place[0, 3], place[1, 3], place[2, 3] - height / 2.0
        row["length"], row["width"], row["height"] = length, width, height
        row["vx"], row["vy"] = _velocity(data, one)
        rows.append(row)
    return np.array(rows, ACTOR_DTYPE)


def _velocity(data: NuScenes, box: Row) -> np.ndarray:
    """m/s [2] of a box in the map, by the key frames before and after it; 0 where it has neither."""
    ends = [data.row("sample_annotation", box[side]) if box[side] else box for side in ("prev", "next")]
    stamps = [int(data.row("sample", one["sample_token"])["timestamp"]) / 1e6 for one in ends]
    if stamps[1] - stamps[0] < 1e-3:
        return np.zeros(2)
    return (np.array(ends[1]["translation"][:2], float) - np.array(ends[0]["translation"][:2], float)) / (stamps[1] - stamps[0])


def _commands(states: Sequence[EgoState]) -> np.ndarray:
    """int8 [K]: LEFT or RIGHT where the place at most 3 s ahead lies 2 m or more to that side, else LANE_FOLLOW."""
    stamps = np.array([one.stamp_ns for one in states])
    points = np.array([(one.pose.x, one.pose.y) for one in states])
    later = np.searchsorted(stamps, stamps + AHEAD_NS, side="right") - 1
    aside = np.array([((points[end] - points[row]) @ rotation_2d(states[row].pose.yaw))[1] for row, end in enumerate(later)])
    turning = np.where(aside > 0.0, Command.LEFT, Command.RIGHT)
    return np.where(np.abs(aside) >= SIDE_M, turning, Command.LANE_FOLLOW).astype(np.int8)
