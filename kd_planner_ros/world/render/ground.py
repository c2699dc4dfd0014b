"""The ground as one raster of the whole town: a class for each cell (label) and colour pyramids (picture)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kd_planner_ros.core.road import Lane, RoadMap
from kd_planner_ros.geometry.polyline import offset_line
from kd_planner_ros.world.render import materials as mat

MARGIN_M = 60.0
MAX_CELLS = 40_000_000
CELLS_M = (0.1, 0.125, 0.16, 0.2, 0.25, 0.4, 0.8)
LEVELS = 6
SIDEWALK_M, KERB_M, LINE_M, STOP_LINE_M = 2.6, 0.22, 0.16, 0.45
DASH_M, GAP_M = 3.0, 4.5
FAST_MPS = 20.0  # faster roads have a paved shoulder instead of a pavement
_SHIFT = 4  # fractional bits of cv2 coordinates


@dataclass(frozen=True)
class Ground:
    """``classes`` uint8 [H, W] (row grows with map y, column with x); cell (0, 0) begins at ``origin`` [2]."""

    classes: np.ndarray
    origin: np.ndarray
    cell_m: float

    def pyramid(self) -> list[np.ndarray]:
        """Coarser colour and class, uint8 [H / 2^k, W / 2^k, 4] for level k = 1 .. LEVELS - 1: sRGB mean and one class.

        Level 0 is ``classes`` itself through the palette.
        """
        height, width = self.classes.shape
        planes = [cv2.resize(cv2.LUT(self.classes, _full_table(mat.GROUND_RGB[:, k])), (width // 2, height // 2),
                             interpolation=cv2.INTER_AREA) for k in range(3)]
        planes.append(np.ascontiguousarray(self.classes[:height // 2 * 2:2, :width // 2 * 2:2]))
        levels = [cv2.merge(planes)]
        for _ in range(LEVELS - 2):
            last = levels[-1]
            half = (max(1, last.shape[1] // 2), max(1, last.shape[0] // 2))
            colour = cv2.resize(last[..., :3], half, interpolation=cv2.INTER_AREA)
            levels.append(np.dstack([colour, last[:half[1] * 2:2, :half[0] * 2:2, 3][:half[1], :half[0]]]))
        return levels

    def at(self, points: np.ndarray) -> np.ndarray:
        """Class at ``points`` [N, 2]; G_GRASS outside."""
        column, row = np.floor((np.asarray(points) - self.origin) / self.cell_m).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < self.classes.shape[1]) & (row < self.classes.shape[0])
        out = np.full(len(column), mat.G_GRASS, np.uint8)
        out[inside] = self.classes[row[inside], column[inside]]
        return out


def _full_table(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.zeros(256 - len(values), np.uint8)]).astype(np.uint8)


class _Painter:
    """Draws lines and polygons given in metres."""

    def __init__(self, bounds: np.ndarray):
        size = bounds[1] - bounds[0] + 2 * MARGIN_M
        self.cell = next((c for c in CELLS_M if size[0] * size[1] / c ** 2 <= MAX_CELLS), CELLS_M[-1])
        self.origin = bounds[0] - MARGIN_M
        self.image = np.full((int(size[1] / self.cell), int(size[0] / self.cell)), mat.G_GRASS, np.uint8)

    def _cells(self, points: np.ndarray) -> np.ndarray:
        return np.round((points - self.origin) / self.cell * 2 ** _SHIFT - 2 ** (_SHIFT - 1)).astype(np.int32)

    def strip(self, line: np.ndarray, width_m: float, value: int) -> None:
        """A band of constant width along ``line`` [N, 2], with flat ends."""
        left, right = offset_line(line, width_m / 2), offset_line(line, -width_m / 2)
        for i in range(len(line) - 1):  # piece by piece: a whole outline may cross itself in a bend
            self.polygon(np.array([left[i], left[i + 1], right[i + 1], right[i]]), value)

    def rounded(self, line: np.ndarray, width_m: float, value: int, closed: bool = False) -> None:
        """A band with round ends and joints."""
        cv2.polylines(self.image, [self._cells(line)[:, None]], closed, int(value),
                      max(1, round(width_m / self.cell)), cv2.LINE_8, _SHIFT)

    def polygon(self, outline: np.ndarray, value: int) -> None:
        cv2.fillPoly(self.image, [self._cells(outline)[:, None]], int(value), cv2.LINE_8, _SHIFT)

    def dashes(self, line: np.ndarray, width_m: float, value: int) -> None:
        """A broken line: dashes at fixed arc lengths from the line's begin."""
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        for start in np.arange(GAP_M / 2, arc[-1] - 0.5, DASH_M + GAP_M):
            stations = np.linspace(start, min(start + DASH_M, arc[-1]), 4)
            self.strip(np.stack([np.interp(stations, arc, line[:, k]) for k in (0, 1)], 1), width_m, value)


