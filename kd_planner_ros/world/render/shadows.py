"""Shadows and head-light pools of moving actors, drawn onto a small raster of the ground around a camera."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.world.render import actors
from kd_planner_ros.world.render.sky import Look

MASK_CELLS, MASK_M = 640, 0.2
_AHEAD_M = 42.0
_SHIFT = 4


def actor_mask(rows: np.ndarray, extra: np.ndarray, look: Look, eye: np.ndarray, forward: np.ndarray,
               nominal: np.ndarray, nominal_extra: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Mask uint8 [M, M, 3] (sunlight 255 = all, contact shade 255 = none, head-light 0 = none) and its corner x, y.

    ``rows`` casters with full dimensions ``nominal`` [A, 3]; ``extra`` casters shade the ground although the camera
    does not see them (the ego for its own cameras).
    """
    ahead = forward[:2] / max(float(np.linalg.norm(forward[:2])), 1e-6)
    corner = eye[:2] + ahead * _AHEAD_M - 0.5 * MASK_CELLS * MASK_M
    sun, near, head = (np.full((MASK_CELLS, MASK_CELLS), value, np.uint8) for value in (255, 255, 0))
    slide = -np.array([look.sun_x, look.sun_y]) / look.sun_z
    for row, size in zip(np.concatenate([rows, extra]), np.concatenate([nominal, nominal_extra])):
        if np.abs(row[:2] - corner - 0.5 * MASK_CELLS * MASK_M).max() > 0.5 * MASK_CELLS * MASK_M + 30.0:
            continue
        box = _box(row, size)
        _polygon(near, box * 1.0, corner, 70)
        if look.night < 1.0:
            top = box + slide * min(float(size[2]) * 0.9, 12.0)
            hull = cv2.convexHull(np.concatenate([box, top]).astype(np.float32))[:, 0]
            _polygon(sun, hull, corner, 0)
        elif size[0] > 1.5 and len(rows):
            _polygon(head, _pool(row, size), corner, 110)
    if look.night >= 1.0:
        head = cv2.blur(head, (9, 9))
    return np.dstack([cv2.blur(sun, (3, 3)), cv2.blur(near, (5, 5)), head]), float(corner[0]), float(corner[1])


def _box(row: np.ndarray, size: np.ndarray) -> np.ndarray:
    c, s = float(row[actors.C_COS]), float(row[actors.C_SIN])
    half = 0.5 * size[:2] * 0.94
    local = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return local @ np.array([[c, s], [-s, c]]) + row[:2]


def _pool(row: np.ndarray, size: np.ndarray) -> np.ndarray:
    c, s = float(row[actors.C_COS]), float(row[actors.C_SIN])
    front = 0.5 * float(size[0])
    local = np.array([[front + 0.5, -0.9], [front + 15.0, -3.6], [front + 18.0, 0.0], [front + 15.0, 3.6], [front + 0.5, 0.9]])
    return local @ np.array([[c, s], [-s, c]]) + row[:2]


def _polygon(image: np.ndarray, outline: np.ndarray, corner: np.ndarray, value: int) -> None:
    cells = np.round(((outline - corner) / MASK_M - 0.5) * 2 ** _SHIFT).astype(np.int32)
    cv2.fillConvexPoly(image, cells, value, cv2.LINE_8, _SHIFT)
