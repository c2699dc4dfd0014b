"""Shadows and head-light pools of moving actors, drawn onto a small raster of the ground around a camera."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.world.render import actors
from kd_planner_ros.world.render.sky import Look

MASK_CELLS, MASK_M = 560, 0.2
_AHEAD_M = 42.0
_SHIFT = 4
_CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
_POOL = np.array([[0.5, -0.9], [15.0, -3.6], [18.0, 0.0], [15.0, 3.6], [0.5, 0.9]])  # light before a car, from its front


def actor_mask(rows: np.ndarray, sizes: np.ndarray, look: Look, eye: np.ndarray, forward: np.ndarray
               ) -> tuple[np.ndarray, float, float]:
    """Mask uint8 [M, M, 3] (sunlight 255 = all, contact shade 255 = none, head-light 0 = none) and its corner x, y.

    ``rows`` casters, the ego last, with full dimensions ``sizes`` [A, 3]. The ego shades the ground for its own
    cameras too; its own head-light is not in the mask.
    """
    ahead = forward[:2] / max(float(np.linalg.norm(forward[:2])), 1e-6)
    middle = eye[:2] + ahead * _AHEAD_M
    corner = middle - 0.5 * MASK_CELLS * MASK_M
    sun, near, head = (np.full((MASK_CELLS, MASK_CELLS), value, np.uint8) for value in (255, 255, 0))
    close = np.flatnonzero(np.abs(rows[:, :2] - middle).max(1) < 0.5 * MASK_CELLS * MASK_M + 25.0)
    boxes = _turned(rows[close], _CORNERS[None] * (0.47 * sizes[close, None, :2]))
    slide = -np.array([look.sun_x, look.sun_y]) / look.sun_z
    tops = boxes + (slide * np.minimum(0.9 * sizes[close, 2:3], 12.0))[:, None]
    feet, shadows = _cells(boxes, corner), _cells(np.concatenate([boxes, tops], axis=1), corner)
    for k, index in enumerate(close):
        cv2.fillConvexPoly(near, feet[k], 70, cv2.LINE_8, _SHIFT)
        if look.night < 1.0:
            cv2.fillConvexPoly(sun, cv2.convexHull(shadows[k]), 0, cv2.LINE_8, _SHIFT)
        elif sizes[index, 0] > 1.5 and index < len(rows) - 1:
            pool = _turned(rows[index:index + 1], (_POOL + np.array([0.5 * sizes[index, 0], 0.0]))[None])
            cv2.fillConvexPoly(head, _cells(pool, corner)[0], 110, cv2.LINE_8, _SHIFT)
    if look.night >= 1.0:
        head = cv2.blur(head, (9, 9))
    else:
        sun = cv2.blur(sun, (3, 3))
    return cv2.merge([sun, cv2.blur(near, (5, 5)), head]), float(corner[0]), float(corner[1])


def _turned(rows: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Points [A, K, 2] of each caster's own frame in ``map``."""
    c, s = rows[:, None, actors.C_COS], rows[:, None, actors.C_SIN]
    return np.stack([rows[:, None, 0] + c * local[..., 0] - s * local[..., 1],
                     rows[:, None, 1] + s * local[..., 0] + c * local[..., 1]], -1)


def _cells(points: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Map points [..., 2] as cv2 coordinates with _SHIFT fractional bits."""
    return np.round(((points - corner) / MASK_M - 0.5) * 2 ** _SHIFT).astype(np.int32)
