"""A strip of pictures: camera, recorded labels and dense outputs side by side, a row a frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_planner_ros.core.files import whole_file
from kd_planner_ros.evaluation.dense_metrics import IGNORED
from kd_planner_ros.imaging.palette import colour_ids

_HEAD_PX = 16
_WIDTH_PX = 320
_UNKNOWN = (40, 40, 40)


def paint_depth(depth_m: np.ndarray, max_m: float) -> np.ndarray:
    """RGB uint8 [H, W, 3] of depth [H, W] on a logarithmic scale: near bright, ``max_m`` and farther dark, unknown grey."""
    import matplotlib

    known = np.isfinite(depth_m)
    near = np.clip(np.where(known, depth_m, max_m), 1.0, max_m)
    share = 1.0 - np.log(near) / np.log(max_m)
    rgb = (matplotlib.colormaps["magma"](share)[..., :3] * 255.0).round().astype(np.uint8)
    rgb[~known] = _UNKNOWN
    return rgb


def paint_classes(classes: np.ndarray, class_of_tag: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] of a network's class ids [H, W], each in the palette's colour of the first tag that it stands for."""
    tag_of_class = np.zeros(256, np.uint8)
    for tag in range(255, -1, -1):
        if class_of_tag[tag] != IGNORED:
            tag_of_class[class_of_tag[tag]] = tag
    rgb = colour_ids(tag_of_class[classes])
    rgb[classes == IGNORED] = _UNKNOWN
    return rgb


def write_strip(path: Path, rows: Sequence[Sequence[tuple[str, np.ndarray]]]) -> None:
    """Write a PNG to ``path``: each of ``rows`` holds (caption, RGB uint8 [H, W, 3]) panels of one frame."""
    from PIL import Image, ImageDraw

    sizes = [round(_WIDTH_PX * row[0][1].shape[0] / row[0][1].shape[1]) for row in rows]
    width = _WIDTH_PX * max(len(row) for row in rows)
    strip = Image.new("RGB", (width, sum(size + _HEAD_PX for size in sizes)), "white")
    pen, top = ImageDraw.Draw(strip), 0
    for row, size in zip(rows, sizes, strict=True):
        for column, (caption, rgb) in enumerate(row):
            pen.text((column * _WIDTH_PX + 4, top + 2), caption, fill="black")
            picture = Image.fromarray(np.ascontiguousarray(rgb)).resize((_WIDTH_PX, size), Image.Resampling.NEAREST)
            strip.paste(picture, (column * _WIDTH_PX, top + _HEAD_PX))
            pen.line([((column + 1) * _WIDTH_PX - 1, top), ((column + 1) * _WIDTH_PX - 1, top + size + _HEAD_PX)], fill="white", width=3)
        top += size + _HEAD_PX
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        strip.save(part, "PNG")
