"""Walls with windows: bays and storeys by the wall's own coordinates, each window with its own look."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import helper
from kd_planner_ros.world.render.light import dome_light, hash01, lit, tile
from kd_planner_ros.world.render.stage import A_NIGHT, A_SKY, T_CLOUD, T_GRAIN


@helper
def window_light(air, tex, seed, bay, storey, fv, nx, ny, nz, dx, dy, dz):
    """Light from one pane: mirrored sky by day, a lit room in some windows by night."""
    along = nx * dx + ny * dy + nz * dz
    mz = dz - 2.0 * along * nz
    dr, dg, db = dome_light(tex, dx - 2.0 * along * nx, dy - 2.0 * along * ny, abs(mz))
    mirror = 0.16 + 0.5 * (1.0 - min(1.0, -along)) * (1.0 - min(1.0, -along))
    luck = hash01(bay, storey, seed)
    room = 0.02 + 0.10 * hash01(storey, bay, seed + 7)
    if luck > 0.75 and fv > 0.5:  # a blind half down
        room += 0.22
    day = 1.0 - air[A_NIGHT]
    r, g, b = dr * mirror + room * air[A_SKY] * 1.4, dg * mirror + room * air[A_SKY + 1] * 1.4, db * mirror + room * air[A_SKY + 2] * 1.5
    if air[A_NIGHT] > 0.2 and luck < 0.34:
        warm = 0.35 + 0.65 * hash01(bay + 3, storey, seed)
        r, g, b = r + 0.75 * warm * (1.0 - day), g + 0.56 * warm * (1.0 - day), b + 0.30 * warm * (1.0 - day)
    return r, g, b


@helper
def facade_light(air, tex, row, lamps, x, y, z, foot, nx, ny, nz, dx, dy, dz):
    """Light from a wall; details melt into their mean where a pixel covers a third of a bay."""
    u = x * row[3] + y * row[4] - row[5]
    seed = int(row[8])
    storey_m = row[7]
    bay_f, storey_f = u / row[6], z / storey_m
    bay, storey = int(np.floor(bay_f)), int(np.floor(storey_f))
    fu, fv = bay_f - bay, storey_f - storey
    top = row[15]
    half = 0.22 + 0.08 * (seed % 4) if storey > 0 else 0.42
    low, high = (0.30 - 0.05 * (seed % 3), 0.82) if storey > 0 else (0.08, 0.80)
    inside = abs(fu - 0.5) < half and fv > low and fv < high and z < top - 0.9
    lr, lg, lb = lit(air, x, y, z, nx, ny, nz, 1.0, lamps, 0.0)
    grain = 0.72 + 0.36 * tile(tex, T_GRAIN, u * 20.0 + seed, z * 20.0) + 0.24 * tile(tex, T_CLOUD, u * 5.0 + seed, z * 5.0)
    if seed % 5 < 2:  # brick courses
        course = z * 6.0
        line = course - np.floor(course)
        shift = 0.5 if int(np.floor(course)) & 1 else 0.0
        joint = u * 2.6 + shift
        if (line < 0.14 or joint - np.floor(joint) < 0.07) and foot < 0.05:
            grain *= 1.18
    if fv < 0.05 or (fv > low - 0.05 and fv < low and abs(fu - 0.5) < half + 0.04):
        grain *= 0.78  # storey band and sills
    grain *= min(1.0, 0.62 + 0.16 * z)
    r, g, b = row[9] * lr * grain, row[10] * lg * grain, row[11] * lb * grain
    sharp = min(1.0, max(0.0, 1.6 - foot / (0.30 * row[6])))
    if not inside:
        if sharp >= 1.0:
            return r, g, b
        blend = 0.35 * (1.0 - sharp)
        return r * (1.0 - blend), g * (1.0 - blend), b * (1.0 - blend)
    wr, wg, wb = window_light(air, tex, seed, bay, storey, fv, nx, ny, nz, dx, dy, dz)
    if abs(abs(fu - 0.5) - half) < 0.03 or abs(fu - 0.5) < 0.012 or high - fv < 0.03:
        wr, wg, wb = 0.30 * lr, 0.30 * lg, 0.29 * lb  # frames
    return r + (wr - r) * sharp, g + (wg - g) * sharp, b + (wb - b) * sharp
