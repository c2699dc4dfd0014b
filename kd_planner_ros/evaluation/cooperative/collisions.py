"""Two ways to say that a plan collides: boxes with their headings, and the grid of UniV2X's evaluation."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.geometry.boxes import corners, overlap_one, polygon_contains
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M

GRID_LENGTH_M, GRID_WIDTH_M, GRID_AHEAD_M = 4.084, 1.85, 0.5
"""The car of the grid, and how far its middle lies ahead of the planned point."""
CELL_M, REACH_M = 0.5, 50.0


def boxes_touch(pose: np.ndarray, others: np.ndarray) -> bool:
    """Whether the car at ``pose`` [3] (x, y, yaw) touches one of ``others`` [N, 5] (x, y, yaw, length, width)."""
    return bool(len(others) and overlap_one(np.array([*pose, EGO_LENGTH_M, EGO_WIDTH_M]), others).any())


def grid_touches(point: np.ndarray, others: np.ndarray) -> bool:
    """Whether the car at ``point`` [2], without turning, covers a cell of the grid that one of ``others`` [N, 5] covers; both in the
    car's frame at the time of the plan. Cells are 0.5 m, up to 50 m away, and count by their middles.

    Source: the planning metric of UniV2X (AAAI 2025), after ST-P3.
    """
    low = np.array([point[0] + GRID_AHEAD_M - GRID_LENGTH_M / 2.0, point[1] - GRID_WIDTH_M / 2.0])
    high = low + (GRID_LENGTH_M, GRID_WIDTH_M)
    axes = [np.arange(np.ceil(a / CELL_M - 0.5), np.floor(b / CELL_M - 0.5) + 1.0) * CELL_M + CELL_M / 2.0
            for a, b in zip(low, high, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    cells = cells[(np.abs(cells) < REACH_M).all(1)]
    return len(cells) > 0 and any(polygon_contains(outline, cells).any() for outline in corners(others))
