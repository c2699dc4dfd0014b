"""The records that travel into compiled kernels: everything static, everything of one tick, one camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Stage(NamedTuple):
    """Static world and weather.

    ``levels``: colour pyramid, each uint8 [H, W, 4]; ``prims`` float32 [T, PART_COLUMNS]; ``shade`` uint8 [h, w]:
    share of sunlight at ``shade_m`` a cell; ``glow`` float32 [h, w]: light of street lamps at ``glow_m`` a cell;
    ``dome`` float32 [D, D, 3]; ``grain`` and ``cloud`` noise tiles float32 [512, 512]; ``to_linear`` float32 [256];
    ``tone`` uint8 [4096]; ``fixed`` float32 [materials, 3]; ``ground_tags`` uint8 [classes].
    """

    levels: tuple
    origin_x: float
    origin_y: float
    cell_m: float
    prims: np.ndarray
    shade: np.ndarray
    shade_m: float
    glow: np.ndarray
    glow_m: float
    dome: np.ndarray
    grain: np.ndarray
    cloud: np.ndarray
    to_linear: np.ndarray
    tone: np.ndarray
    fixed: np.ndarray
    ground_tags: np.ndarray
    corners: np.ndarray
    normals: np.ndarray
    material: np.ndarray


class Tick(NamedTuple):
    """One instant: ``casters`` float32 [A, CASTER_COLUMNS]; ``lamps`` uint8 [S] signal states; ``mask`` uint8
    [M, M, 3] (sunlight, contact shade, head-light) whose cell (0, 0) begins at ``mask_x``, ``mask_y``; the ego's head
    lamps at ``beam_*`` with ``beam`` their strength; ``seed`` drives rain."""

    casters: np.ndarray
    lamps: np.ndarray
    mask: np.ndarray
    mask_x: float
    mask_y: float
    mask_m: float
    beam: float
    beam_x: float
    beam_y: float
    beam_cos: float
    beam_sin: float
    seed: int


class View(NamedTuple):
    """A pinhole camera: ``rot`` [3, 3] turns camera axes (x forward, y left, z up) to ``map``; ``eye`` [3]."""

    rot: np.ndarray
    eye: np.ndarray
    focal: float
    width: int
    height: int
