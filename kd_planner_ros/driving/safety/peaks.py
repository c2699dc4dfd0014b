"""From the traffic map to road users: its peaks."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.driving.safety.road_users import ROAD_USER_DTYPE

CERTAIN, POSSIBLE = 0.9, 0.4
BEHIND_ROWS, BEHIND_DOUBT = 2, 0.1
"""The last rows of the map lie beside and behind the car; what they show counts a little less."""
CAR_HALF_LENGTH_M, BIKE_RATIO = 2.0, 1.5
_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def find_objects(grid: np.ndarray, centres: np.ndarray, legacy: bool = False) -> np.ndarray:
    """Road users ROAD_USER_DTYPE [K] in ``base_link``, in row order of their cells.

    A cell counts if its probability is above 0.9, or above 0.4 and above all eight neighbours'. Half length above 2 m
    makes a car; else a length above 1.5 times the width a bicycle; else a pedestrian.

    Args:
        grid: [20, 20, 7] the traffic map in units: probability, offset to the right and forward (m), heading (rad, frame
            P), half length (m), half width (m), speed (m/s).
        centres: [20, 20, 2] of the cells in ``base_link``.
        legacy: do not look at the upper left neighbour, as the original, which looks twice at the lower right one.

    Source: InterFuser ``interfuser_controller.py``.
    """
    probability = grid[..., 0].copy()
    probability[-BEHIND_ROWS:] -= BEHIND_DOUBT
    row, column = np.nonzero((probability > CERTAIN) | ((probability > POSSIBLE) & _is_peak(probability, legacy)))
    cells = grid[row, column]
    out = np.zeros(len(row), ROAD_USER_DTYPE)
    out["x"] = centres[row, column, 0] + cells[:, 2]
    out["y"] = centres[row, column, 1] - cells[:, 1]
    out["yaw"] = (1.5 * math.pi - cells[:, 3] + math.pi) % (2.0 * math.pi) - math.pi
    out["length"], out["width"], out["speed"] = 2.0 * cells[:, 4], 2.0 * cells[:, 5], cells[:, 6]
    out["probability"] = cells[:, 0]
    slim = cells[:, 4] > BIKE_RATIO * cells[:, 5]
    out["kind"] = np.where(cells[:, 4] > CAR_HALF_LENGTH_M, ActorKind.CAR,
                           np.where(slim, ActorKind.BICYCLE, ActorKind.PEDESTRIAN))
    return out


def _is_peak(values: np.ndarray, legacy: bool) -> np.ndarray:
    rows, columns = values.shape
    padded = np.pad(values, 1, constant_values=-np.inf)
    peak = np.ones(values.shape, bool)
    for down, right in (*_SIDES, *(_CORNERS[1:] if legacy else _CORNERS)):
        peak &= values > padded[1 + down:1 + down + rows, 1 + right:1 + right + columns]
    return peak
