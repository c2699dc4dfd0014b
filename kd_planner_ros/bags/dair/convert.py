"""DAIR-V2X to recordings: one for each stretch of a batch or sequence without a gap, which train, evaluate and replay then read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.contents import SPLIT
from kd_planner_ros.bags.dair.layout import DairV2x, Pair, Shot, read_labels
from kd_planner_ros.bags.dair.scene import actors, camera_pose, camera_spec, pose_of, rectify
from kd_planner_ros.bags.dair.splits import Split, find_split
from kd_planner_ros.bags.dair.tracks import add_velocities
from kd_planner_ros.bags.ego_states import ego_states, way_driven
from kd_planner_ros.bags.labelled import read_rgb
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.captions import Caption
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.captions import caption_of_boxes
from kd_planner_ros.geometry.frames import wrap_angle

GAP_NS = 250_000_000
"""Between two pictures that are further apart nothing is known: another recording begins."""
FASTEST_MPS, HARDEST_MPS2 = 25.0, 6.0
"""Above these a place is doubtful, and counted."""
TURNED_RAD = math.radians(45.0)
"""A heading further from the way driven is wrong."""
WIDTH = 448


@dataclass(frozen=True)
class Instant:
    """A pair with the ego's place: ``lidar`` [4, 4] leads from the vehicle's LiDAR to the world."""

    pair: Pair
    station: Shot
    lidar: np.ndarray

    @property
    def stamp_ns(self) -> int:
        """Of the vehicle's picture."""
        return self.pair.vehicle.stamp_ns


@dataclass
class Report:
    """What was written, and what was left out and why, by count."""

    recordings: list[str] = field(default_factory=list)
    pictures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {"recordings": self.recordings, "pictures": self.pictures, "left_out": dict(sorted(self.left_out.items()))}


def convert(folder: Path, out: Path, delay_frames: int = 0, progress: bool = True, split_file: Path | None = None,
            parts: Sequence[str] = ()) -> Report:
    """Write the recordings of the set at ``folder`` into ``out``; where a split is known, each into the folder of its part below ``out``.

    The map is the set's world, ``base_link`` the vehicle's LiDAR. The route is the way driven: a planner gets its direction, never
    its speed, and the commands are all LANE_FOLLOW. A recording's ``custom_data`` says so.

    Args:
        delay_frames: take the station's picture this many frames before the published one (VIC-Async-k).
        split_file: the published split (``splits.py``); None: the one in ``folder``, where there is one. A pair in none of its parts is
            left out, and no recording holds pairs of two.
        parts: these parts of the split alone; all by default.

    Raises:
        BagError: no such set, broken files, or not one pair that can be used. ConfigError: ``parts`` without a split, or a part that it
            has not.
    """
    data, report = DairV2x(folder), Report()
    split = _split(data, split_file, tuple(parts))
    report.left_out["pairs of pictures that are not listed"] = data.unlisted
    named = [(part, list(group)) for (_, part), group in groupby(_chosen(data, split, report), key=_sequence_and_part)]
    counts: Counter[str] = Counter()
    for part, chosen in tqdm(named, desc="sequences", unit="sequence", disable=not progress):
        for stretch in _stretches(data, [pair for pair, _ in chosen], delay_frames, report):
            sequence = stretch[0].pair.vehicle.sequence or "unnamed"
            name = f"{part}/" * bool(part) + f"dair_{sequence}_{counts[sequence]}"
            counts[sequence] += 1
            _write(data, stretch, Path(out) / name, part, report)
            report.recordings.append(name)
    report.left_out = +report.left_out
    if not report.recordings:
        raise BagError(f"two pictures of one drive in {folder} with calibration and place", f"none: {dict(report.left_out)}",
                       "fetch the pictures and calibrations too, as published")
    return report


def _split(data: DairV2x, file: Path | None, parts: tuple[str, ...]) -> Split | None:
    path = file or find_split(data.folder, data.sequential)
    if path is None and parts:
        raise ConfigError(f"a split file for --split {' '.join(parts)}", f"none in {data.folder}",
                          "give --split-file; the authors publish it beside their code, not in the set")
    return None if path is None else Split(path, parts)


def _chosen(data: DairV2x, split: Split | None, report: Report) -> Iterator[tuple[Pair, str]]:
    """Each pair that is wanted, with its part of the split ("": there is no split)."""
    for pair in data.pairs:
        part = "" if split is None else split.part_of(pair.vehicle.frame)
        if split is None or part:
            yield pair, part or ""
        else:
            report.left_out["pairs in no part of the split" if part == "" else "pairs of other parts of the split"] += 1


