"""A tiny set in DAIR-V2X's layouts, drawn through real projections: what a reader must bear is in it.

    sequence 0  a walker behind a parked truck, whom the station alone sees: the car brakes
    sequence 1  the same way and the same front view at its beginning, no walker: the car goes on
    sequence 2  by night; a pair offset that is not 0
    sequence 3  the car stands; station's pictures 180 ms before the vehicle's
    sequence 4  a gap of 600 ms in the middle, a missing calibration
    sequence 5  shorter than 4.5 s; the stations' relative errors are ""
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.bags.dair.layout import BOTH, STATION, VEHICLE
from kd_planner_ros.bags.dair.scene import OPTICAL
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.files import whole_file, write_text
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.geometry.projection import box_corners

WIDTH, HEIGHT, FOCAL = 320, 180, 200.0
FRAMES, PERIOD_US, START_US = 60, 100_000, 1_626_247_179_676_000
SPEED_MPS, BRAKE_FRAME = 8.0, 25
ORIGIN, TURN = np.array([2636.0, 1745.0]), 0.6
"""Where the drives begin in the set's world, and where they lead."""
CAMERA = Pose(0.5, 0.0, -0.3)
"""The front camera in the frame of the vehicle's LiDAR, which stands LIDAR_M high and looks ahead."""
LIDAR_M, POLE_M = 1.9, 6.0
SKEW_US = 37_000
COLOURS = {ActorKind.PEDESTRIAN: (230, 60, 60), ActorKind.TRUCK: (90, 110, 200), ActorKind.CAR: (220, 200, 60)}
TYPES = {ActorKind.PEDESTRIAN: "Pedestrian", ActorKind.TRUCK: "Truck", ActorKind.CAR: "Car"}


@dataclass(frozen=True)
class Sequence:
    """One drive: ``walker``: whether one stands behind the truck; ``brakes``, ``stands``: what the car does."""

    number: int
    frames: int = FRAMES
    walker: bool = False
    brakes: bool = False
    stands: bool = False
    bright: float = 1.0
    offset: Any = ""
    skew_us: int = SKEW_US
    gap_us: int = 0


SEQUENCES = (Sequence(0, walker=True, brakes=True), Sequence(1), Sequence(2, bright=0.15, offset={"delta_x": 0.5, "delta_y": -0.25}),
             Sequence(3, stands=True, skew_us=180_000), Sequence(4, gap_us=500_000), Sequence(5, frames=30))
MISSING = "000250"
"""The vehicle's picture without a calibration file."""


def write_example(folder: Path, sequential: bool = False) -> int:
    """Write the set into ``folder``, which must be empty or missing; the number of pairs. The same bytes each time.

    Args:
        sequential: in the layout of V2X-Seq-SPD; DAIR-V2X-C's otherwise.

    Raises:
        BagError: ``folder`` holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BagError(f"an empty folder at {folder}", "one that holds something", "choose another folder")
    lists: dict[str, list[dict[str, Any]]] = {VEHICLE: [], STATION: [], BOTH: []}
    for sequence in SEQUENCES:
        for index in range(sequence.frames):
            for side, entry in _write_pair(folder, sequence, index, sequential).items():
                lists[side].append(entry)
    for side, entries in lists.items():
        _json(folder / side / "data_info.json", entries)
    return len(lists[BOTH])


def ego_ahead_m(sequence: Sequence, index: int) -> float:
    """How far the car has driven at frame ``index``."""
    if sequence.stands:
        return 0.0
    t, brake = index / 10.0, BRAKE_FRAME / 10.0
    if not sequence.brakes or t <= brake:
        return SPEED_MPS * t
    late = min(t - brake, SPEED_MPS / 4.0)
    return SPEED_MPS * brake + SPEED_MPS * late - 2.0 * late * late


def users(sequence: Sequence) -> np.ndarray:
    """Road users ACTOR_DTYPE [N] in the frame of the drive, x along it: a parked truck, the walker behind it, a car that comes."""
    rows = np.zeros(2 + sequence.walker, ACTOR_DTYPE)
    rows["id"] = 1 + np.arange(len(rows))
    rows["kind"] = [ActorKind.TRUCK, ActorKind.CAR, ActorKind.PEDESTRIAN][:len(rows)]
    rows["x"], rows["y"] = [30.0, 55.0, 36.0][:len(rows)], [-3.5, 3.5, -3.2][:len(rows)]
    rows["yaw"] = [0.0, math.pi, math.pi / 2][:len(rows)]
    rows["length"], rows["width"] = [8.0, 4.5, 0.6][:len(rows)], [2.5, 1.9, 0.6][:len(rows)]
    rows["height"] = [3.4, 1.5, 1.7][:len(rows)]
    return rows


def _matrix(pose: Pose) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = rotation_3d(pose), (pose.x, pose.y, pose.z)
    return found


WORLD = _matrix(Pose(float(ORIGIN[0]), float(ORIGIN[1]), yaw=TURN))
"""From the frame of the drive to the world."""
POLE = _matrix(Pose(50.0, -9.0, POLE_M, math.radians(150.0), math.radians(15.0)))
"""The station's camera in the frame of the drive; it looks back along the road, past the truck."""
VIRTUAL = _matrix(Pose(50.0, -9.0, 0.0))
"""The station's virtual LiDAR in the frame of the drive."""


