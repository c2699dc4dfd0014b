"""Light that leaves a surface towards the camera: ground, buildings and street furniture, actors."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.scene import BRAKE_LIGHT, HEAD_LIGHT, INDICATOR_LEFT, INDICATOR_RIGHT
from kd_planner_ros.world.render.facade import facade_light
from kd_planner_ros.world.render.jit import helper
from kd_planner_ros.world.render.light import baked_light, dome_light, hash01, lit, mask_at, tile
from kd_planner_ros.world.render.materials import (G_DIRT, G_GRASS, M_BARK, M_BARRIER, M_BRAKE, M_CARGO,
                                                   M_FACADE, M_GLASS, M_HEADLIGHT, M_LAMP, M_LEAF, M_LEFT_LAMP, M_PAINT,
                                                   M_RIGHT_LAMP, M_SHIRT, M_SKIN, M_STOP_SIGN, M_STREET_LAMP,
                                                   M_TROUSERS)
from kd_planner_ros.world.render.stage import (A_CELL, A_NIGHT, A_ORIGIN_X, A_ORIGIN_Y, A_PUDDLES, A_SUN, A_SUN_X, A_SUN_Y,
                                               A_SUN_Z, A_WET, T_CLOUD, T_FIXED, T_GRAIN, T_GROUND, T_LINEAR)


@helper
def ground_colour(air, tex, classes, soil, levels, x, y, ox, oy, foot, major):
    """Albedo (r, g, b) and class at a ground point: up to four taps along the long side of the pixel's footprint,
    (ox, oy) its unit direction; beyond the raster, terrain."""
    width = max(foot, 0.25 * major)
    level, cell = 0, air[A_CELL]
    while cell * 1.5 < width and level < len(levels) - 1:
        level += 1
        cell *= 2.0
    first, rows, columns = levels[level, 0], levels[level, 1], levels[level, 2]
    taps = 1 if major < 1.6 * cell else (2 if major < 3.0 * cell else 4)
    r, g, b, kind = 0.0, 0.0, 0.0, 0
    for k in range(taps):
        shift = major * ((k + 0.5) / taps - 0.5)
        column = int(np.floor((x + ox * shift - air[A_ORIGIN_X]) / cell))
        row = int(np.floor((y + oy * shift - air[A_ORIGIN_Y]) / cell))
        if column < 0 or row < 0 or column >= columns or row >= rows:
            r, g, b = r + 0.095, g + 0.139, b + 0.038
            continue
        if level == 0:
            kind = classes[row, column]
            if foot < 0.5 * cell:
                return soft_ground(air, tex, classes, x, y, kind)
            at = T_GROUND + 3 * kind
            r, g, b = r + tex[at], g + tex[at + 1], b + tex[at + 2]
            continue
        texel = soil[first + row * columns + column]
        r += tex[T_LINEAR + (texel & 255)]
        g += tex[T_LINEAR + ((texel >> 8) & 255)]
        b += tex[T_LINEAR + ((texel >> 16) & 255)]
        kind = texel >> 24
    return r / taps, g / taps, b / taps, kind


@helper
def soft_ground(air, tex, classes, x, y, kind):
    """Albedo and class where a pixel is smaller than a cell: four cells, bilinear."""
    gx, gy = (x - air[A_ORIGIN_X]) / air[A_CELL] - 0.5, (y - air[A_ORIGIN_Y]) / air[A_CELL] - 0.5
    column, row = int(np.floor(gx)), int(np.floor(gy))
    fx, fy = gx - column, gy - row
    r, g, b = 0.0, 0.0, 0.0
    for k in range(4):
        i = min(classes.shape[1] - 1, max(0, column + (k & 1)))
        j = min(classes.shape[0] - 1, max(0, row + (k >> 1)))
        share = (fx if k & 1 else 1.0 - fx) * (fy if k >> 1 else 1.0 - fy)
        at = T_GROUND + 3 * classes[j, i]
        r, g, b = r + share * tex[at], g + share * tex[at + 1], b + share * tex[at + 2]
    return r, g, b, kind


@helper
def ground_texture(tex, x, y, foot, kind):
    """A factor about 1: coarse patches that are seen from afar, grain that fades where a pixel covers it."""
    coarse = tile(tex, T_CLOUD, x * 7.0, y * 7.0) - 0.5
    broad = tile(tex, T_CLOUD, x * 0.9 + 130.0, y * 0.9) - 0.5
    fine = (tile(tex, T_GRAIN, x * 42.0, y * 42.0) - 0.5) * min(1.0, max(0.0, 1.4 - foot * 14.0))
    if kind == G_GRASS or kind == G_DIRT:
        return max(0.15, 1.0 + 0.9 * coarse + 0.8 * broad + 1.1 * fine)
    return max(0.2, 1.0 + 0.45 * coarse + 0.35 * broad + 0.8 * fine)


@helper
def ground_light(air, tex, classes, soil, levels, baked, mask, x, y, foot, nx, ny, nz):
    """Light from the ground towards the camera; n is the unit direction of the ray."""
    flat = np.sqrt(nx * nx + ny * ny) + 1e-9
    major = foot * min(40.0, flat / max(-nz, 1e-3) + 1.0)
    r, g, b, kind = ground_colour(air, tex, classes, soil, levels, x, y, nx / flat, ny / flat, foot, major)
    grain = ground_texture(tex, x, y, foot * 0.5 + major * 0.25, kind)
    sun, near, head = mask_at(air, mask, x, y)
    still, lamps = baked_light(air, baked, x, y)
    lr, lg, lb = lit(air, x, y, 0.0, 0.0, 0.0, 1.0, min(sun, still), lamps, head)
    near *= grain
    paved = kind != G_GRASS and kind != G_DIRT
    if air[A_WET] > 0.02 and paved:
        pool = tile(tex, T_CLOUD, x * 3.1 + 77.0, y * 3.1) + 0.25 * tile(tex, T_CLOUD, x * 14.0, y * 14.0)
        puddle = min(1.0, max(0.0, (pool - 0.92 + 0.36 * air[A_PUDDLES]) * 9.0)) * min(1.0, air[A_PUDDLES] * 4.0)
        near *= 1.0 - 0.42 * air[A_WET] - 0.2 * puddle
        slant = (1.0 + nz) * (1.0 + nz)
        gloss = (0.02 + 0.60 * slant * slant * (1.0 + nz)) * air[A_WET] * (0.30 + 0.70 * puddle)
        rough = (tile(tex, T_GRAIN, x * 9.0, y * 9.0) - 0.5) * 0.10 * (1.0 - 0.7 * puddle)
        rise = 0.06 - nz if puddle < 0.5 else -nz
        dr, dg, db = dome_light(tex, nx + rough, ny + rough, rise)
        gloss *= min(1.0, 0.45 + 2.2 * rise)  # what stands around hides the low sky
        return (r * lr * near * (1.0 - gloss) + dr * gloss, g * lg * near * (1.0 - gloss) + dg * gloss,
                b * lb * near * (1.0 - gloss) + db * gloss)
    return r * lr * near, g * lg * near, b * lb * near


@helper
def prim_light(air, tex, prims, baked, states, index, x, y, z, foot, dx, dy, dz):
    """Light from a triangle of the static world."""
    row = prims[index]
    made = int(row[12])
    nx, ny, nz = row[0], row[1], row[2]
    if nx * dx + ny * dy + nz * dz > 0.0:
        nx, ny, nz = -nx, -ny, -nz
    if made == M_LAMP:
        return lens(row, states)
    if made == M_STREET_LAMP and air[A_NIGHT] > 0.3:
        return 3.5, 2.9, 1.9
    _, lamps = baked_light(air, baked, x, y)
    if made == M_FACADE:
        return facade_light(air, tex, row, lamps, x, y, z, foot, nx, ny, nz, dx, dy, dz)
    sun = 1.0
    r, g, b = row[9], row[10], row[11]
    if made == M_LEAF:
        leaf = tile(tex, T_GRAIN, (x + 0.7 * z) * 11.0, (y + 0.8 * z) * 11.0)
        clump = tile(tex, T_CLOUD, (x + 0.5 * z) * 14.0, (y - 0.6 * z) * 14.0)
        grain = (0.25 + 1.1 * leaf) * (0.35 + 1.2 * clump)
        sun = 0.45 + 0.75 * clump if z > row[15] - 0.6 else 0.25
    elif made == M_BARK:
        grain = 0.55 + 0.9 * tile(tex, T_GRAIN, (x + y) * 24.0, z * 6.0)
    elif made == M_STOP_SIGN:
        return stop_face(air, row, lamps, x, y, z, nx, ny, nz)
    else:
        grain = 0.82 + 0.36 * tile(tex, T_GRAIN, (x * 0.9 + y) * 16.0, (z + 0.3 * x) * 16.0)
    lr, lg, lb = lit(air, x, y, z, nx, ny, nz, sun, lamps, 0.0)
    return r * lr * grain, g * lg * grain, b * lb * grain


@helper
def lens(row, states):
    """A signal lens: lit where its state is the head's, dark glass else."""
    state, lamp = states[int(row[14])], int(row[15])
    if state != lamp:
        dark = 0.012
        return dark * (2.0 if lamp != 2 else 0.8), dark * (2.0 if lamp != 0 else 0.7), dark * 0.7
    if lamp == 0:
        return 3.6, 0.10, 0.06
    if lamp == 1:
        return 3.4, 1.9, 0.05
    return 0.08, 3.0, 1.1


