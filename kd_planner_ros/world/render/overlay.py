"""What lies between the lens and the scene: glow around lit signal lamps, falling rain."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import kernel
from kd_planner_ros.world.render.light import hash01
from kd_planner_ros.world.render.signals import LAMP_RADIUS_M, lamp_centres
from kd_planner_ros.world.render.stage import View

GLOW_RANGE_M = 120.0
_GLOW_RGB = np.array([[255, 46, 30], [255, 176, 40], [40, 255, 130]], np.float32)


def glow_lamps(heads: list, signals: np.ndarray, view: View, depth: np.ndarray, night: float, rgb: np.ndarray) -> None:
    """Adds a halo to ``rgb`` around every lit lamp the camera sees: small by day, wide at night."""
    for position, yaw, row in heads:
        offset = position - view.eye
        if abs(offset[0]) > GLOW_RANGE_M or abs(offset[1]) > GLOW_RANGE_M or row >= len(signals):
            continue
        state = int(signals["state"][row])
        facing = -(offset[0] * np.cos(yaw) + offset[1] * np.sin(yaw))
        if state > 2 or facing <= 0.0:
            continue
        local = view.rot.T @ (lamp_centres(position, yaw)[state] - view.eye)
        if local[0] < 1.0 or local[0] > GLOW_RANGE_M:
            continue
        u = 0.5 * view.width - view.focal * local[1] / local[0]
        v = 0.5 * view.height - view.focal * local[2] / local[0]
        column, line = int(np.floor(u)), int(np.floor(v))
        if not (0 <= column < view.width and 0 <= line < view.height) or depth[line, column] < local[0] - 0.6:
            continue
        radius = view.focal * LAMP_RADIUS_M / local[0]
        strength = (0.55 + 0.45 * night) * facing / max(float(np.linalg.norm(offset)), 1e-6)
        _halo(rgb, u, v, radius * (1.5 + 1.7 * night) + 1.0 + 1.2 * night, strength, _GLOW_RGB[state])


@kernel
def _halo(rgb, u, v, radius, strength, colour):
    height, width = rgb.shape[0], rgb.shape[1]
    reach = 2.2 * radius
    for j in range(max(0, int(v - reach)), min(height, int(v + reach) + 1)):
        for i in range(max(0, int(u - reach)), min(width, int(u + reach) + 1)):
            d2 = ((i + 0.5 - u) ** 2 + (j + 0.5 - v) ** 2) / (radius * radius)
            share = strength * np.exp(-1.6 * d2)
            for k in range(3):
                value = rgb[j, i, k] * (1.0 - 0.45 * share) + colour[k] * share
                rgb[j, i, k] = np.uint8(min(255.0, value))


@kernel
def rain_streaks(rgb, depth, rain, red, green, blue, seed):
    """Draws short, slanted, faint streaks; their places come from ``seed`` alone."""
    height, width = rgb.shape[0], rgb.shape[1]
    count = int(rain * width * height / 900.0)
    for k in range(count):
        x, y = hash01(k, 1, seed) * width, hash01(k, 2, seed) * height
        near = hash01(k, 3, seed)
        length = int((0.02 + 0.10 * near * near) * height) + 2
        slant = 0.12 + 0.10 * hash01(k, 4, seed)
        share = 0.08 + 0.16 * near
        for s in range(length):
            i, j = int(x + slant * s), int(y + s)
            if i < 0 or j < 0 or i >= width or j >= height or depth[j, i] < 2.0:
                continue
            for c in range(3):
                light = 255.0 * min(1.0, (red if c == 0 else green if c == 1 else blue) + 0.06) ** 0.45
                rgb[j, i, c] = np.uint8(rgb[j, i, c] * (1.0 - share) + light * share)
