"""NAVSIM's logs to recordings: one a stretch of a log without a gap, 2 Hz, which train, evaluate and replay then read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.dair.convert import Report
from kd_planner_ros.bags.dair.scene import camera_pose, camera_spec, pose_of, rectify
from kd_planner_ros.bags.ego_states import ego_states, way_driven
from kd_planner_ros.bags.labelled import read_rgb
from kd_planner_ros.bags.navsim.layout import EGO_BOX, Frame, NavsimLogs, boxes_of, camera_to_ego, ego_to_global, lidar_to_ego
from kd_planner_ros.bags.navsim.maps import NuPlanMap, find_map
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import Command, EgoState
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, SensorRig

CHANNELS = {"CAM_F0": "front", "CAM_L0": "left", "CAM_R0": "right", "CAM_L1": "side_left", "CAM_R1": "side_right", "CAM_L2": "back_left",
            "CAM_R2": "back_right", "CAM_B0": "back"}
"""Published cameras and their ids here."""
KINDS = {"vehicle": ActorKind.CAR, "bicycle": ActorKind.BICYCLE, "pedestrian": ActorKind.PEDESTRIAN, "traffic_cone": ActorKind.STATIC,
         "barrier": ActorKind.STATIC, "czone_sign": ActorKind.STATIC, "generic_object": ActorKind.STATIC}
"""Published classes, which tell no trucks from cars; others are left out and counted."""
COMMANDS = (Command.LEFT, Command.LANE_FOLLOW, Command.RIGHT, Command.VOID)
"""The order of the published one-hot command: left, forward, right, unknown."""
WIDTH = 704
ORIGIN_M = 1000.0
GAP_NS = 750_000_000
"""Frames come every 0.5 s; where two are further apart another recording begins."""


class _Maps:
    """nuPlan's maps below ``folder``, each read once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._read: dict[str, NuPlanMap | None] = {}

    def of(self, location: str) -> NuPlanMap | None:
        """The map of ``location``; None where it is not there."""
        if location not in self._read:
            path = find_map(self._folder, location)
            self._read[location] = None if path is None else NuPlanMap(path)
        return self._read[location]


@dataclass
class _Log:
    """A log and what is known of it: ``numbers`` of road users by their track tokens, from 1; ``origin`` of the recordings' map in the
    published global frame."""

    data: NavsimLogs
    channels: Mapping[str, str]
    maps: _Maps
    left_out: Counter[str]
    numbers: dict[str, int] = field(default_factory=dict)
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def to_map(self, frame: Frame) -> np.ndarray:
        """[4, 4] from the ego frame to the recording's map."""
        found = ego_to_global(frame)
        found[:3, 3] -= self.origin
        return found


def convert(folder: Path, out: Path, split: str = "", cameras: Sequence[str] = tuple(CHANNELS.values()), progress: bool = True) -> Report:
    """Write recordings of the logs of the set at ``folder`` into ``out``.

    The map is the published global frame, moved by whole kilometres to the begin of the log (``origin`` of ``custom_data``): object lists
    hold 32 bits, which are half a metre there. ``base_link`` is the published ego frame on the rear axle. Speed and acceleration are the
    published ones, the yaw rate is the difference to the frame before. The route is the way driven, with the published commands, which
    come from the route that was to be driven. Lines are those of nuPlan's maps where they lie in ``folder``/maps. Signals are given by the
    numbers of lanes, without a stop line: they are left out and counted.

    Args:
        split: which of the splits is read; "" where there is one.
        cameras: ids of the cameras whose pictures are written, ``front`` among them.

    Raises:
        BagError: no such set, broken files, or no log with two frames and their pictures.
    """
    if "front" not in cameras:
        raise BagError("front among the cameras", ", ".join(cameras) or "none", "name it with --cameras front")
    data, maps, report = NavsimLogs(folder, split), _Maps(Path(folder)), Report()
    channels = {channel: name for channel, name in CHANNELS.items() if name in cameras}
    for path in tqdm(data.logs, desc="logs", unit="log", disable=not progress):
        with reading(BagError, f"frames of NAVSIM as published in {path}", "fetch the log anew"):
            _convert(_Log(data, channels, maps, report.left_out), path, Path(out), report)
    report.left_out = +report.left_out
    if not report.recordings:
        raise BagError(f"a log with two frames and their pictures in {folder}", f"none: {dict(report.left_out)}",
                       "fetch the pictures (sensor_blobs) of the split too")
    return report


def _convert(log: _Log, path: Path, out: Path, report: Report) -> None:
    frames = log.data.frames(path)
    if frames:
        log.origin[:2] = np.round(ego_to_global(frames[0])[:2, 3] / ORIGIN_M) * ORIGIN_M
    whole = [frame for frame in frames if all(log.data.picture(frame, channel) is not None for channel in log.channels)]
    report.left_out["frames without a picture"] += len(frames) - len(whole)
    stretches = list(_stretches(whole))
    for number, stretch in enumerate(stretches, start=1):
        if len(stretch) < 2:
            report.left_out["frames without a neighbour"] += len(stretch)
            continue
        name = path.stem if len(stretches) == 1 else f"{path.stem}_{number}"
        _write(log, name, stretch, out / name)
        report.recordings.append(name)
        report.pictures += len(stretch) * len(log.channels)


