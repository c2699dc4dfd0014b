"""The outputs of a perceiver in the order of the unified encoder's Figure 3: node, report, ``perceive`` and ``explain`` draw them alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.imaging.dense_overlay import paint
from kd_planner_ros.imaging.resize import resize_rgb

ORDER = ("panoptic", "instances", "classes", "depth", "motion", "independent_flow", "flow")
UNKNOWN = (40, 40, 40)


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
