"""Which road users a roadside station reports: those in its range that its own camera really sees."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.geometry.frames import rotation_3d

MIN_PIXELS = 6
"""Fewer pixels in the instance picture than this are no detection. A grown-up at 50 m has 9 in the pictures of the map's stations."""
MIN_SHARE = 0.15
"""Least share of the outline's rectangle that must be seen; a walker who stands free fills about 0.5 of his, a car 0.6."""
NEAR_M, LARGEST_PX = 0.5, 20_000.0
_CORNERS = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (0.0, 1.0)])


def in_range(actors: np.ndarray, station: Station) -> np.ndarray:
    """bool [N]: which rows of ACTOR_DTYPE lie within ``station.range_m`` of the foot of its mast."""
    return np.hypot(actors["x"] - station.pose.x, actors["y"] - station.pose.y) <= station.range_m


def seen_by(actors: np.ndarray, camera: CameraSpec, instance: np.ndarray) -> np.ndarray:
    """bool [N]: which rows of ACTOR_DTYPE a roadside camera sees.

    A row is seen where at least MIN_PIXELS pixels of ``instance`` (int32 [H, W], 1 + row) show it, and at least MIN_SHARE of
    the rectangle round its box in the picture. What the picture cuts off does not count as hidden.
    """
    pixels = np.bincount(instance.ravel(), minlength=len(actors) + 2)[1:len(actors) + 1]
    shown = pixels >= MIN_PIXELS
    shown[shown] = pixels[shown] >= MIN_SHARE * outline_px(actors[shown], camera)
    return shown


def seen_by_boxes(actors: np.ndarray, station: Station) -> np.ndarray:
    """bool [N]: which rows of ACTOR_DTYPE one of the cameras of ``station`` sees past the boxes of the others, as ``seen_by`` counts.

    For a world whose instance pictures nobody has: houses and trees hide nobody. Of a station without cameras: all.
    """
    seen = np.full(len(actors), not station.cameras)
    for camera in station.cameras:
        seen |= seen_by(actors, camera, box_picture(actors, camera))
    return seen


def box_picture(actors: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """int32 [H, W]: 1 + row of the nearest of the boxes of ACTOR_DTYPE [N] in each pixel of ``camera`` (pose in ``map``), 0 for none. Boxes
    that reach behind the camera are not drawn."""
    u, v, ahead_m = _corners_px(actors, camera)
    picture = np.zeros((camera.height, camera.width), np.int32)
    for row in np.argsort(-ahead_m.mean(1), kind="stable").tolist():
        if (ahead_m[row] > NEAR_M).all():
            corners = np.stack([u[row], v[row]], 1).clip(-LARGEST_PX, LARGEST_PX).astype(np.int32)
            cv2.fillConvexPoly(picture, cv2.convexHull(corners), row + 1)
    return picture


def outline_px(actors: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """Area [N] in pixels of the rectangle round each box in the picture of ``camera`` (pose in ``map``), cut at the picture's edges;
    0 for a box that reaches behind the camera."""
    u, v, ahead_m = _corners_px(actors, camera)
    u, v = u.clip(0.0, camera.width), v.clip(0.0, camera.height)
    return np.where((ahead_m > NEAR_M).all(1), np.ptp(u, axis=1) * np.ptp(v, axis=1), 0.0)


def _corners_px(actors: np.ndarray, camera: CameraSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(column, row, metres before the camera), each [N, 8], of the corners of each box; a corner nearer than NEAR_M, or behind, is drawn at
    that distance."""
    size = np.stack([actors["length"], actors["width"], actors["height"]], 1).astype(float)
    corners = _CORNERS[None] * size[:, None]
    c, s = np.cos(actors["yaw"].astype(float))[:, None], np.sin(actors["yaw"].astype(float))[:, None]
    place = np.stack([actors["x"], actors["y"], actors["z"]], 1).astype(float)[:, None]
    points = np.stack([corners[..., 0] * c - corners[..., 1] * s, corners[..., 0] * s + corners[..., 1] * c, corners[..., 2]], -1) + place
    eye = np.array([camera.pose.x, camera.pose.y, camera.pose.z])
    seen = (points - eye) @ rotation_3d(camera.pose)
    ahead = np.maximum(seen[..., 0], NEAR_M)
    return (camera.width / 2 - camera.focal_px * seen[..., 1] / ahead, camera.height / 2 - camera.focal_px * seen[..., 2] / ahead,
            seen[..., 0])