def _lidar_to_camera(camera_in_lidar: np.ndarray) -> np.ndarray:
    found = camera_in_lidar.copy()
    found[:3, :3] = found[:3, :3] @ np.linalg.inv(OPTICAL)
    return np.linalg.inv(found)


def _write_pair(folder: Path, sequence: Sequence, index: int, sequential: bool) -> dict[str, dict[str, Any]]:
    number = sum(one.frames for one in SEQUENCES[:sequence.number]) + index
    mine, other = f"{number:06d}", f"{number + 10_000:06d}"
    stamp = START_US + sequence.number * 60_000_000 + index * PERIOD_US + (sequence.gap_us if index >= sequence.frames // 2 else 0)
    lidar, rows = _matrix(Pose(ego_ahead_m(sequence, index), 0.0, LIDAR_M)), users(sequence)
    _picture(folder / VEHICLE / "image" / f"{mine}.jpg", rows, lidar @ _matrix(CAMERA), sequence.bright)
    _picture(folder / STATION / "image" / f"{other}.jpg", rows, POLE, sequence.bright)
    _calibrate(folder, mine, other, lidar, sequence, sequential)
    _label(folder, sequence, mine, other, lidar, rows, sequential)
    group, place = f"{sequence.number:04d}", f"yizhuang{1 + sequence.number % 2:02d}"
    found: dict[str, dict[str, Any]] = {}
    for side, frame, when in ((VEHICLE, mine, stamp), (STATION, other, stamp - sequence.skew_us)):
        found[side] = {"image_path": f"image/{frame}.jpg", "image_timestamp": str(when), "pointcloud_path": f"velodyne/{frame}.pcd",
                       "pointcloud_timestamp": str(when), "intersection_loc": place,
                       **({"frame_id": frame, "sequence_id": group} if sequential else {"batch_id": group})}
    if sequential:
        pair = {"vehicle_frame": mine, "infrastructure_frame": other, "vehicle_sequence": group, "infrastructure_sequence": group}
    else:
        pair = {"vehicle_image_path": f"{VEHICLE}/image/{mine}.jpg", "infrastructure_image_path": f"{STATION}/image/{other}.jpg",
                "cooperative_label_path": f"{BOTH}/label_world/{mine}.json"}
    return {**found, BOTH: {**pair, "system_error_offset": sequence.offset}}


def _calibrate(folder: Path, mine: str, other: str, lidar: np.ndarray, sequence: Sequence, sequential: bool) -> None:
    """Calibrations as published: a station's place is wrong by what its relative error and the pair's offset say."""
    lens = {"cam_K": [FOCAL, 0.0, WIDTH / 2.0 - 0.5, 0.0, FOCAL, HEIGHT / 2.0 - 0.5, 0.0, 0.0, 1.0], "cam_D": [0.0] * 5}
    novatel = _matrix(Pose(-1.2, 0.1, -1.5, math.pi / 2.0))  # its x axis is not the car's
    error = {"delta_x": "", "delta_y": ""} if sequence.number == 5 else {"delta_x": 0.2, "delta_y": -0.1}
    station, offset = WORLD @ VIRTUAL, np.array(list(sequence.offset.values()) if sequence.offset else (0.0, 0.0))
    station[:2, 3] -= (0.0, 0.0) if sequence.number == 5 else (0.2, -0.1)
    station[:2, 3] -= (WORLD @ lidar)[:2, :2] @ offset if sequential else offset
    for side, frame, kind, content in (
            (VEHICLE, mine, "camera_intrinsic", lens), (STATION, other, "camera_intrinsic", lens),
            (VEHICLE, mine, "lidar_to_camera", _rigid(_lidar_to_camera(_matrix(CAMERA)))),
            (VEHICLE, mine, "lidar_to_novatel", {"transform": _rigid(np.linalg.inv(novatel))}),
            (VEHICLE, mine, "novatel_to_world", _rigid(WORLD @ lidar @ novatel)),
            (STATION, other, "virtuallidar_to_camera", _rigid(_lidar_to_camera(np.linalg.inv(VIRTUAL) @ POLE))),
            (STATION, other, "virtuallidar_to_world", {**_rigid(station), "relative_error": error})):
        if not (frame == MISSING and kind == "lidar_to_novatel"):
            _json(folder / side / "calib" / kind / f"{frame}.json", content)


def _label(folder: Path, sequence: Sequence, mine: str, other: str, lidar: np.ndarray, rows: np.ndarray, sequential: bool) -> None:
    """Labels of the station in its virtual LiDAR, and the cooperative ones: in the world, or in the vehicle's LiDAR with tracks."""
    _json(folder / STATION / "label" / "virtuallidar" / f"{other}.json", _boxes(rows, np.linalg.inv(VIRTUAL), 0.0))
    if sequential:
        _json(folder / BOTH / "label" / f"{mine}.json", _boxes(rows, np.linalg.inv(lidar), 0.0, tracks=True))
    else:
        _json(folder / BOTH / "label_world" / f"{mine}.json", _boxes(rows, WORLD, TURN))


def _boxes(rows: np.ndarray, matrix: np.ndarray, turn: float, tracks: bool = False) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        middle = matrix @ (row["x"], row["y"], row["height"] / 2.0, 1.0)
        found.append({"type": TYPES[ActorKind(int(row["kind"]))], "rotation": float(row["yaw"] + turn),
                      "3d_location": dict(zip("xyz", middle[:3].tolist(), strict=True)),
                      "3d_dimensions": {"l": float(row["length"]), "w": float(row["width"]), "h": float(row["height"])},
                      **({"track_id": int(row["id"])} if tracks else {})})
    return found


def _rigid(matrix: np.ndarray) -> dict[str, Any]:
    return {"rotation": matrix[:3, :3].tolist(), "translation": matrix[:3, 3:].tolist()}


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content))


