"""The distance that the car can drive along its path before it meets a road user, now and at later moments.

The road users, moved on at constant velocity, are painted on a raster of 0.2 m; the car's box, enlarged, is laid on it
at every point of the way.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.geometry.boxes import corners

PIXELS_PER_M = 5
AHEAD_M, BEHIND_M, ASIDE_M = 18.0, 2.0, 10.0
BIKE_SPEED_MPS = 4.0
SMALL_HALF_LENGTH_M, SMALL_ENLARGED = 1.5, 2.0
MIN_HALF_WIDTH_M = 0.4
MIN_SIDE_M = 1.5
"""Smaller boxes are painted this large: a pedestrian of 0.5 m, doubled, covers 2.3 % of the car's box at the most, and so
would never be met."""
EGO_HALF_LENGTH_M, EGO_HALF_WIDTH_M = 2.45 + 2.5, 1.0 + 1.2
OVERLAP_SHARE = 0.04
PATH_STEP_M = 0.2
MAX_PATH_POINTS = 200
_ROWS, _COLUMNS = round((AHEAD_M + BEHIND_M) * PIXELS_PER_M), round(2.0 * ASIDE_M * PIXELS_PER_M)
_BITS = 12  # of a counter; the car's box has fewer than 4096 pixels
_MASK = (1 << _BITS) - 1
_SUBPIXEL = 4


def resample(points: np.ndarray) -> np.ndarray:
    """The way [M, 2] from the car through ``points`` [T, 2], at most 0.2 m apart and at most 200 points."""
    way = np.concatenate([np.zeros((1, 2)), points])
    lengths = np.hypot(*np.diff(way, axis=0).T)
    parts = np.maximum(np.ceil(np.minimum(lengths, 1e3) / PATH_STEP_M), 1.0)
    at = np.concatenate([[0.0], np.cumsum(parts)])
    steps = np.arange(min(int(at[-1]) + 1, MAX_PATH_POINTS))
    return np.stack([np.interp(steps, at, way[:, 0]), np.interp(steps, at, way[:, 1])], axis=1)


def boxes_at(objects: np.ndarray, times_s: np.ndarray, legacy: bool = False) -> np.ndarray:
    """Boxes [S, K, 5] (x, y, yaw, length, width; ``base_link``) of ``objects`` ROAD_USER_DTYPE [K] at ``times_s`` [S].

    Constant velocity along the heading, bicycles at 4 m/s at least. Boxes of a half length below 1.5 m are doubled,
    half widths are at least 0.4 m; unless ``legacy``, boxes below 1.5 m are then 1.5 m long and wide.
    """
    speed = np.where(objects["kind"] == ActorKind.BICYCLE, np.maximum(objects["speed"], BIKE_SPEED_MPS), objects["speed"])
    small = objects["length"] < 2.0 * SMALL_HALF_LENGTH_M
    grow = np.where(small, SMALL_ENLARGED, 1.0)
    width = np.maximum(grow * objects["width"], 2.0 * MIN_HALF_WIDTH_M)
    length = grow * objects["length"]
    if not legacy:
        tiny = length < MIN_SIDE_M
        length, width = (np.where(tiny, np.maximum(side, MIN_SIDE_M), side) for side in (length, width))
    way = speed * times_s[:, None]
    x = objects["x"] + np.cos(objects["yaw"]) * way
    y = objects["y"] + np.sin(objects["yaw"]) * way
    still = [np.broadcast_to(value, way.shape) for value in (objects["yaw"], length, width)]
    return np.stack([x, y, *still], axis=-1)


def _pixels(points: np.ndarray) -> np.ndarray:
    """Raster coordinates (column, row) [..., 2] of points of ``base_link``: row 0 is far ahead, column 0 far left."""
    return np.stack([ASIDE_M - points[..., 1], AHEAD_M - points[..., 0]], axis=-1) * PIXELS_PER_M - 0.5


def _paint(boxes: np.ndarray) -> np.ndarray:
    """Occupied pixels uint8 [rows, columns] of ``boxes`` [K, 5]."""
    raster = np.zeros((_ROWS, _COLUMNS), np.uint8)
    places = _pixels(corners(boxes))
    reach = (places.max(1) >= 0.0).all(1) & (places.min(1) <= (_COLUMNS, _ROWS)).all(1)
    for polygon in np.round(places[reach] * (1 << _SUBPIXEL)).astype(np.int32):
        cv2.fillConvexPoly(raster, polygon, 1, shift=_SUBPIXEL)
    return raster


def safe_distances(path: np.ndarray, objects: np.ndarray, times_s: np.ndarray, legacy: bool = False) -> np.ndarray:
    """For each of ``times_s`` [S] (at most 5): distance in metres from the car to the last point of ``path`` [M, 2] up to
    which its box overlaps road users by less than 4 % everywhere; 0 where it does so at once.

    Where nobody is on the raster at that time, it is the distance to the third point from the path's end.
    """
    free = float(np.hypot(*path[-min(3, len(path))]))
    out = np.full(len(times_s), free)
    if not len(objects):
        return out
    rasters = [_paint(boxes) for boxes in boxes_at(objects, times_s, legacy)]
    busy = [index for index, raster in enumerate(rasters) if raster.any()]
    if not busy:
        return out
    # Every pixel holds a bit field a moment, so that one sum counts them all.
    counter = np.zeros((_ROWS + 2, _COLUMNS + 2), np.int64)
    for place, index in enumerate(busy):
        counter[1:-1, 1:-1] |= rasters[index].astype(np.int64) << (_BITS * place)
    pixels, inside = _ego_pixels(path)
    sums = counter.ravel()[pixels].sum(1)
    far = np.hypot(path[:, 0], path[:, 1])[:-2] if len(path) > 2 else np.zeros(1)
    for place, index in enumerate(busy):
        met = ((sums >> (_BITS * place)) & _MASK) >= OVERLAP_SHARE * np.maximum(inside, 1)
        first = int(met.argmax()) if met.any() else len(met)
        out[index] = far[:first].max(initial=0.0)
    return out


def _ego_pixels(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat numbers [M - 2, P] of the bordered raster's pixels under the car's box at all but the last two points of
    ``path``, turned to the middle of the next two, and how many of them [M - 2] are not the border's."""
    here = path[:-2] if len(path) > 2 else path[:1]
    to = (path[1:-1] + path[2:]) / 2.0 - here if len(path) > 2 else np.array([[1.0, 0.0]])
    length = np.hypot(to[:, 0], to[:, 1])
    c, s = np.where(length[:, None] > 1e-6, to / np.maximum(length, 1e-6)[:, None], (1.0, 0.0)).T
    forward, left = _ego_template()
    rows = _turned(-c, s, AHEAD_M - here[:, 0], forward, left, _ROWS)
    columns = _turned(-s, -c, ASIDE_M - here[:, 1], forward, left, _COLUMNS)
    inside = np.count_nonzero((rows > 0) & (rows <= _ROWS) & (columns > 0) & (columns <= _COLUMNS), axis=1)
    rows *= _COLUMNS + 2
    rows += columns
    return rows, inside


