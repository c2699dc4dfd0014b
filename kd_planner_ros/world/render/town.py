"""What stands beside the roads: buildings, trees, street lamps. Placed from a seed, never on a road or a pavement."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.geometry.polyline import offset_line
from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render.ground import Ground

GRID_M = 0.5
BUILDING_GAP_M, TREE_GAP_M = 3.0, 1.2
LAMP_STEP_M, TREE_STEP_M = 32.0, 11.0


@dataclass(frozen=True)
class Town:
    """``buildings`` [B, 8] x, y, yaw, length, width, height, colour, seed; ``trees`` [T, 6] x, y, height,
    crown radius, colour, seed; ``lamps`` [L, 3] x, y and the direction the arm points to."""

    buildings: np.ndarray
    trees: np.ndarray
    lamps: np.ndarray


class _Plan:
    """Free space on a coarse grid: distance to the nearest paved cell, and what was built already."""

    def __init__(self, ground: Ground):
        step = max(1, round(GRID_M / ground.cell_m))
        classes = ground.classes[::step, ::step]
        self.cell, self.origin = ground.cell_m * step, ground.origin
        self.clear = cv2.distanceTransform((classes == mat.G_GRASS).astype(np.uint8), cv2.DIST_L2, 3) * self.cell
        self.built = np.zeros(classes.shape, np.uint8)

    def cells(self, points: np.ndarray) -> np.ndarray:
        return np.round((np.asarray(points) - self.origin) / self.cell).astype(np.int32)

    def claim(self, outline: np.ndarray, gap_m: float) -> bool:
        """Takes the polygon [K, 2] if it lies on free ground at least ``gap_m`` from pavements."""
        cells = self.cells(outline)
        low, high = cells.min(0), cells.max(0) + 1
        if low.min() < 1 or high[0] >= self.built.shape[1] - 1 or high[1] >= self.built.shape[0] - 1:
            return False
        window = np.s_[low[1]:high[1] + 1, low[0]:high[0] + 1]
        mask = np.zeros(self.built[window].shape, np.uint8)
        cv2.fillPoly(mask, [(cells - low)[:, None]], 1)
        mask = mask.astype(bool)
        if (self.clear[window][mask] < gap_m).any() or self.built[window][mask].any():
            return False
        self.built[window][mask] = 1
        return True


def plan_town(road: RoadMap, ground: Ground, rng: np.random.Generator) -> Town:
    """Rows of buildings along the roads, a second row and fill behind them, trees and lamps at the kerb."""
    plan = _Plan(ground)
    edges = _kerbs(road)
    lamps, trees = _lamps(plan, edges), []
    buildings = []
    for setback, density in ((5.5, 0.92), (14.0, 0.6), (24.0, 0.85), (46.0, 0.75)):
        for line, fast in edges:
            buildings += _row(plan, line, setback + (14.0 if fast else 0.0), density * (0.5 if fast else 1.0), rng)
    for line, fast in edges:
        trees += _tree_row(plan, line, fast, rng)
    trees += _scatter(plan, rng)
    return Town(np.array(buildings, np.float64).reshape(-1, 8), np.array(trees, np.float64).reshape(-1, 6),
                np.array(lamps, np.float64).reshape(-1, 3))


def _kerbs(road: RoadMap) -> list[tuple[np.ndarray, bool]]:
    """Right-hand edges of the carriageways [N, 2], resampled to 1 m, and whether the road is a fast one."""
    kerbs = []
    for name in sorted(road.lanes):
        lane = road.lanes[name]
        if lane.kind != "driving" or lane.junction or lane.right_border != "solid":
            continue
        line = offset_line(lane.centre, -lane.width / 2)
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        if arc[-1] < 4.0:
            continue
        stations = np.arange(0.0, arc[-1], 1.0)
        kerbs.append((np.stack([np.interp(stations, arc, line[:, k]) for k in (0, 1)], 1), lane.speed_mps >= 20.0))
    return kerbs


def _frame(line: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the kerb and outwards (to its right) at ``index``."""
    low, high = max(0, index - 2), min(len(line) - 1, index + 2)
    along = line[high] - line[low]
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    return along, np.array([along[1], -along[0]])


def _rectangle(centre, along, length: float, width: float) -> np.ndarray:
    side = np.array([-along[1], along[0]])
    return np.array([centre + along * length / 2 * a + side * width / 2 * b
                     for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])


def _row(plan: _Plan, line: np.ndarray, setback: float, density: float, rng: np.random.Generator) -> list[list[float]]:
    built, at = [], float(rng.uniform(0.0, 6.0))
    while at < len(line) - 1:
        length, width = float(rng.uniform(10.0, 26.0)), float(rng.uniform(9.0, 17.0))
        height = 3.2 * int(rng.choice([2, 2, 3, 3, 4, 5, 6, 8, 12], p=[.16, .14, .2, .14, .14, .1, .06, .04, .02])) + 1.0
        colour, seed, lucky = int(rng.integers(len(mat.FACADE_RGB))), float(rng.integers(1, 4096)), rng.random() < density
        index = min(int(at + length / 2), len(line) - 1)
        along, out = _frame(line, index)
        centre = line[index] + out * (setback + width / 2)
        if lucky and plan.claim(_rectangle(centre, along, length + 1.0, width + 1.0), BUILDING_GAP_M):
            built.append([*centre, float(np.arctan2(along[1], along[0])), length, width, height, colour, seed])
        at += length * (1.0 if lucky else 0.6) + float(rng.uniform(1.5, 5.0))
    return built


def _tree(at, rng: np.random.Generator) -> list[float]:
    height = float(rng.uniform(4.5, 9.5))
    return [*at, height, height * float(rng.uniform(0.26, 0.36)), float(rng.integers(len(mat.LEAF_RGB))),
            float(rng.integers(1, 4096))]


def _tree_row(plan: _Plan, line: np.ndarray, fast: bool, rng: np.random.Generator) -> list[list[float]]:
    trees = []
    for at in range(4, len(line), int(TREE_STEP_M)):
        along, out = _frame(line, at)
        spot = line[at] + out * (rng.uniform(4.4, 5.4) + (5.0 if fast else 0.0)) + along * rng.uniform(-2.5, 2.5)
        if rng.random() < 0.6 and plan.claim(_rectangle(spot, along, 2.0, 2.0), TREE_GAP_M):
            trees.append(_tree(spot, rng))
    return trees


def _scatter(plan: _Plan, rng: np.random.Generator) -> list[list[float]]:
    """Trees on the ground that is left over, one for about 260 square metres tried."""
    size = np.array(plan.built.shape[::-1]) * plan.cell
    trees = []
    for spot in plan.origin + rng.uniform(0.0, 1.0, (int(size.prod() / 260.0), 2)) * size:
        if plan.claim(_rectangle(spot, np.array([1.0, 0.0]), 3.0, 3.0), 3.0):
            trees.append(_tree(spot, rng))
    return trees


def _lamps(plan: _Plan, edges: list[tuple[np.ndarray, bool]]) -> list[list[float]]:
    lamps = []
    for line, _ in edges:
        for at in range(min(8, len(line) - 1), len(line), int(LAMP_STEP_M)):
            _, out = _frame(line, at)
            spot = line[at] + out * 1.1
            column, row = plan.cells(spot[None])[0]
            plan.built[max(0, row - 2):row + 3, max(0, column - 2):column + 3] = 1
            lamps.append([*spot, float(np.arctan2(-out[1], -out[0]))])
    return lamps
