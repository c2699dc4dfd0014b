"""Matrices and pictures of DAIR-V2X as this package has them: poses, boxes, and pictures of pinhole cameras whose axis is the middle."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec

OPTICAL = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""From a camera's x ahead, y left, z up to its x right, y down, z ahead."""
KINDS = {"car": ActorKind.CAR, "van": ActorKind.CAR, "truck": ActorKind.TRUCK, "bus": ActorKind.BUS, "pedestrian": ActorKind.PEDESTRIAN,
         "barrowlist": ActorKind.PEDESTRIAN, "cyclist": ActorKind.BICYCLE, "tricyclist": ActorKind.BICYCLE,
         "motorcyclist": ActorKind.MOTORCYCLE}
"""Published types; others are left out and counted."""


def pose_of(matrix: np.ndarray) -> Pose:
    """The pose of a frame whose matrix [4, 4] leads to its parent."""
    turn = matrix[:3, :3]
    x, y, z = (float(one) for one in matrix[:3, 3])
    return Pose(x, y, z, math.atan2(turn[1, 0], turn[0, 0]), math.asin(float(np.clip(-turn[2, 0], -1.0, 1.0))),
                math.atan2(turn[2, 1], turn[2, 2]))


def camera_pose(lidar_to_camera: np.ndarray, lidar: np.ndarray) -> Pose:
    """Pose of a camera in the frame that ``lidar`` [4, 4] leads to."""
    found = lidar @ np.linalg.inv(lidar_to_camera)
    found[:3, :3] = found[:3, :3] @ OPTICAL
    return pose_of(found)


def camera_spec(name: str, matrix: np.ndarray, size: tuple[int, int], width: int, pose: Pose) -> CameraSpec:
    """The camera of ``width`` pixels that shows what a camera of pinhole ``matrix`` and ``size`` (width, height) shows."""
    fov_deg = math.degrees(2.0 * math.atan(size[0] / (2.0 * matrix[0, 0])))
    return CameraSpec(name, pose, width, max(2, round(width * size[1] / size[0])), fov_deg, 0.1)


def rectify(rgb: np.ndarray, matrix: np.ndarray, distortion: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """``rgb`` [H, W, 3] as ``camera`` takes it: without distortion, equal focal lengths, the optical axis in the middle; black where the
    picture does not reach."""
    own = np.array([[camera.focal_px, 0.0, camera.width / 2.0 - 0.5], [0.0, camera.focal_px, camera.height / 2.0 - 0.5], [0.0, 0.0, 1.0]])
    step = max(1, rgb.shape[1] // camera.width)
    if step > 1:  # average first: a picture that shrinks by much would alias
        rgb = cv2.resize(rgb, (rgb.shape[1] // step, rgb.shape[0] // step), interpolation=cv2.INTER_AREA)
        half = (1.0 / step - 1.0) / 2.0  # pixels count by their middles
        matrix = np.array([[1.0 / step, 0.0, half], [0.0, 1.0 / step, half], [0.0, 0.0, 1.0]]) @ matrix
    maps = cv2.initUndistortRectifyMap(matrix, distortion, np.eye(3), own, (camera.width, camera.height), cv2.CV_32FC1)
    return cv2.remap(rgb, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def actors(labels: Sequence[Mapping[str, Any]], to_world: np.ndarray, first_id: int, left_out: Counter[str]) -> np.ndarray:
    """Road users ACTOR_DTYPE [N] in the world; labels are boxes in the frame that ``to_world`` [4, 4] leads from.

    Args:
        first_id: labels without a track are numbered from here on.

    Raises:
        BagError: a label without its numbers.
    """
    turn = math.atan2(to_world[1, 0], to_world[0, 0])
    rows = []
    for number, label in enumerate(labels):
        kind = KINDS.get(str(label.get("type", "")).lower())
        if kind is None:
            left_out[f"labels of type '{label.get('type')}'"] += 1
            continue
        with reading(BagError, "3d_location, 3d_dimensions and rotation of each label", "fetch the file again"):
            size = [float(label["3d_dimensions"][side]) for side in "lwh"]
            middle = np.array([float(label["3d_location"][axis]) for axis in "xyz"] + [1.0])
            yaw = float(label["rotation"]) + turn
        row = np.zeros((), ACTOR_DTYPE)
        row["id"], row["kind"], row["yaw"] = int(label.get("track_id") or first_id + number), kind, yaw
        row["x"], row["y"], row["z"] = (to_world @ middle)[:3] - (0.0, 0.0, size[2] / 2.0)
        row["length"], row["width"], row["height"] = size
        rows.append(row)
    return np.array(rows, ACTOR_DTYPE)