def _sequence_and_part(chosen: tuple[Pair, str]) -> tuple[str, str]:
    return chosen[0].vehicle.sequence, chosen[1]


def _stretches(data: DairV2x, pairs: Sequence[Pair], delay_frames: int, report: Report) -> Iterator[list[Instant]]:
    """The usable instants of a sequence, cut where a gap is; stretches of one instant, and such that drive sideways, are left out."""
    found: list[list[Instant]] = [[]]
    for pair in pairs:
        instant = _instant(data, pair, delay_frames, report)
        if instant is None or (found[-1] and instant.stamp_ns <= found[-1][-1].stamp_ns):
            report.left_out["pairs with the stamp of another one"] += instant is not None
            continue
        if found[-1] and instant.stamp_ns - found[-1][-1].stamp_ns > GAP_NS:
            found.append([])
        found[-1].append(instant)
    for stretch in found:
        if len(stretch) < 2:
            report.left_out["instants without a neighbour within 250 ms"] += len(stretch)
        elif _sideways(stretch):
            report.left_out["instants whose heading is not that of the way driven"] += len(stretch)
        else:
            yield stretch


def _instant(data: DairV2x, pair: Pair, delay_frames: int, report: Report) -> Instant | None:
    station = data.earlier(pair.station, delay_frames) if delay_frames else pair.station
    if station is None:
        report.left_out[f"pairs without a station's picture {delay_frames} frames before"] += 1
        return None
    if not (pair.vehicle.image.is_file() and station.image.is_file()):
        report.left_out["pairs without a picture file"] += 1
        return None
    try:
        for shot in (pair.vehicle, station):
            data.intrinsics(shot), data.lidar_to_camera(shot)
        data.lidar_to_world(station)
        return Instant(pair, station, data.lidar_to_world(pair.vehicle))
    except BagError:
        report.left_out["pairs without a whole calibration"] += 1
        return None


def _sideways(stretch: Sequence[Instant]) -> bool:
    steps = np.diff([one.lidar[:2, 3] for one in stretch], axis=0)
    headings = np.array([math.atan2(one.lidar[1, 0], one.lidar[0, 0]) for one in stretch[:-1]])
    moved = np.hypot(*steps.T) > 0.2
    off = np.abs(wrap_angle(np.arctan2(steps[:, 1], steps[:, 0]) - headings))[moved]
    return len(off) > 0 and float(np.median(off)) > TURNED_RAD


def _states(stretch: Sequence[Instant], report: Report) -> list[EgoState]:
    """The ego at each instant: places as published."""
    states = ego_states([one.stamp_ns for one in stretch], [pose_of(one.lidar) for one in stretch])
    report.left_out["instants above 25 m/s or 6 m/s^2, kept"] += sum(
        abs(one.speed_mps) > FASTEST_MPS or abs(one.acceleration_mps2) > HARDEST_MPS2 for one in states)
    return states


def _write(data: DairV2x, stretch: Sequence[Instant], path: Path, part: str, report: Report) -> None:
    states, first = _states(stretch, report), stretch[0]
    matrix, _ = data.intrinsics(first.pair.vehicle)
    rgb = read_rgb(first.pair.vehicle.image)
    mounted = camera_pose(data.lidar_to_camera(first.pair.vehicle), np.eye(4))
    front = camera_spec("front", matrix, (rgb.shape[1], rgb.shape[0]), WIDTH, mounted)
    rig, station = SensorRig((front,), roadside=RoadsideWish(objects=True)), _station(data, stretch)
    town = f"dair_{first.station.place or first.pair.vehicle.place or 'unnamed'}"
    facts = {"map": town, "route": path.name, "seed": "0", "weather": "", "rig": json.dumps(asdict(rig)), "driver": "human",
             "route_from": "the way driven", **({SPLIT: part} if part else {})}
    with BagWriter(path, rig, facts, compact=True) as bag:
        bag.write_route(way_driven(path.name, town, states), states[0].stamp_ns)
        bag.write_stations((station,), states[0].stamp_ns)
        everyone, listed = _lists(data, stretch, report)
        for instant, ego, present in zip(stretch, states, everyone, strict=True):
            view = None
            if instant.station.frame in listed:  # a station's picture that several pairs share is sent once
                view = _view(data, instant, station, listed.pop(instant.station.frame))
            _write_instant(data, bag, instant, ego, front, present, view)
            report.pictures += 1


