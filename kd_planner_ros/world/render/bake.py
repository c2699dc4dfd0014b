"""What is worked out once for a town and a sun: shadows of what stands, and pools of light under street lamps."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.world.render.ground import Ground
from kd_planner_ros.world.render.sky import Look

LAMP_REACH_M = 16.0
_CHUNK = 1_000_000


def _size(ground: Ground, cell_m: float) -> tuple[int, int]:
    height, width = ground.classes.shape
    return int(np.ceil(height * ground.cell_m / cell_m)), int(np.ceil(width * ground.cell_m / cell_m))


def sun_raster(scene, ground: Ground, look: Look, cell_m: float) -> np.ndarray:
    """Share of sunlight on the ground, uint8 [h, w] (255 = all), by shadow rays against the static ``scene``."""
    height, width = _size(ground, cell_m)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([ground.origin[0] + (columns.ravel() + 0.5) * cell_m, ground.origin[1] + (rows.ravel() + 0.5) * cell_m,
                       np.full(height * width, 0.02)], 1).astype(np.float32)
    towards = np.array([look.sun_x, look.sun_y, look.sun_z], np.float32)
    open_sky = np.empty(len(points), np.uint8)
    for start in range(0, len(points), _CHUNK):
        piece = points[start:start + _CHUNK]
        met = scene.run(piece, np.tile(towards, (len(piece), 1)), query="OCCLUDED")
        open_sky[start:start + _CHUNK] = np.where(met == -1, 255, 0)
    return cv2.GaussianBlur(open_sky.reshape(height, width), (3, 3), 0)


def lamp_raster(lamps: np.ndarray, ground: Ground, cell_m: float) -> np.ndarray:
    """Light on the ground from lamps at [L, 2], uint8 [h, w], 196 right below one."""
    glow = np.zeros(_size(ground, cell_m), np.float32)
    reach = int(LAMP_REACH_M / cell_m)
    y, x = np.mgrid[-reach:reach + 1, -reach:reach + 1] * cell_m
    distance2 = x ** 2 + y ** 2
    pool = (6.4 ** 3 / (distance2 + 6.4 ** 2) ** 1.5) * np.clip(1.0 - distance2 / LAMP_REACH_M ** 2, 0.0, 1.0)
    for column, row in np.floor((lamps - ground.origin) / cell_m).astype(int):
        r0, r1 = max(0, row - reach), min(glow.shape[0], row + reach + 1)
        c0, c1 = max(0, column - reach), min(glow.shape[1], column + reach + 1)
        if r0 < r1 and c0 < c1:
            glow[r0:r1, c0:c1] += pool[r0 - row + reach:r1 - row + reach, c0 - column + reach:c1 - column + reach]
    return np.minimum(glow * 196.0, 255.0).astype(np.uint8)
