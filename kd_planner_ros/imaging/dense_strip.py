"""The outputs of a perceiver in the order of the unified encoder's Figure 3: node, report, ``perceive`` and ``explain`` draw them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kd_planner_ros.core.files import whole_file
from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.imaging.dense_overlay import DEPTH_END_M, FLOW_END_M, paint
from kd_planner_ros.imaging.resize import resize_rgb

ORDER = ("panoptic", "instances", "classes", "depth", "motion", "independent_flow", "flow")
UNKNOWN = (40, 40, 40)
KEY = ("Dark grey: unknown, nothing there, or outside the part of the picture that the network reads; motion and flow need a picture just "
       f"before. Depth runs from red, near, to blue, {DEPTH_END_M:g} m and more; motion from blue, standing, to red, moving; flow from "
       f"blue, none, to red, {FLOW_END_M:g} m and more from picture to picture. Classes have CARLA's colours, road users a colour each.")
"""What the colours of a strip mean."""
Panel = tuple[str, np.ndarray]
"""Caption and RGB uint8 [H, W, 3]."""
_HEAD_PX = 16
_WIDTH_PX = 256


def strip_panels(picture: np.ndarray, outputs: Mapping[str, DenseOutput]) -> list[tuple[str, np.ndarray]]:
    """(caption, RGB uint8 [H, W, 3]) of the picture and of each output, those of ``ORDER`` first; masks are left out. Where nothing is
    known it is grey."""
    names = [name for name in ORDER if name in outputs]
    names += [name for name, output in outputs.items() if name not in ORDER and output.kind != "mask"]
    size = next(iter(outputs.values())).array.shape[:2] if outputs else picture.shape[:2]
    return [("input", resize_rgb(picture, *size)), *((name.replace("_", " "), painted(outputs[name])) for name in names)]


def painted(output: DenseOutput) -> np.ndarray:
    """RGB uint8 [H, W, 3] of ``output``, grey where nothing is known."""
    colours, known = paint(output)
    return np.where(known[..., None], colours, np.array(UNKNOWN, np.uint8))


def write_strip(path: Path, rows: Sequence[Sequence[Panel]]) -> None:
    """Write a PNG to ``path``: each of ``rows`` holds (caption, RGB uint8 [H, W, 3]) panels."""
    from PIL import Image, ImageDraw

    sizes = [round(_WIDTH_PX * row[0][1].shape[0] / row[0][1].shape[1]) for row in rows]
    width = _WIDTH_PX * max(len(row) for row in rows)
    strip = Image.new("RGB", (width, sum(size + _HEAD_PX for size in sizes)), "white")
    pen, top = ImageDraw.Draw(strip), 0
    for row, size in zip(rows, sizes, strict=True):
        for column, (caption, rgb) in enumerate(row):
            pen.text((column * _WIDTH_PX + 4, top + 2), caption, fill="black")
            picture = Image.fromarray(resize_rgb(np.ascontiguousarray(rgb), size, _WIDTH_PX))
            strip.paste(picture, (column * _WIDTH_PX, top + _HEAD_PX))
            pen.line([((column + 1) * _WIDTH_PX - 1, top), ((column + 1) * _WIDTH_PX - 1, top + size + _HEAD_PX)], fill="white", width=3)
        top += size + _HEAD_PX
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        strip.save(part, "PNG")
