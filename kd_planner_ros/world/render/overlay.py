"""What lies between the lens and the scene: glow around lit signal lamps, falling rain."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.scene import BRAKE_LIGHT
from kd_planner_ros.world.render.jit import helper, kernel
from kd_planner_ros.world.render.light import hash01
from kd_planner_ros.world.render.signals import LAMP_RADIUS_M, lamp_centres

GLOW_RANGE_M = 120.0
GLOW_RGB = np.array([[255, 46, 30], [255, 176, 40], [40, 255, 130], [255, 244, 220], [255, 40, 28]], np.float32)


class Lamps:
    """Where every signal lamp hangs: ``centres`` [H, 3 states, 3], ``yaws`` [H], ``rows`` int64 [H] of the signal table."""

    def __init__(self, heads: list):
        self.centres = np.array([lamp_centres(position, yaw) for position, yaw, _ in heads]).reshape(-1, 3, 3)
        self.yaws = np.array([yaw for _, yaw, _ in heads], np.float64)
        self.rows = np.array([row for _, _, row in heads], np.int64)


@kernel
def glow_lamps(centres, yaws, rows, states, rot, eye, focal, depth, surface, hit, night, wet, colours, rgb):
    """Adds a halo to ``rgb`` around every lit signal lamp the camera sees, small by day and wide at night, and on a wet
    road its mirrored streak."""
    for h in range(len(rows)):
        state = states[rows[h]] if rows[h] < len(states) else 3
        if state > 2:
            continue
        x, y, z = centres[h, state, 0], centres[h, state, 1], centres[h, state, 2]
        ox, oy, oz = x - eye[0], y - eye[1], z - eye[2]
        facing = -(ox * np.cos(yaws[h]) + oy * np.sin(yaws[h])) / np.sqrt(ox * ox + oy * oy + oz * oz + 1e-9)
        if facing > 0.0 and ox * ox + oy * oy < GLOW_RANGE_M * GLOW_RANGE_M:
            _shine(x, y, z, LAMP_RADIUS_M * (1.5 + 1.7 * night), (0.55 + 0.45 * night) * facing, 1.0 + 1.2 * night, wet, rot, eye,
                   focal, depth, surface, hit, colours, state, rgb)


@kernel
def glow_vehicles(casters, rot, eye, focal, depth, surface, hit, night, wet, colours, rgb):
    """The same around head lamps, and around brake lamps that are lit, of every vehicle at night."""
    for a in range(len(casters)):
        row = casters[a]
        if row[11] < 14 or row[11] > 18 or row[24] < 0.5:
            continue
        ox, oy = row[0] - eye[0], row[1] - eye[1]
        if ox * ox + oy * oy > GLOW_RANGE_M * GLOW_RANGE_M:
            continue
        along = -(ox * row[3] + oy * row[4]) / np.sqrt(ox * ox + oy * oy + 1e-9)  # 1: it comes towards the camera
        colour = 3 if along > 0.0 else 4
        strength = 0.9 * along if along > 0.0 else (-0.6 * along if int(row[21]) & BRAKE_LIGHT else -0.2 * along)
        reach = row[24] + 0.03 if along > 0.0 else -row[24] - 0.03
        for side in range(-1, 2, 2):
            aside = side * max(0.0, row[25] - 0.3)
            x, y = row[0] + reach * row[3] - aside * row[4], row[1] + reach * row[4] + aside * row[3]
            _shine(x, y, row[2] + 0.75, 0.30, strength * night, 1.2, wet, rot, eye, focal, depth, surface, hit, colours, colour, rgb)


@helper
def _shine(x, y, z, size, strength, extra, wet, rot, eye, focal, depth, surface, hit, colours, colour, rgb):
    """Halo of a lamp at (x, y, z) where nothing hides it, and its image in the wet ground."""
    height, width = depth.shape
    ox, oy = x - eye[0], y - eye[1]
    for image in range(2):
        oz = (z if image == 0 else -z) - eye[2]
        ahead = rot[0, 0] * ox + rot[1, 0] * oy + rot[2, 0] * oz
        if ahead < 1.0 or (image == 1 and wet < 0.05):
            continue
        u = 0.5 * width - focal * (rot[0, 1] * ox + rot[1, 1] * oy + rot[2, 1] * oz) / ahead
        v = 0.5 * height - focal * (rot[0, 2] * ox + rot[1, 2] * oy + rot[2, 2] * oz) / ahead
        i, j = int(np.floor(u)), int(np.floor(v))
        radius = focal * size / ahead + extra
        if image == 0:
            if i < 0 or j < 0 or i >= width or j >= height or depth[j, i] < ahead - 0.6:
                continue
            _halo(rgb, u, v, radius, radius, strength, surface, hit, False, colours, colour)
        else:
            _halo(rgb, u, v, 0.8 * radius, 3.0 * radius + 0.12 * focal / np.sqrt(ahead), 0.55 * strength * wet, surface, hit, True,
                  colours, colour)


@helper
def _halo(rgb, u, v, across, upright, strength, surface, hit, on_ground, colours, colour):
    height, width = rgb.shape[0], rgb.shape[1]
    for j in range(max(0, int(v - 2.2 * upright)), min(height, int(v + 2.2 * upright) + 1)):
        for i in range(max(0, int(u - 2.2 * across)), min(width, int(u + 2.2 * across) + 1)):
            if on_ground and (surface[j, i] != -1 or hit[j, i, 0] >= 0):
                continue
            du, dv = (i + 0.5 - u) / across, (j + 0.5 - v) / upright
            share = strength * np.exp(-1.6 * (du * du + dv * dv))
            for k in range(3):
                value = rgb[j, i, k] * (1.0 - 0.45 * share) + colours[colour, k] * share
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