def _turned(a: np.ndarray, b: np.ndarray, start_m: np.ndarray, forward: np.ndarray, left: np.ndarray,
            size: int) -> np.ndarray:
    """Pixel numbers int32 [M, P] along one axis of the bordered raster, clipped to 0 ... ``size`` + 1."""
    place = np.multiply.outer(a.astype(np.float32), forward)
    place += np.multiply.outer(b.astype(np.float32), left)
    place += (PIXELS_PER_M * start_m + 1.0).astype(np.float32)[:, None]
    return np.clip(place, 0.0, size + 1.0, out=place).astype(np.int32)


@cache
def _ego_template() -> tuple[np.ndarray, np.ndarray]:
    """Places [P] of the pixels of the car's box, forward and left, in pixels."""
    step = 1.0 / PIXELS_PER_M
    along = np.arange(-EGO_HALF_LENGTH_M + step / 2.0, EGO_HALF_LENGTH_M, step)
    aside = np.arange(-EGO_HALF_WIDTH_M + step / 2.0, EGO_HALF_WIDTH_M, step)
    forward, left = (axis.ravel() for axis in np.meshgrid(along, aside, indexing="ij"))
    return (PIXELS_PER_M * forward).astype(np.float32), (PIXELS_PER_M * left).astype(np.float32)
