"""From hits to light: one pass over the pixels of an image, compiled. The arrays: see stage.py."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import helper, kernel
from kd_planner_ros.world.render.light import dome_light
from kd_planner_ros.world.render.materials import M_HAIR, M_SHIRT, M_SKIN, M_TROUSERS, TAG_RIDER, TAG_SKY
from kd_planner_ros.world.render.stage import A_BETA, A_CELL, A_FOG, A_FOG_START, A_ORIGIN_X, A_ORIGIN_Y
from kd_planner_ros.world.render.surfaces import actor_light, ground_light, prim_light


@kernel
def camera_rays(rot, focal, width, height, directions):
    """Fills ``directions`` float32 [H * W, 3]; a direction's part along the optical axis is 1."""
    for j in range(height):
        pz = (0.5 * height - j - 0.5) / focal
        for i in range(width):
            py = (0.5 * width - i - 0.5) / focal
            p = j * width + i
            for k in range(3):
                directions[p, k] = rot[k, 0] + rot[k, 1] * py + rot[k, 2] * pz


@helper
def to_byte(tone, light):
    return tone[min(4095, max(0, int(light * 1023.75)))]


@kernel
def shade_image(air, tex, classes, soil, levels, prims, baked, tone, mask, states, casters, normals, material, eye, focal,
                directions, depth, surface, hit, share, rgb):
    """Writes ``rgb`` uint8 [H, W, 3] from the hits."""
    height, width = depth.shape
    for j in range(height):
        for i in range(width):
            p = j * width + i
            dx, dy, dz, t = directions[p, 0], directions[p, 1], directions[p, 2], depth[j, i]
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            nx, ny, nz = dx / length, dy / length, dz / length
            caster, s, foot = hit[j, i, 0], surface[j, i], t / focal
            x, y, z = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            if caster >= 0:
                r, g, b = actor_light(air, tex, baked, mask, casters, normals, material, caster, hit[j, i, 1],
                                      share[j, i, 0], share[j, i, 1], x, y, z, nx, ny, nz)
            elif s == -1:
                r, g, b = ground_light(air, tex, classes, soil, levels, baked, mask, x, y, foot, nx, ny, nz)
            elif s >= 0:
                r, g, b = prim_light(air, tex, prims, baked, states, s, x, y, z, foot, nx, ny, nz)
            else:
                r, g, b = dome_light(tex, nx, ny, nz)
            if caster >= 0 or s >= -1:
                keep = np.exp(-air[A_BETA] * max(0.0, t * length - air[A_FOG_START]))
                r = r * keep + air[A_FOG] * (1.0 - keep)
                g = g * keep + air[A_FOG + 1] * (1.0 - keep)
                b = b * keep + air[A_FOG + 2] * (1.0 - keep)
            rgb[j, i, 0], rgb[j, i, 1], rgb[j, i, 2] = to_byte(tone, r), to_byte(tone, g), to_byte(tone, b)


@kernel
def label_image(air, classes, prims, ground_tags, casters, material, eye, directions, depth, surface, hit, semantic,
                instance):
    """Writes ``semantic`` uint8 and ``instance`` int32 [H, W] from the same hits."""
    height, width = depth.shape
    for j in range(height):
        for i in range(width):
            caster, s, p = hit[j, i, 0], surface[j, i], j * width + i
            instance[j, i] = 0
            if caster >= 0:
                semantic[j, i] = actor_tag(int(casters[caster, 11]), material[hit[j, i, 1]])
                instance[j, i] = int(casters[caster, 10])
            elif s >= 0:
                semantic[j, i] = int(prims[s, 13])
            elif s == -1:
                x, y = eye[0] + depth[j, i] * directions[p, 0], eye[1] + depth[j, i] * directions[p, 1]
                column = int(np.floor((x - air[A_ORIGIN_X]) / air[A_CELL]))
                row = int(np.floor((y - air[A_ORIGIN_Y]) / air[A_CELL]))
                inside = column >= 0 and row >= 0 and row < classes.shape[0] and column < classes.shape[1]
                semantic[j, i] = ground_tags[classes[row, column] if inside else 0]
            else:
                semantic[j, i] = TAG_SKY


@helper
def actor_tag(tag, made):
    """The body's tag, or Rider for the person on two wheels."""
    if tag >= 18 and tag <= 19 and (made == M_SKIN or made == M_SHIRT or made == M_TROUSERS or made == M_HAIR):
        return TAG_RIDER
    return tag
