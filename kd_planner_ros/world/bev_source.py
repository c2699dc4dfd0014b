"""Draws the bird's-eye scene of PlanKD: road users and signals, of the built-in world or of CARLA, on a map.

The road is painted once in tiles, those that are needed; a scene then costs one turned cut-out and some polygons.
Source: PlanKD's collector; how it differs is in docs/notes/plankd_paper_and_code.md.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import cv2
import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.road import Lane, RoadMap
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.geometry.boxes import corners
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.imaging.bev_scene import CENTRE_RGB, MARK_RGB, ROAD_RGB, SIDE_PX, BevView, Raster, bev_scene, cut_out
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M

OBSTACLES = 15
FARTHEST_OBSTACLE_M = math.sqrt(2.0) * 18.0
NEAREST_OBSTACLE_M = 1.0
"""Nearer than this is the ego itself, which CARLA's lists contain."""
TILE_PX, MOST_TILES = 256, 128
MARK_M, DASH_M, GAP_M = 0.3, 3.0, 4.5
MARK_LEAST_M = 2.0  # imported networks have scraps of lanes between junctions: their marks would be dots
_SHIFT = 4


class BevSource:
    """Draws the scene on ``road``; keeps at most 128 tiles of its picture (25 MB)."""

    def __init__(self, road: RoadMap, view: BevView = BevView()):
        self.road, self.view = road, view
        self._tiles: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._painter = _TilePainter(road, view.px_per_m)

    def draw(self, ego: Pose, actors: np.ndarray, signals: np.ndarray) -> np.ndarray:
        """The scene uint8 [180, 180, 3] round ``ego``.

        Args:
            actors: ACTOR_DTYPE [N]; one within 1 m of the ego is taken for the ego and not drawn again.
            signals: SIGNAL_DTYPE [S]; drawn at the middles of their stop lines.
        """
        background = cut_out(self._around(ego.x, ego.y), ego.x, ego.y, ego.yaw, self.view)
        reach = self.view.half_m * math.sqrt(2.0) + 12.0
        near = actors[(np.abs(actors["x"] - ego.x) < reach) & (np.abs(actors["y"] - ego.y) < reach)]
        near = near[np.hypot(near["x"] - ego.x, near["y"] - ego.y) >= NEAREST_OBSTACLE_M]
        outlines = to_base(corners(np.stack([near[k] for k in ("x", "y", "yaw", "length", "width")], -1)), ego)
        walking, standing = near["kind"] == ActorKind.PEDESTRIAN, near["kind"] == ActorKind.STATIC
        lights = np.stack([signals["stop_x0"] + signals["stop_x1"], signals["stop_y0"] + signals["stop_y1"]], -1) / 2.0
        close = (np.abs(lights - (ego.x, ego.y)) < reach).all(1)
        return bev_scene(background, outlines[~walking & ~standing], outlines[walking],
                         corners(np.array([0.0, 0.0, 0.0, EGO_LENGTH_M, EGO_WIDTH_M])), to_base(lights[close], ego),
                         signals["state"][close], self.view)

    def _around(self, x: float, y: float) -> Raster:
        """The road within the picture's diagonal of (x, y)."""
        scale = self.view.px_per_m
        half = math.ceil(SIDE_PX / math.sqrt(2.0)) + 2
        left, low = math.floor(x * scale) - half, math.floor(y * scale) - half
        side = 2 * half + 1
        image = np.zeros((side, side, 3), np.uint8)
        for row in range(low // TILE_PX, (low + side - 1) // TILE_PX + 1):
            for column in range(left // TILE_PX, (left + side - 1) // TILE_PX + 1):
                top, begin = row * TILE_PX - low, column * TILE_PX - left
                y0, y1, x0, x1 = max(top, 0), min(top + TILE_PX, side), max(begin, 0), min(begin + TILE_PX, side)
                image[y0:y1, x0:x1] = self._tile(row, column)[y0 - top:y1 - top, x0 - begin:x1 - begin]
        return Raster(image, np.array([left, low]) / scale, scale)

    def _tile(self, row: int, column: int) -> np.ndarray:
        key = (row, column)
        if key not in self._tiles:
            self._tiles[key] = self._painter.paint(row, column)
            if len(self._tiles) > MOST_TILES:
                self._tiles.popitem(last=False)
        self._tiles.move_to_end(key)
        return self._tiles[key]


class _TilePainter:
    """Paints 256 x 256 px of the road: carriageway, lane marks, centre lines."""

    def __init__(self, road: RoadMap, px_per_m: float):
        self.scale = px_per_m
        self._lanes = [lane for _, lane in sorted(road.lanes.items()) if lane.kind == "driving"]
        self._junctions = [outline for _, outline in sorted(road.junctions.items()) if len(outline) >= 3]
        self._boxes = [_bounds([lane.centre for lane in self._lanes], [lane.width for lane in self._lanes]),
                       _bounds(self._junctions, [0.0] * len(self._junctions))]

    def paint(self, row: int, column: int) -> np.ndarray:
        image, side_m = np.zeros((TILE_PX, TILE_PX, 3), np.uint8), TILE_PX / self.scale
        origin = np.array([column, row]) * side_m
        lanes, junctions = ([things[i] for i in np.flatnonzero(
            (boxes[:, 0] <= origin + side_m).all(1) & (boxes[:, 1] >= origin).all(1))]
            for things, boxes in zip((self._lanes, self._junctions), self._boxes, strict=True))
        for lane in lanes:
            cv2.polylines(image, [self._pixels(lane.centre, origin)], False, ROAD_RGB,
                          max(1, round(lane.width * self.scale)), cv2.LINE_8, _SHIFT)
        for outline in junctions:
            cv2.fillPoly(image, [self._pixels(outline, origin)], ROAD_RGB, cv2.LINE_8, _SHIFT)
        for lane in lanes:
            self._marks(image, lane, origin, centre=False)
        for lane in lanes:
            self._marks(image, lane, origin, centre=True)
        return image

    def _marks(self, image: np.ndarray, lane: Lane, origin: np.ndarray, centre: bool) -> None:
        if lane.junction or np.linalg.norm(np.diff(lane.centre, axis=0), axis=1).sum() < MARK_LEAST_M:
            return
        for side, kind in ((1.0, lane.left_border), (-1.0, lane.right_border)):
            if kind == "none" or (kind == "double") != centre:
                continue
            inner = MARK_M / 2.0 if kind == "solid" else 0.0
            line = _beside(lane.centre, side * (lane.width / 2.0 - inner))
            for piece in _dashes(line) if kind == "broken" else [line]:
                cv2.polylines(image, [self._pixels(piece, origin)], False, CENTRE_RGB if centre else MARK_RGB,
                              max(1, round(MARK_M * self.scale)), cv2.LINE_AA, _SHIFT)

    def _pixels(self, points: np.ndarray, origin: np.ndarray) -> np.ndarray:
        return np.round(((points - origin) * self.scale - 0.5) * 2 ** _SHIFT).astype(np.int32)[:, None]


def nearby_obstacles(ego: Pose, actors: np.ndarray, count: int = OBSTACLES, least_mps: float = 0.0,
                     ) -> tuple[np.ndarray, np.ndarray]:
    """The nearest vehicles and walkers: centres float32 [count, 2] in ``base_link`` metres, nearest first, zero padded,
    and bool [count], True where there is one.

    Args:
        actors: ACTOR_DTYPE [N]. Those within 1 m (the ego itself) and beyond sqrt(2) 18 m do not count; of equally near
            ones the one with the smaller id comes first.
        least_mps: leave out what moves slower (0: none).

    Source: PlanKD, which takes the first 15 in its dictionary's order; here the nearest are taken.
    """
    points = to_base(np.stack([actors["x"], actors["y"]], -1), ego)
    distance = np.hypot(points[:, 0], points[:, 1])
    counts = (distance >= NEAREST_OBSTACLE_M) & (distance <= FARTHEST_OBSTACLE_M) & (actors["kind"] != ActorKind.STATIC)
    counts &= np.hypot(actors["vx"], actors["vy"]) >= least_mps
    rows = np.flatnonzero(counts)
    rows = rows[np.lexsort((actors["id"][rows], distance[rows]))][:count]
    out, mask = np.zeros((count, 2), np.float32), np.arange(count) < len(rows)
    out[:len(rows)] = points[rows]
    return out, mask


def _bounds(lines: list[np.ndarray], margins: list[float]) -> np.ndarray:
    """[[x_min, y_min], [x_max, y_max]] of each line, widened: [N, 2, 2]."""
    return np.array([[line.min(0) - margin, line.max(0) + margin] for line, margin in zip(lines, margins, strict=True)],
                    float).reshape(-1, 2, 2)


def _beside(line: np.ndarray, left_m: float) -> np.ndarray:
    """``line`` [N, 2] shifted to its left, joints mitred (at most 2.5 times as far)."""
    step = np.diff(line, axis=0)
    step = step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-step[:, 1], step[:, 0]], 1)
    joint = np.concatenate([normal[:1], normal[:-1] + normal[1:], normal[-1:]])
    joint = joint / np.maximum(np.linalg.norm(joint, axis=1, keepdims=True), 1e-9)
    share = np.concatenate([[1.0], np.maximum((joint[1:-1] * normal[:-1]).sum(1), 0.4), [1.0]])
    return line + joint * (left_m / share)[:, None]


def _dashes(line: np.ndarray) -> list[np.ndarray]:
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    starts = np.arange(GAP_M / 2.0, arc[-1] - 0.5, DASH_M + GAP_M)
    stations = starts[:, None] + np.linspace(0.0, DASH_M, 4)
    return [np.stack([np.interp(s, arc, line[:, k]) for k in (0, 1)], 1) for s in np.minimum(stations, arc[-1])]