@helper
def stop_face(air, row, lamps, x, y, z, nx, ny, nz):
    """Red octagon with a white rim and a white bar of letters."""
    u, v = (x * row[3] + y * row[4]) - row[5], z - row[15]
    radius = np.sqrt(u * u + v * v)
    white = radius > 0.34 or (abs(v) < 0.10 and abs(u) < 0.27 and hash01(int((u + 1.0) * 22.0), int((v + 1.0) * 14.0), 5) > 0.35)
    r, g, b = (0.75, 0.75, 0.75) if white else (row[9], row[10], row[11])
    lr, lg, lb = lit(air, x, y, z, nx, ny, nz, 1.0, lamps, 0.0)
    return r * lr, g * lg, b * lb


@helper
def actor_colour(tex, row, made, lx, ly, lz):
    """Albedo of an actor's surface at the local point l, before light."""
    if made == M_PAINT:
        return row[12], row[13], row[14]
    if made == M_SHIRT:
        stripe = 1.0 if int(row[22]) % 3 else (1.25 if int(lz * 14.0) & 1 else 0.75)
        return row[15] * stripe, row[16] * stripe, row[17] * stripe
    if made == M_TROUSERS:
        return row[18] * 0.6, row[19] * 0.6, row[20] * 0.6
    if made == M_SKIN:
        tone = 0.25 + 0.75 * hash01(int(row[22]), 3, 9)
        return 0.70 * tone, 0.47 * tone * tone ** 0.3, 0.34 * tone
    if made == M_CARGO:
        band = abs(lz - 2.0) < 0.35
        rib = 0.93 if int((lx + 20.0) * 3.3) & 1 else 1.0
        return (row[15] * rib, row[16] * rib, row[17] * rib) if band else (0.62 * rib, 0.62 * rib, 0.60 * rib)
    if made == M_BARRIER and int((lx + ly + lz + 20.0) * 3.0) & 1:
        return 0.7, 0.7, 0.7
    return tex[T_FIXED + 3 * made], tex[T_FIXED + 3 * made + 1], tex[T_FIXED + 3 * made + 2]


