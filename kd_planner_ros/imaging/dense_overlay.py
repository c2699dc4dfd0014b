"""Dense outputs in colours over their picture, to look at."""

from __future__ import annotations

import re
from functools import lru_cache

import cv2
import numpy as np

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.imaging.colormaps import TURBO
from kd_planner_ros.imaging.palette import TAGS
from kd_planner_ros.imaging.resize import resize_rgb

DEPTH_END_M = 80.0
"""Depth from which on everything has one colour."""
FLOW_END_M = 1.0
"""Motion that has the last colour."""
UNKNOWN_CLASS = 255
SHARE = 0.55
"""Share of the colours in the mixture."""


def overlay(picture: np.ndarray, output: DenseOutput, colormap: str = TURBO) -> np.ndarray:
    """RGB uint8 [H, W, 3] of the output's size: the output in colours mixed with ``picture`` (RGB uint8, any size). Where nothing
    is known (NaN depth), nothing is set (mask) or nothing is seen (id 0), the picture shows."""
    height, width = output.array.shape[:2]
    ground = resize_rgb(picture, height, width)
    colours, shown = paint(output, colormap)
    mixed = np.rint(SHARE * colours + (1.0 - SHARE) * ground).astype(np.uint8)
    return np.where(shown[..., None], mixed, ground)


def paint(output: DenseOutput, colormap: str = TURBO) -> tuple[np.ndarray, np.ndarray]:
    """RGB uint8 [H, W, 3] of an output, and bool [H, W]: where it says something.

    Args:
        colormap: one of ``COLORMAPS``, for depth (near is bright), flow and probabilities.
    """
    array = output.array
    if output.kind == "classes":
        return _class_colours(output.labels)[array], array != UNKNOWN_CLASS
    if output.kind == "ids":
        return _palette(array), array != 0
    if output.kind == "mask":
        return np.broadcast_to(np.array([230, 60, 40], np.uint8), (*array.shape, 3)), array.astype(bool)
    if output.kind == "flow":
        array, end = np.linalg.norm(array, axis=2), FLOW_END_M
    else:
        end = DEPTH_END_M if output.kind == "depth" else 1.0
    known = np.isfinite(array)
    levels = np.rint(255.0 * np.clip(np.where(known, array, 0.0) / end, 0.0, 1.0)).astype(np.uint8)
    near_bright = 255 - levels if output.kind == "depth" else levels
    if colormap == "gray":
        return np.repeat(near_bright[..., None], 3, axis=2), known
    table = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(near_bright, table), cv2.COLOR_BGR2RGB)), known


@lru_cache
def _class_colours(labels: tuple[str, ...]) -> np.ndarray:
    """RGB uint8 [256, 3] by class id: CARLA's colour of the first tag that a label names, else one of ``_palette``."""
    known = {name.lower(): colour for name, colour in TAGS}
    table = _palette(np.arange(256))
    for number, label in enumerate(labels):
        table[number] = known.get(re.sub(r"[\s_-]", "", label.split("+")[0]).lower(), table[number])
    return table


def _palette(ids: np.ndarray) -> np.ndarray:
    """One colour an id, RGB uint8 [..., 3] of ids [...]: equal ids have equal colours, neighbouring ids differ clearly."""
    mixed = (ids.astype(np.int64) * 2654435761) & 0xFFFFFFFF  # Knuth's multiplicative hash
    channels = [(mixed >> shift) & 0xFF for shift in (24, 16, 8)]
    return np.stack([64 + (channel * 3) // 4 for channel in channels], axis=-1).astype(np.uint8)