# --- drawing -------------------------------------------------------------------------------------------------------------

def _picture(path: Path, rows: np.ndarray, camera: np.ndarray, bright: float) -> None:
    """The road and the road users, far ones first, as the ``camera`` [4, 4] (x ahead) in the frame of the drive sees them."""
    canvas = np.full((HEIGHT, WIDTH, 3), (150, 180, 220), np.uint8)
    ground = np.array([(x, y, 0.0) for x, y in ((-60.0, -40.0), (160.0, -40.0), (160.0, 40.0), (-60.0, 40.0))])
    road = ground * (1.0, 0.15, 1.0)
    for outline, colour in ((ground, (110, 140, 90)), (road, (95, 95, 100))):
        _fill(canvas, _clipped(outline, camera), colour)
    corners = box_corners(rows)
    away = np.linalg.norm(corners.mean(1) - camera[:3, 3], axis=1)
    for row in np.argsort(-away, kind="stable"):
        seen = (corners[row] - camera[:3, 3]) @ camera[:3, :3]
        if (seen[:, 0] > 0.5).all():
            _fill(canvas, cv2.convexHull(_pixels(seen).astype(np.float32))[:, 0], COLOURS[ActorKind(int(rows["kind"][row]))])
    path.parent.mkdir(parents=True, exist_ok=True)
    done, file = cv2.imencode(".jpg", np.ascontiguousarray((canvas * bright).astype(np.uint8)[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    with whole_file(path) as part:
        file.tofile(part)


def _clipped(outline: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Pixels of the part of a polygon [N, 3] that lies half a metre or more ahead of the camera."""
    seen = (outline - camera[:3, 3]) @ camera[:3, :3]
    kept: list[np.ndarray] = []
    for one, other in zip(seen, np.roll(seen, -1, axis=0), strict=True):
        if one[0] >= 0.5:
            kept.append(one)
        if (one[0] >= 0.5) != (other[0] >= 0.5):
            kept.append(one + (other - one) * (0.5 - one[0]) / (other[0] - one[0]))
    return _pixels(np.array(kept).reshape(-1, 3))


def _pixels(seen: np.ndarray) -> np.ndarray:
    return np.stack([WIDTH / 2.0 - FOCAL * seen[:, 1] / seen[:, 0], HEIGHT / 2.0 - FOCAL * seen[:, 2] / seen[:, 0]], axis=-1)


def _fill(canvas: np.ndarray, outline: np.ndarray, colour: tuple[int, int, int]) -> None:
    if len(outline) >= 3:
        cv2.fillPoly(canvas, [np.round(np.clip(outline, -1e6, 1e6)).astype(np.int32)], colour)


