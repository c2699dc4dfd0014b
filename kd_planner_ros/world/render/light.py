"""Light that reaches a point, and the sky: helpers of the shading kernels. ``air``, ``tex``: see stage.py."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import helper
from kd_planner_ros.world.render.sky import DOME
from kd_planner_ros.world.render.stage import (A_BAKED, A_BEAM, A_BEAM_COS, A_BEAM_SIN, A_BEAM_X, A_BEAM_Y, A_LOW,
                                               A_MASK_M, A_MASK_X, A_MASK_Y, A_NIGHT, A_ORIGIN_X, A_ORIGIN_Y, A_SKY,
                                               A_SUN, A_SUN_X, A_SUN_Y, A_SUN_Z, T_DOME)


@helper
def hash01(a, b, c):
    """A number in [0, 1) from three integers: the same on every machine."""
    h = (a * 0x9E3779B1) ^ (b * 0x85EBCA77) ^ (c * 0xC2B2AE3D)
    h &= 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    h = ((h ^ (h >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    h ^= h >> 15
    return (h >> 8) / 16777216.0


@helper
def tile(tex, first, x, y):
    """Noise of the tile that begins at ``first``, at tile coordinates (cells), nearest."""
    return tex[first + (((int(np.floor(y)) & 511) << 9) | (int(np.floor(x)) & 511))]


@helper
def dome_light(tex, nx, ny, nz):
    """Sky light (r, g, b) in a unit direction; below the horizon that of the horizon."""
    up = max(nz, 0.0)
    s = 1.0 / (abs(nx) + abs(ny) + up)
    px, py = nx * s, ny * s
    column = min(DOME - 1, max(0, int((px + py + 1.0) * (0.5 * DOME))))
    row = min(DOME - 1, max(0, int((px - py + 1.0) * (0.5 * DOME))))
    at = T_DOME + 3 * (row * DOME + column)
    return tex[at], tex[at + 1], tex[at + 2]


@helper
def baked_light(air, baked, x, y):
    """(share of sunlight, light of street lamps) on the ground at (x, y), bilinear; outside the town (1, 0)."""
    gx, gy = (x - air[A_ORIGIN_X]) / air[A_BAKED] - 0.5, (y - air[A_ORIGIN_Y]) / air[A_BAKED] - 0.5
    column, row = int(np.floor(gx)), int(np.floor(gy))
    if column < 0 or row < 0 or column >= baked.shape[1] - 1 or row >= baked.shape[0] - 1:
        return 1.0, 0.0
    fx, fy = gx - column, gy - row
    a, b, c, d = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    sun = (a * baked[row, column, 0] + b * baked[row, column + 1, 0] + c * baked[row + 1, column, 0]
           + d * baked[row + 1, column + 1, 0])
    return sun / 255.0, baked[row, column, 1] / 196.0


@helper
def mask_at(air, mask, x, y):
    """(sunlight, contact shade, head-light) of the moving actors on the ground at (x, y), each 0 to 1, bilinear."""
    gx, gy = (x - air[A_MASK_X]) / air[A_MASK_M] - 0.5, (y - air[A_MASK_Y]) / air[A_MASK_M] - 0.5
    size = mask.shape[0]
    i, j = int(np.floor(gx)), int(np.floor(gy))
    if i < 0 or j < 0 or i >= size - 1 or j >= size - 1:
        return 1.0, 1.0, 0.0
    fx, fy = gx - i, gy - j
    a, b, c, d = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    sun = a * mask[j, i, 0] + b * mask[j, i + 1, 0] + c * mask[j + 1, i, 0] + d * mask[j + 1, i + 1, 0]
    near = a * mask[j, i, 1] + b * mask[j, i + 1, 1] + c * mask[j + 1, i, 1] + d * mask[j + 1, i + 1, 1]
    return sun / 255.0, near / 255.0, mask[j, i, 2] / 255.0


@helper
def own_beam(air, x, y, z):
    """Light of the ego's head lamps at a point: a low beam to the front, bright to 25 m, gone at 60 m."""
    if air[A_BEAM] <= 0.0:
        return 0.0
    rx, ry = x - air[A_BEAM_X], y - air[A_BEAM_Y]
    ahead = rx * air[A_BEAM_COS] + ry * air[A_BEAM_SIN]
    aside = abs(ry * air[A_BEAM_COS] - rx * air[A_BEAM_SIN])
    if ahead < 0.5 or ahead > 60.0 or z > 0.8 + 0.10 * ahead:
        return 0.0
    width = 1.2 + 0.42 * ahead
    across = max(0.0, 1.0 - (aside / width) * (aside / width))
    return air[A_BEAM] * across * min(1.0, ahead / 4.0) * (1.0 - ahead / 60.0) / (1.0 + (ahead / 22.0) * (ahead / 22.0))


@helper
def lit(air, x, y, z, nx, ny, nz, sun, lamps, head):
    """Light (r, g, b) that falls on a surface with normal n: ``sun`` share of sunlight let through, ``lamps`` street
    light on the ground below, ``head`` other cars' head-light."""
    facing = max(0.0, nx * air[A_SUN_X] + ny * air[A_SUN_Y] + nz * air[A_SUN_Z]) * sun
    up = 0.5 + 0.5 * nz
    r = air[A_SUN] * facing + air[A_SKY] * up + air[A_LOW] * (1.0 - up)
    g = air[A_SUN + 1] * facing + air[A_SKY + 1] * up + air[A_LOW + 1] * (1.0 - up)
    b = air[A_SUN + 2] * facing + air[A_SKY + 2] * up + air[A_LOW + 2] * (1.0 - up)
    if air[A_NIGHT] > 0.0:
        share = 1.0 if z < 5.0 else max(0.0, 1.0 - (z - 5.0) / 4.0)
        glow = lamps * share * air[A_NIGHT] * (0.6 + 0.4 * abs(nz))
        own = own_beam(air, x, y, z) + head * air[A_NIGHT]
        r += 0.60 * glow + 0.95 * own
        g += 0.46 * glow + 0.92 * own
        b += 0.26 * glow + 0.80 * own
    return r, g, b
