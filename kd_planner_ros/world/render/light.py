"""Light that reaches a point, and the sky: helpers of the shading kernels."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import kernel


@kernel
def hash01(a, b, c):
    """A number in [0, 1) from three integers: the same on every machine."""
    h = (a * 0x9E3779B1) ^ (b * 0x85EBCA77) ^ (c * 0xC2B2AE3D)
    h &= 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    h = ((h ^ (h >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    h ^= h >> 15
    return (h >> 8) / 16777216.0


@kernel
def tile(noise, x, y):
    """Noise at tile coordinates (cells), nearest."""
    return noise[int(np.floor(y)) & 511, int(np.floor(x)) & 511]


@kernel
def dome_light(stage, nx, ny, nz):
    """Sky light (r, g, b) in a unit direction; below the horizon that of the horizon."""
    up = max(nz, 0.0)
    s = 1.0 / (abs(nx) + abs(ny) + up)
    px, py = nx * s, ny * s
    size = stage.dome.shape[0]
    column = min(size - 1, max(0, int((px + py + 1.0) * 0.5 * size)))
    row = min(size - 1, max(0, int((px - py + 1.0) * 0.5 * size)))
    texel = stage.dome[row, column]
    return texel[0], texel[1], texel[2]


@kernel
def baked_sun(stage, x, y):
    """Share of sunlight on the ground at (x, y): static shadows, bilinear."""
    gx, gy = (x - stage.origin_x) / stage.shade_m - 0.5, (y - stage.origin_y) / stage.shade_m - 0.5
    height, width = stage.shade.shape
    column, row = int(np.floor(gx)), int(np.floor(gy))
    if column < 0 or row < 0 or column >= width - 1 or row >= height - 1:
        return 1.0
    fx, fy = gx - column, gy - row
    low = stage.shade[row, column] * (1.0 - fx) + stage.shade[row, column + 1] * fx
    high = stage.shade[row + 1, column] * (1.0 - fx) + stage.shade[row + 1, column + 1] * fx
    return (low * (1.0 - fy) + high * fy) / 255.0


@kernel
def mask_at(tick, x, y):
    """(sunlight, contact shade, head-light) of the moving actors on the ground at (x, y), each 0 to 1, bilinear."""
    gx, gy = (x - tick.mask_x) / tick.mask_m - 0.5, (y - tick.mask_y) / tick.mask_m - 0.5
    size = tick.mask.shape[0]
    column, row = int(np.floor(gx)), int(np.floor(gy))
    if column < 0 or row < 0 or column >= size - 1 or row >= size - 1:
        return 1.0, 1.0, 0.0
    fx, fy = gx - column, gy - row
    a, b, c, d = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    m = tick.mask
    sun = a * m[row, column, 0] + b * m[row, column + 1, 0] + c * m[row + 1, column, 0] + d * m[row + 1, column + 1, 0]
    near = a * m[row, column, 1] + b * m[row, column + 1, 1] + c * m[row + 1, column, 1] + d * m[row + 1, column + 1, 1]
    head = a * m[row, column, 2] + b * m[row, column + 1, 2] + c * m[row + 1, column, 2] + d * m[row + 1, column + 1, 2]
    return sun / 255.0, near / 255.0, head / 255.0


@kernel
def lamp_glow(stage, x, y, z):
    """Light of street lamps at a point: that on the ground below, fading above the lamps' height."""
    column, row = int((x - stage.origin_x) / stage.glow_m), int((y - stage.origin_y) / stage.glow_m)
    if column < 0 or row < 0 or row >= stage.glow.shape[0] or column >= stage.glow.shape[1]:
        return 0.0
    return stage.glow[row, column] * (1.0 if z < 5.0 else max(0.0, 1.0 - (z - 5.0) / 4.0))


@kernel
def own_beam(tick, x, y, z):
    """Light of the ego's head lamps at a point: a low beam to the front, bright to 25 m, gone at 60 m."""
    if tick.beam <= 0.0:
        return 0.0
    rx, ry = x - tick.beam_x, y - tick.beam_y
    ahead, aside = rx * tick.beam_cos + ry * tick.beam_sin, abs(ry * tick.beam_cos - rx * tick.beam_sin)
    if ahead < 0.5 or ahead > 60.0 or z > 0.8 + 0.10 * ahead:
        return 0.0
    width = 1.2 + 0.42 * ahead
    across = max(0.0, 1.0 - (aside / width) ** 2)
    return tick.beam * across * min(1.0, ahead / 4.0) * (1.0 - ahead / 60.0) / (1.0 + (ahead / 22.0) ** 2)


@kernel
def lit(stage, look, tick, x, y, z, nx, ny, nz, sun, head):
    """Light (r, g, b) that falls on a surface with normal n, of which ``sun`` is the share of sunlight let through."""
    facing = max(0.0, nx * look.sun_x + ny * look.sun_y + nz * look.sun_z) * sun
    up = 0.5 + 0.5 * nz
    r = look.sun_r * facing + look.sky_r * up + look.low_r * (1.0 - up)
    g = look.sun_g * facing + look.sky_g * up + look.low_g * (1.0 - up)
    b = look.sun_b * facing + look.sky_b * up + look.low_b * (1.0 - up)
    if look.night > 0.0:
        lamps = lamp_glow(stage, x, y, z) * look.night * (0.6 + 0.4 * abs(nz))
        own = own_beam(tick, x, y, z) + head
        r += 0.60 * lamps + 0.95 * own
        g += 0.46 * lamps + 0.92 * own
        b += 0.26 * lamps + 0.80 * own
    return r, g, b