def paint_ground(road: RoadMap) -> Ground:
    """The raster of ``road``: terrain, pavements, kerbs, asphalt, then markings, in painter's order."""
    painter = _Painter(road.bounds)
    lanes = [road.lanes[name] for name in sorted(road.lanes)]
    _paint_surfaces(painter, road, lanes)
    for lane in lanes:
        if lane.kind == "driving" and not lane.junction:
            _paint_borders(painter, lane)
        elif lane.kind == "crossing":
            _paint_zebra(painter, lane.centre, lane.width)
    _paint_stop_lines(painter, road, zebra=not any(lane.kind == "crossing" for lane in lanes))
    return Ground(painter.image, painter.origin, painter.cell)


def _paint_surfaces(painter: _Painter, road: RoadMap, lanes: list[Lane]) -> None:
    driving = [lane for lane in lanes if lane.kind == "driving"]
    fast = {lane.junction for lane in driving if lane.speed_mps >= FAST_MPS}
    outlines = [(outline, name in fast) for name, outline in sorted(road.junctions.items()) if len(outline) >= 3]
    slow = [lane for lane in driving if lane.speed_mps < FAST_MPS]
    for lane in driving:
        if lane.speed_mps >= FAST_MPS:
            painter.rounded(lane.centre, lane.width + 3.0, mat.G_SHOULDER)
    _paint_pavements(painter, slow, [outline for outline, is_fast in outlines if not is_fast])
    for lane in lanes:
        if lane.kind in ("sidewalk", "shoulder"):
            painter.rounded(lane.centre, lane.width, mat.G_SIDEWALK if lane.kind == "sidewalk" else mat.G_SHOULDER)
    for lane in driving:
        painter.rounded(lane.centre, lane.width + 0.05, mat.G_ASPHALT)
    for outline, _ in outlines:
        painter.polygon(outline, mat.G_ASPHALT)


def _paint_pavements(painter: _Painter, lanes: list[Lane], outlines: list[np.ndarray]) -> None:
    """Pavement with its kerb along ``lanes`` and round the junctions with ``outlines`` [N, 2]."""
    for wide, value in ((SIDEWALK_M, mat.G_SIDEWALK), (KERB_M, mat.G_KERB)):
        for lane in lanes:
            painter.rounded(lane.centre, lane.width + 2 * wide, value)
        for outline in outlines:
            painter.rounded(outline, 2 * wide, value, closed=True)


def _paint_borders(painter: _Painter, lane: Lane) -> None:
    inner = lane.width / 2 - LINE_M
    for side, kind in ((1.0, lane.left_border), (-1.0, lane.right_border)):
        if kind == "solid":
            value = mat.G_WHITE if side < 0 else mat.G_YELLOW
            painter.strip(offset_line(lane.centre, side * inner), LINE_M, value)
        elif kind == "double":  # the oncoming lane paints the other stroke
            painter.strip(offset_line(lane.centre, side * (lane.width / 2 - 0.13)), LINE_M, mat.G_YELLOW)
        elif kind == "broken" and side > 0:  # once: the neighbour's right border is the same line
            painter.dashes(offset_line(lane.centre, lane.width / 2), LINE_M, mat.G_WHITE)


def _paint_zebra(painter: _Painter, line: np.ndarray, width_m: float) -> None:
    """Bars along the walking direction's normal: 0.5 m wide, 0.5 m apart."""
    begin, end = line[0], line[-1]
    length = float(np.linalg.norm(end - begin))
    along = (end - begin) / max(length, 1e-9)
    across = np.array([-along[1], along[0]]) * (0.5 * width_m - 0.2)
    for start in np.arange(0.4, length - 0.6, 1.0):
        a, b = begin + along * start, begin + along * (start + 0.5)
        painter.polygon(np.array([a + across, b + across, b - across, a - across]), mat.G_WHITE)


def _paint_stop_lines(painter: _Painter, road: RoadMap, zebra: bool) -> None:
    sites = [(site, True) for site in road.signals] + [(site, False) for site in road.stops]
    for site, signal in sites:
        right, left = site.stop_line
        across = (left - right) / max(float(np.linalg.norm(left - right)), 1e-9)
        ahead = np.array([across[1], -across[0]])
        painter.strip(site.stop_line - ahead * STOP_LINE_M / 2, STOP_LINE_M, mat.G_WHITE)
        if zebra and signal:
            _paint_zebra(painter, site.stop_line + ahead * 2.4, 3.2)
