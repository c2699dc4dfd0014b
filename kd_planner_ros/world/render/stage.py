"""The flat arrays that travel into compiled kernels. Few and one-dimensional: a kernel's call copies every field of
every array it is given, and these calls happen for each pixel.

``air`` float64 [AIR_SIZE]: a weather's Look, then places and scales (A_*).
``tex`` float32: noise tiles and the sky dome, then small tables (T_*).
``classes`` uint8 [H, W]: the ground's class at its finest; ``soil`` int32: the coarser levels of its colour pyramid, one
after the other: red, green, blue, class from the low byte up; ``levels`` int64 [LEVELS, 3]: first cell in ``soil``, rows,
columns of each, level 0 being ``classes``.
``prims`` float32 [T, PART_COLUMNS]; ``baked`` uint8 [h, w, 2]: sunlight and street light on the ground.
``mask`` uint8 [M, M, 3]: sunlight, contact shade and head-light of moving actors around the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render.sky import DOME

(A_SUN_X, A_SUN_Y, A_SUN_Z, A_SUN, _, _, A_SKY, _, _, A_LOW, _, _, A_FOG, _, _, A_BETA, A_FOG_START, A_WET, A_PUDDLES,
 A_NIGHT, A_RAIN, A_ORIGIN_X, A_ORIGIN_Y, A_CELL, A_BAKED, A_MASK_X, A_MASK_Y, A_MASK_M, A_BEAM, A_BEAM_X, A_BEAM_Y,
 A_BEAM_COS, A_BEAM_SIN) = range(33)
AIR_SIZE = 33

TILE = 512
T_GRAIN, T_CLOUD, T_DOME = 0, TILE * TILE, 2 * TILE * TILE
T_LINEAR = T_DOME + 3 * DOME * DOME
T_FIXED = T_LINEAR + 256
T_GROUND = T_FIXED + 3 * 32


class Stage(NamedTuple):
    """The static world in one weather; see the module for the arrays. ``tone`` uint8 [4096]: light to display bytes."""

    air: np.ndarray
    tex: np.ndarray
    classes: np.ndarray
    soil: np.ndarray
    levels: np.ndarray
    prims: np.ndarray
    baked: np.ndarray
    tone: np.ndarray


def pack_soil(classes: np.ndarray, pyramid: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``soil`` and ``levels`` from the ground's classes and its coarser colour-and-class images uint8 [H, W, 4]."""
    firsts = np.concatenate([[0], np.cumsum([image.shape[0] * image.shape[1] for image in pyramid])[:-1]])
    soil = np.concatenate([np.ascontiguousarray(image).view(np.int32).ravel() for image in pyramid])
    return soil, np.array([[0, *classes.shape], *([f, *i.shape[:2]] for f, i in zip(firsts, pyramid, strict=True))], np.int64)


def pack_textures(grain: np.ndarray, cloud: np.ndarray, dome: np.ndarray) -> np.ndarray:
    """``tex`` from the two noise tiles and a sky dome."""
    fixed = np.zeros((32, 3), np.float32)
    for material, rgb in mat.FIXED_RGB.items():
        fixed[material] = mat.linear(rgb)
    return np.concatenate([grain.ravel(), cloud.ravel(), dome.ravel(), mat.linear(np.arange(256)), fixed.ravel(),
                           mat.linear(mat.GROUND_RGB).ravel()]
                          ).astype(np.float32)


class View(NamedTuple):
    """A pinhole camera: ``rot`` [3, 3] turns camera axes (x forward, y left, z up) to ``map``; ``eye`` [3]."""

    rot: np.ndarray
    eye: np.ndarray
    focal: float
    width: int
    height: int
