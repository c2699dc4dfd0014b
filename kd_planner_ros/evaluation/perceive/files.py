"""A perception as files: one a dense output, and an overview."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kd_planner_ros.core.files import whole_file
from kd_planner_ros.core.outputs import PER_CLASS, DenseOutput, Perception
from kd_planner_ros.imaging.dense_strip import strip_panels

DEEPEST_M = 65.535
"""What the largest number of a depth's file stands for; farther points have it too."""
FORMATS = {
    "depth": f"16-bit PNG in millimetres, 0: unknown, 65535: {DEEPEST_M} m and farther",
    "classes": "8-bit PNG of class ids, 255: unknown",
    "ids": f"16-bit PNG, (class + 1) * {PER_CLASS} + number within the class, 0: none, 65535: that id and larger ones",
    "mask": "8-bit PNG, 0 or 255", "probability": "NumPy float32 [H, W], NaN: unknown", "flow": "NumPy float32 [H, W, 3] in metres",
}
"""Kind of an output -> what its file holds."""


def write_outputs(folder: Path, name: str, picture: np.ndarray, seen: Perception) -> dict[str, str]:
    """Write ``NAME_OUTPUT.png`` or ``.npy`` for each output and ``NAME_overview.png``; file names by output."""
    from kd_planner_ros.imaging.dense_strip import write_strip

    found = {}
    for output_name, output in seen.outputs.items():
        pixels = _pixels(output)
        path = folder / f"{name}_{output_name}{'.npy' if pixels is None else '.png'}"
        with whole_file(path) as part:
            if pixels is None:
                with part.open("wb") as file:
                    np.save(file, output.array)
            else:
                _save(part, pixels)
        found[output_name] = path.name
    overview = folder / f"{name}_overview.png"
    panels = strip_panels(picture, seen.outputs)
    write_strip(overview, [panels[start:start + _COLUMNS] for start in range(0, len(panels), _COLUMNS)])
    return {**found, "overview": overview.name}


def clipped_share(seen: Perception) -> float:
    """Share of the pixels with a depth whose depth is beyond ``DEEPEST_M``, which their file cannot hold; 0 without depth."""
    depths = [output.array[np.isfinite(output.array)] for output in seen.outputs.values() if output.kind == "depth"]
    known = sum(map(np.size, depths))
    return sum(int(np.count_nonzero(one > DEEPEST_M)) for one in depths) / known if known else 0.0


_COLUMNS = 4


def _save(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, "PNG")


def _pixels(output: DenseOutput) -> np.ndarray | None:
    """What the PNG holds; None for what is kept as numbers."""
    array = output.array
    if output.kind == "depth":
        return np.where(np.isfinite(array), np.clip(np.nan_to_num(array) * 1000.0, 1.0, 65535.0), 0.0).round().astype(np.uint16)
    if output.kind == "classes":
        return array
    if output.kind == "ids":
        return np.clip(array, 0, 65535).astype(np.uint16)
    return np.where(array, 255, 0).astype(np.uint8) if output.kind == "mask" else None