def _lists(data: DairV2x, stretch: Sequence[Instant], report: Report) -> tuple[list[np.ndarray], dict[str, np.ndarray | None]]:
    """The road users at each instant, and those that each picture of the station lists, by its frame; velocities follow from tracks."""
    everyone = [_everyone(data, instant, report) for instant in stretch]
    shots = {one.station.frame: one for one in reversed(stretch)}
    listed = {frame: _reported(data, one, report) for frame, one in shots.items()}
    sent = sorted((shots[frame].station.stamp_ns, frame) for frame, rows in listed.items() if rows is not None)
    for lists, stamps in ((everyone, [one.stamp_ns for one in stretch]),
                          ([rows for _, frame in sent if (rows := listed[frame]) is not None], [stamp for stamp, _ in sent])):
        report.left_out["velocities of road users without a track, kept as 0"] += add_velocities(lists, stamps)
    return everyone, listed


def _write_instant(data: DairV2x, bag: BagWriter, instant: Instant, ego: EgoState, front: CameraSpec, everyone: np.ndarray,
                   view: RoadsideView | None) -> None:
    vehicle = instant.pair.vehicle
    bag.write_ego(ego)
    bag.write_scene(SceneState(ego.stamp_ns, ego, everyone, np.zeros(0, SIGNAL_DTYPE)))
    rgb = rectify(read_rgb(vehicle.image), *data.intrinsics(vehicle), front)
    told: list[Caption | None] = []
    if view is not None:
        bag.write_roadside(view, ego.stamp_ns)  # a pair: it is there when the vehicle takes its picture, and not before
        told.append(caption_of_boxes(view))
    bag.write_camera("front", CameraImage(ego.stamp_ns, rgb), ())
    seen = replace(front, pose=camera_pose(data.lidar_to_camera(vehicle), instant.lidar))
    own = caption_of_boxes(RoadsideView("", seen, rgb, everyone, ego.stamp_ns, 0.0))
    told.append(None if own is None else replace(own, view="front"))
    bag.write_captions([one for one in told if one is not None], ego.stamp_ns)


def _everyone(data: DairV2x, instant: Instant, report: Report) -> np.ndarray:
    """The road users of the cooperative labels, in the world; none where the file is missing."""
    path = instant.pair.label
    if not path.is_file():
        report.left_out["instants without cooperative labels, kept without road users"] += 1
        return np.zeros(0, ACTOR_DTYPE)
    return actors(read_labels(path), instant.lidar if data.sequential else np.eye(4), _first_id(instant.pair.vehicle), report.left_out)


def _first_id(shot: Shot) -> int:
    """Numbers of labels without a track: no two instants share one, for nobody knows who is who."""
    return 1000 * int(shot.frame) if shot.frame.isdigit() else 0


def _reported(data: DairV2x, instant: Instant, report: Report) -> np.ndarray | None:
    """The road users that the station lists, moved by the pair's own correction; None: there are no labels."""
    shot = instant.station
    path = data.folder / shot.side / "label" / "virtuallidar" / f"{shot.frame}.json"
    if not path.is_file():
        report.left_out["station's pictures without labels, kept without road users"] += 1
        return None
    rows = actors(read_labels(path), data.lidar_to_world(shot), _first_id(shot), report.left_out)
    offset = instant.pair.offset if not data.sequential else instant.lidar[:2, :2] @ instant.pair.offset
    rows["x"], rows["y"] = rows["x"] + offset[0], rows["y"] + offset[1]
    return rows


def _view(data: DairV2x, instant: Instant, station: Station, rows: np.ndarray | None) -> RoadsideView:
    """What the station sent."""
    shot, camera = instant.station, station.cameras[0]
    rgb = rectify(read_rgb(shot.image), *data.intrinsics(shot), camera)
    return RoadsideView(station.id, camera, rgb, rows, shot.stamp_ns, 0.0, station.pose)


def _station(data: DairV2x, stretch: Sequence[Instant]) -> Station:
    """The stretch's station: its camera as at the first instant, moved by the median of the corrections."""
    first = stretch[0].station
    offsets = [one.pair.offset if not data.sequential else one.lidar[:2, :2] @ one.pair.offset for one in stretch]
    lidar = data.lidar_to_world(first)
    lidar[:2, 3] += np.median(offsets, axis=0)
    pose = camera_pose(data.lidar_to_camera(first), lidar)
    matrix, _ = data.intrinsics(first)
    rgb = read_rgb(first.image)
    camera = camera_spec("camera", matrix, (rgb.shape[1], rgb.shape[0]), WIDTH, pose)
    name = "".join(one if one.isalnum() else "_" for one in first.place or "station")
    return Station(f"rsu_{name}", Pose(pose.x, pose.y, yaw=pose.yaw), (camera,))
