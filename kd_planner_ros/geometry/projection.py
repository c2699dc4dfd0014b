"""Points of space in pinhole cameras."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import rotation_3d

NEAR_M = 0.5


def pixels(points: np.ndarray, camera: CameraSpec, parent: Pose = Pose()) -> np.ndarray:
    """Pixels [..., 2] and depth in metres as a third value [..., 3] of ``points`` [..., 3] in the frame that ``camera.pose`` belongs to;
    NaN for points less than half a metre ahead of the camera.

    Args:
        parent: pose of that frame in the frame of the points, where they differ.
    """
    in_parent = (np.asarray(points, float) - (parent.x, parent.y, parent.z)) @ rotation_3d(parent)
    place = camera.pose
    seen = (in_parent - (place.x, place.y, place.z)) @ rotation_3d(place)
    depth = np.where(seen[..., 0] > NEAR_M, seen[..., 0], np.nan)
    across = camera.width / 2.0 - camera.focal_px * seen[..., 1] / depth
    down = camera.height / 2.0 - camera.focal_px * seen[..., 2] / depth
    return np.stack([across, down, depth], axis=-1)


def box_corners(rows: np.ndarray) -> np.ndarray:
    """The corners [N, 8, 3] of road users ACTOR_DTYPE [N], the four on the ground first, in the frame of the rows."""
    half = np.stack([rows["length"], rows["width"]], axis=-1).astype(float) / 2.0
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)], float)
    local = signs[None] * half[:, None]
    cos, sin = np.cos(rows["yaw"].astype(float))[:, None], np.sin(rows["yaw"].astype(float))[:, None]
    flat = np.stack([rows["x"][:, None] + cos * local[..., 0] - sin * local[..., 1],
                     rows["y"][:, None] + sin * local[..., 0] + cos * local[..., 1]], axis=-1)
    low, high = rows["z"].astype(float), rows["z"].astype(float) + rows["height"]
    levels = [np.concatenate([flat, np.broadcast_to(level[:, None, None], (len(rows), 4, 1))], axis=-1) for level in (low, high)]
    return np.concatenate(levels, axis=1)