@helper
def emitted(row, made, night):
    """Light (r, g, b, on) of a vehicle's lamp; on is 0 for what does not shine."""
    lights = int(row[21])
    if made == M_BRAKE:
        if lights & BRAKE_LIGHT:
            return 3.4, 0.12, 0.08, 1.0
        if lights & HEAD_LIGHT or night > 0.5:
            return 0.85, 0.03, 0.02, 1.0
    elif made == M_HEADLIGHT:
        if lights & HEAD_LIGHT or night > 0.5:
            return 3.8, 3.6, 3.1, 1.0
    elif (made == M_LEFT_LAMP and lights & INDICATOR_LEFT) or (made == M_RIGHT_LAMP and lights & INDICATOR_RIGHT):
        return 3.6, 1.5, 0.05, 1.0
    return 0.0, 0.0, 0.0, 0.0


@helper
def actor_light(air, tex, baked, mask, casters, normals, material, caster, tri, s1, s2, x, y, z, dx, dy, dz):
    """Light from an actor's surface; d is the unit direction of the ray."""
    row = casters[caster]
    made = int(material[tri])
    er, eg, eb, on = emitted(row, made, air[A_NIGHT])
    if on > 0.0:
        return er, eg, eb
    n, s0 = normals[tri], 1.0 - s1 - s2
    ax, ay = n[0, 0] * s0 + n[1, 0] * s1 + n[2, 0] * s2, n[0, 1] * s0 + n[1, 1] * s1 + n[2, 1] * s2
    nz = n[0, 2] * s0 + n[1, 2] * s1 + n[2, 2] * s2
    nx, ny = ax * row[3] - ay * row[4], ax * row[4] + ay * row[3]
    wx, wy, lz = x - row[0], y - row[1], z - row[2]
    lx, ly = wx * row[3] + wy * row[4], wy * row[3] - wx * row[4]
    r, g, b = actor_colour(tex, row, made, lx, ly, lz)
    grain = 0.90 + 0.20 * tile(tex, T_GRAIN, (lx + 0.4 * ly) * 30.0 + row[22], (lz + 0.4 * ly) * 30.0)
    sun, lamps = baked_light(air, baked, row[0], row[1])
    _, _, head = mask_at(air, mask, x, y)
    lr, lg, lb = lit(air, x, y, z, nx, ny, nz, sun, lamps, head if lz < 1.2 else 0.0)
    low = min(1.0, 0.45 + 0.8 * lz)
    r, g, b = r * lr * grain * low, g * lg * grain * low, b * lb * grain * low
    if made != M_PAINT and made != M_GLASS:
        return r, g, b
    return glossy(air, tex, made, r, g, b, sun, nx, ny, nz, dx, dy, dz)


@helper
def glossy(air, tex, made, r, g, b, sun, nx, ny, nz, dx, dy, dz):
    """Adds the mirror image of the sky and the sun's highlight to paint or glass."""
    along = nx * dx + ny * dy + nz * dz
    mx, my, mz = dx - 2.0 * along * nx, dy - 2.0 * along * ny, dz - 2.0 * along * nz
    base = 0.04 if made == M_PAINT else 0.12
    graze = 1.0 - min(1.0, -along if along < 0.0 else 0.0)
    graze *= graze
    mirror = base + (0.55 - base) * graze * graze
    dr, dg, db = dome_light(tex, mx, my, mz)
    if mz < 0.0:
        dr, dg, db = 0.25 * dr, 0.25 * dg, 0.25 * db
    shine = max(0.0, mx * air[A_SUN_X] + my * air[A_SUN_Y] + mz * air[A_SUN_Z]) ** 60 * 1.2 * sun
    return (r * (1.0 - mirror) + dr * mirror + air[A_SUN] * shine, g * (1.0 - mirror) + dg * mirror + air[A_SUN + 1] * shine,
            b * (1.0 - mirror) + db * mirror + air[A_SUN + 2] * shine)
