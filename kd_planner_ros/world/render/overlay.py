"""What lies between the lens and the scene: glow around lit signal lamps, falling rain."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import helper, kernel
from kd_planner_ros.world.render.light import hash01
from kd_planner_ros.world.render.signals import LAMP_RADIUS_M, lamp_centres

GLOW_RANGE_M = 120.0
GLOW_RGB = np.array([[255, 46, 30], [255, 176, 40], [40, 255, 130]], np.float32)


class Lamps:
    """Where every signal lamp hangs: ``centres`` [H, 3 states, 3], ``yaws`` [H], ``rows`` int64 [H] of the signal table."""

    def __init__(self, heads: list):
        self.centres = np.array([lamp_centres(position, yaw) for position, yaw, _ in heads]).reshape(-1, 3, 3)
        self.yaws = np.array([yaw for _, yaw, _ in heads], np.float64)
        self.rows = np.array([row for _, _, row in heads], np.int64)


@kernel
def glow_lamps(centres, yaws, rows, states, rot, eye, focal, depth, night, colours, rgb):
    """Adds a halo to ``rgb`` around every lit lamp the camera sees: small by day, wide at night."""
    height, width = depth.shape
    for h in range(len(rows)):
        state = states[rows[h]] if rows[h] < len(states) else 3
        if state > 2:
            continue
        ox, oy, oz = centres[h, state, 0] - eye[0], centres[h, state, 1] - eye[1], centres[h, state, 2] - eye[2]
        facing = -(ox * np.cos(yaws[h]) + oy * np.sin(yaws[h]))
        x = rot[0, 0] * ox + rot[1, 0] * oy + rot[2, 0] * oz
        if facing <= 0.0 or x < 1.0 or x > GLOW_RANGE_M:
            continue
        u = 0.5 * width - focal * (rot[0, 1] * ox + rot[1, 1] * oy + rot[2, 1] * oz) / x
        v = 0.5 * height - focal * (rot[0, 2] * ox + rot[1, 2] * oy + rot[2, 2] * oz) / x
        i, j = int(np.floor(u)), int(np.floor(v))
        if i < 0 or j < 0 or i >= width or j >= height or depth[j, i] < x - 0.6:
            continue
        strength = (0.55 + 0.45 * night) * facing / np.sqrt(ox * ox + oy * oy + oz * oz)
        _halo(rgb, u, v, focal * LAMP_RADIUS_M / x * (1.5 + 1.7 * night) + 1.0 + 1.2 * night, strength, colours, state)


@helper
def _halo(rgb, u, v, radius, strength, colours, state):
    height, width = rgb.shape[0], rgb.shape[1]
    reach = 2.2 * radius
    for j in range(max(0, int(v - reach)), min(height, int(v + reach) + 1)):
        for i in range(max(0, int(u - reach)), min(width, int(u + reach) + 1)):
            d2 = ((i + 0.5 - u) ** 2 + (j + 0.5 - v) ** 2) / (radius * radius)
            share = strength * np.exp(-1.6 * d2)
            for k in range(3):
                value = rgb[j, i, k] * (1.0 - 0.45 * share) + colours[state, k] * share
                rgb[j, i, k] = int(min(255.0, value))


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
                rgb[j, i, c] = int(rgb[j, i, c] * (1.0 - share) + light * share)