def _stretches(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """``frames`` cut where two are more than ``GAP_NS`` apart, or where the town changes; of two with one stamp the first counts."""
    part: list[Frame] = []
    for frame in frames:
        since = _stamp(frame) - _stamp(part[-1]) if part else 0
        if part and since == 0:
            continue
        if part and (since > GAP_NS or frame["map_location"] != part[-1]["map_location"]):
            yield part
            part = []
        part.append(frame)
    if part:
        yield part


def _stamp(frame: Frame) -> int:
    return 1000 * int(frame["timestamp"])


def _write(log: _Log, name: str, frames: Sequence[Frame], path: Path) -> None:
    states = _states(log, frames)
    specs = {channel: _spec(log, frames[0], channel) for channel in log.channels}
    rig, town = SensorRig(tuple(specs.values())), f"navsim_{frames[0]['map_location']}"
    facts = {"map": town, "route": name, "seed": "0", "weather": "", "rig": json.dumps(asdict(rig)), "driver": "human",
             "route_from": "the way driven, with the log's commands", "source": f"NAVSIM {log.data.split}",
             "ego_box": EGO_BOX,
             "origin": " ".join(f"{one:.0f}" for one in log.origin)}
    commands = np.array([COMMANDS[int(np.argmax(np.asarray(frame["driving_command"]).reshape(4)))] for frame in frames], np.int8)
    lines = _lines(log, frames)
    with BagWriter(path, rig, facts, compact=True) as bag:
        bag.write_route(way_driven(name, town, states, commands), states[0].stamp_ns)
        if lines is not None:
            bag.write_map_lines(lines, states[0].stamp_ns)
        for frame, ego in zip(frames, states, strict=True):
            bag.write_ego(ego)
            if "anns" in frame:
                bag.write_scene(SceneState(ego.stamp_ns, ego, _actors(frame, log), np.zeros(0, SIGNAL_DTYPE)))
            log.left_out["frames without labels"] += "anns" not in frame
            log.left_out["states of signals, which have no stop line"] += len(frame.get("traffic_lights") or ())
            for channel, spec in specs.items():
                bag.write_camera(spec.id, CameraImage(ego.stamp_ns, _picture(log, frame, channel, spec)), ())


def _states(log: _Log, frames: Sequence[Frame]) -> list[EgoState]:
    states = ego_states([_stamp(frame) for frame in frames], [pose_of(log.to_map(frame)) for frame in frames])
    moved = [np.asarray(frame["ego_dynamic_state"], float).reshape(4) for frame in frames]
    return [replace(one, speed_mps=float(own[0]), lateral_mps=float(own[1]), acceleration_mps2=float(own[2]))
            for one, own in zip(states, moved, strict=True)]


def _lines(log: _Log, frames: Sequence[Frame]) -> np.ndarray | None:
    """MAP_LINE_DTYPE [P] in the recording's map; None without nuPlan's map, which is counted."""
    found = log.maps.of(str(frames[0]["map_location"]))
    if found is None:
        log.left_out["stretches without nuPlan's map, kept without lines"] += 1
        return None
    rows = found.lines(np.array([ego_to_global(frame)[:2, 3] for frame in frames]))
    rows["x"], rows["y"] = rows["x"] - log.origin[0], rows["y"] - log.origin[1]
    return rows


def _spec(log: _Log, frame: Frame, channel: str) -> CameraSpec:
    """The camera of ``channel``, scaled to ``WIDTH``, mounted as in ``frame``."""
    path = log.data.picture(frame, channel)
    assert path is not None, "frames without a picture were left out"
    height, width = read_rgb(path).shape[:2]
    mounted = camera_pose(np.linalg.inv(camera_to_ego(frame, channel)), np.eye(4))
    return camera_spec(log.channels[channel], _intrinsics(frame, channel), (width, height), WIDTH, mounted)


def _intrinsics(frame: Frame, channel: str) -> np.ndarray:
    return np.asarray(frame["cams"][channel]["cam_intrinsic"], float).reshape(3, 3)


def _picture(log: _Log, frame: Frame, channel: str, spec: CameraSpec) -> np.ndarray:
    path = log.data.picture(frame, channel)
    assert path is not None, "frames without a picture were left out"
    distortion = np.asarray(frame["cams"][channel]["distortion"], float).reshape(5)
    return rectify(read_rgb(path), _intrinsics(frame, channel), distortion, spec)


def _actors(frame: Frame, log: _Log) -> np.ndarray:
    """ACTOR_DTYPE [N] of the labels, in the map."""
    boxes, names, velocities, tracks = boxes_of(frame)
    to_map = log.to_map(frame)
    velocities = velocities @ (to_map[:3, :3] @ lidar_to_ego(frame)[:3, :3]).T
    yaw = math.atan2(to_map[1, 0], to_map[0, 0])
    rows = []
    for box, name, velocity, track in zip(boxes, names, velocities, tracks, strict=True):
        if name not in KINDS:
            log.left_out[f"boxes of class '{name}'"] += 1
            continue
        row = np.zeros((), ACTOR_DTYPE)
        row["id"], row["kind"], row["yaw"] = log.numbers.setdefault(track, len(log.numbers) + 1), KINDS[name], yaw + box[6]
        row["x"], row["y"], row["z"] = (to_map @ (*box[:3], 1.0))[:3] - (0.0, 0.0, box[5] / 2.0)
        row["length"], row["width"], row["height"] = box[3:6]
        row["vx"], row["vy"] = velocity[:2]
        rows.append(row)
    return np.array(rows, ACTOR_DTYPE)
