"""A coarse grid of what matters most in each cell of a semantic image."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.imaging.palette import TAGS

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("background", ()), ("road", ("Road",)), ("marking", ("RoadLine",)),
    ("vehicle", ("Car", "Truck", "Bus", "Train")), ("signal", ("TrafficLight",)),
    ("vulnerable", ("Pedestrian", "Rider", "Motorcycle", "Bicycle")),
)
"""Name and CARLA classes of each group, the one that must not be overlooked last; all other classes are background."""
UNKNOWN = 255
"""Value of a cell where no semantic image was recorded."""
CELL_PX = 8


def class_grid(tags: np.ndarray, height: int, width: int) -> np.ndarray:
    """The highest group present in each cell of ``CELL_PX`` pixels: uint8 [height / CELL_PX, width / CELL_PX].

    A walker of two pixels owns its cell: it is why the car brakes. ``tags`` uint8 [H, W] (CARLA >= 0.9.14 ids) is first
    scaled to ``height`` x ``width`` without mixing classes; rows and columns beyond the last whole cell are left out.
    """
    table = np.zeros(256, np.uint8)
    ids = {name: number for number, (name, _) in enumerate(TAGS)}
    for group, (_, names) in enumerate(GROUPS):
        table[[ids[name] for name in names]] = group
    groups = table[tags]
    if groups.shape != (height, width):
        groups = cv2.resize(groups, (width, height), interpolation=cv2.INTER_NEAREST)
    rows, columns = height // CELL_PX, width // CELL_PX
    cells = groups[:rows * CELL_PX, :columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    return cells.max(axis=(1, 3))
