"""From hits to light: one pass over the pixels of an image, compiled."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.jit import kernel
from kd_planner_ros.world.render.surfaces import ground_light, actor_light, prim_light
from kd_planner_ros.world.render.light import dome_light
from kd_planner_ros.world.render.materials import M_SKIN, M_SHIRT, M_TROUSERS, M_HAIR, TAG_RIDER, TAG_SKY

FAR_M = 1000.0


@kernel
def camera_rays(view, origins, directions):
    """Fills ``origins`` and ``directions`` float32 [H * W, 3]; a direction's part along the optical axis is 1."""
    cx, cy = 0.5 * view.width, 0.5 * view.height
    rot, eye = view.rot, view.eye
    for j in range(view.height):
        pz = (cy - j - 0.5) / view.focal
        for i in range(view.width):
            py = (cx - i - 0.5) / view.focal
            p = j * view.width + i
            for k in range(3):
                origins[p, k] = eye[k]
                directions[p, k] = rot[k, 0] + rot[k, 1] * py + rot[k, 2] * pz


@kernel
def nearest(view, directions, prim, far, depth, surface):
    """Joins static hits with the ground plane: ``depth`` [H, W] and ``surface`` int32 [H, W] (-2 sky, -1 ground, else
    triangle)."""
    for j in range(view.height):
        for i in range(view.width):
            p = j * view.width + i
            t, s = FAR_M, -2
            if prim[p] >= 0 and far[p] < FAR_M:
                t, s = far[p], prim[p]
            dz = directions[p, 2]
            if dz < -1e-6:
                down = -view.eye[2] / dz
                if down > 0.0 and down < t:
                    t, s = down, -1
            depth[j, i] = t
            surface[j, i] = s


@kernel
def fogged(light, fog, keep):
    return light * keep + fog * (1.0 - keep)


@kernel
def to_byte(stage, light):
    index = int(light * 1023.75)
    return stage.tone[min(4095, max(0, index))]


@kernel
def pixel(stage, look, tick, view, dx, dy, dz, t, surface, caster, tri, s1, s2):
    """Linear light (r, g, b) that arrives along one ray."""
    inv = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
    nx, ny, nz = dx * inv, dy * inv, dz * inv
    if caster < 0 and surface == -2:
        return dome_light(stage, nx, ny, nz)
    x, y, z = view.eye[0] + t * dx, view.eye[1] + t * dy, view.eye[2] + t * dz
    foot = t / view.focal
    if caster >= 0:
        r, g, b = actor_light(stage, look, tick, caster, tri, s1, s2, x, y, z, nx, ny, nz)
    elif surface == -1:
        r, g, b = ground_light(stage, look, tick, x, y, foot, nx, ny, nz)
    else:
        r, g, b = prim_light(stage, look, tick, surface, x, y, z, foot, nx, ny, nz)
    keep = np.exp(-look.fog_beta * max(0.0, t / inv - look.fog_start))
    return fogged(r, look.fog_r, keep), fogged(g, look.fog_g, keep), fogged(b, look.fog_b, keep)


@kernel
def shade_image(stage, look, tick, view, depth, surface, hit, share, rgb):
    """Writes ``rgb`` uint8 [H, W, 3] from the hits."""
    cx, cy = 0.5 * view.width, 0.5 * view.height
    rot = view.rot
    for j in range(view.height):
        pz = (cy - j - 0.5) / view.focal
        for i in range(view.width):
            py = (cx - i - 0.5) / view.focal
            dx = rot[0, 0] + rot[0, 1] * py + rot[0, 2] * pz
            dy = rot[1, 0] + rot[1, 1] * py + rot[1, 2] * pz
            dz = rot[2, 0] + rot[2, 1] * py + rot[2, 2] * pz
            r, g, b = pixel(stage, look, tick, view, dx, dy, dz, depth[j, i], surface[j, i], hit[j, i, 0], hit[j, i, 1],
                            share[j, i, 0], share[j, i, 1])
            rgb[j, i, 0], rgb[j, i, 1], rgb[j, i, 2] = to_byte(stage, r), to_byte(stage, g), to_byte(stage, b)


@kernel
def label_image(stage, tick, view, depth, surface, hit, semantic, instance):
    """Writes ``semantic`` uint8 and ``instance`` int32 [H, W] from the same hits."""
    cx, cy = 0.5 * view.width, 0.5 * view.height
    rot = view.rot
    level = stage.levels[0]
    for j in range(view.height):
        pz = (cy - j - 0.5) / view.focal
        for i in range(view.width):
            caster, s = hit[j, i, 0], surface[j, i]
            instance[j, i] = 0
            if caster >= 0:
                semantic[j, i] = actor_tag(stage, tick, caster, hit[j, i, 1])
                instance[j, i] = int(tick.casters[caster, 10])
            elif s >= 0:
                semantic[j, i] = int(stage.prims[s, 13])
            elif s == -1:
                py, t = (cx - i - 0.5) / view.focal, depth[j, i]
                x = view.eye[0] + t * (rot[0, 0] + rot[0, 1] * py + rot[0, 2] * pz)
                y = view.eye[1] + t * (rot[1, 0] + rot[1, 1] * py + rot[1, 2] * pz)
                column = int(np.floor((x - stage.origin_x) / stage.cell_m))
                row = int(np.floor((y - stage.origin_y) / stage.cell_m))
                kind = 0
                if column >= 0 and row >= 0 and row < level.shape[0] and column < level.shape[1]:
                    kind = level[row, column, 3]
                semantic[j, i] = stage.ground_tags[kind]
            else:
                semantic[j, i] = TAG_SKY


@kernel
def actor_tag(stage, tick, caster, tri):
    """The body's tag, or Rider for the person on two wheels."""
    tag = int(tick.casters[caster, 11])
    made = stage.material[tri]
    if tag >= 18 and tag <= 19 and (made == M_SKIN or made == M_SHIRT or made == M_TROUSERS or made == M_HAIR):
        return TAG_RIDER
    return tag
