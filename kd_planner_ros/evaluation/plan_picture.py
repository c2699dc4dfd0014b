"""One plan as a picture: map lines, road users with forecasts, candidates by score and the trajectory, over the camera and from above.

``explain`` and the report of a drive draw with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from kd_planner_ros.core.outputs import Detections, MapLines
from kd_planner_ros.core.records import Plan
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.overlay import (
    GOAL,
    PLAN_FAR,
    PLAN_NEAR,
    dense,
    draw_attention,
    draw_candidates,
    draw_plan,
    polyline,
    project,
)
from kd_planner_ros.geometry.boxes import corners
from kd_planner_ros.imaging.plan_colours import best_last, line_colour, score_colours, user_colour
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M

AHEAD_M, BEHIND_M, ASIDE_M, PX_PER_M = 46.0, 8.0, 22.0, 12
"""What the view from above shows around the car, and its scale."""
GRID_M = 10.0
GROUND, GRID, INK = (28, 25, 23), (56, 52, 50), (200, 200, 200)
HEIGHT_M = 1.6
"""Of a road user whose height is not known."""


def over_camera(rgb: np.ndarray, camera: CameraSpec, plan: Plan) -> np.ndarray:
    """A copy of ``rgb`` uint8 [H, W, 3] with everything that ``plan`` tells drawn over it. A picture of another size than the camera's is
    scaled to."""
    out = rgb.copy() if plan.attention is None else draw_attention(rgb, np.asarray(plan.attention))
    scale = np.array([rgb.shape[1] / camera.width, rgb.shape[0] / camera.height])
    for points, colour in _lines(plan.lines):
        _segments(out, project(dense(points), camera) * scale, colour)
    for row, colour, way in _users(plan.detections):
        _box(out, row, camera, scale, colour)
        _segments(out, project(dense(way), camera) * scale, colour)
    if plan.candidates is not None:
        out = draw_candidates(out, camera, plan.candidates, plan.scores)
    return draw_plan(out, camera, plan.trajectory.points, plan.goal.target_point)


def from_above(plan: Plan | None) -> np.ndarray:
    """uint8 [H, W, 3], 12 pixels a metre: the car looks up, its left is left, 46 m ahead of it, 8 m behind and 22 m to each side; an empty
    road without a plan."""
    out = np.full((round((AHEAD_M + BEHIND_M) * PX_PER_M), round(2.0 * ASIDE_M * PX_PER_M), 3), GROUND, np.uint8)
    for metres in np.arange(GRID_M, AHEAD_M, GRID_M):
        polyline(out, _above([[metres, ASIDE_M], [metres, -ASIDE_M]]), GRID, 1)
        place = _above([[metres, ASIDE_M]])[0]
        cv2.putText(out, f"{metres:g} m", (4, int(place[1]) - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    if plan is not None:
        _plan_above(out, plan)
    own = corners(np.array([[0.0, 0.0, 0.0, EGO_LENGTH_M, EGO_WIDTH_M]]))[0]
    cv2.fillConvexPoly(out, _pixels(_above(own)), (235, 235, 235), cv2.LINE_AA)
    return out


def _plan_above(out: np.ndarray, plan: Plan) -> None:
    for points, colour in _lines(plan.lines):
        polyline(out, _above(points), colour, 2)
    for row, colour, way in _users(plan.detections):
        cv2.fillConvexPoly(out, _pixels(_above(_footprint(row))), tuple(part // 2 for part in colour), cv2.LINE_AA)
        polyline(out, _above(np.vstack([_footprint(row), _footprint(row)[:1]])), colour, 2)
        polyline(out, _above(way), colour, 2)
        for place in _above(way[1:]):
            _dot(out, place, 2, colour)
    if plan.candidates is not None:
        colours = score_colours(plan.scores, len(plan.candidates))
        for index in best_last(plan.scores, len(plan.candidates)):
            polyline(out, _above(np.vstack([[0.0, 0.0], plan.candidates[index]])), tuple(map(int, colours[index])), 4)
    way = np.vstack([[0.0, 0.0], plan.trajectory.points])
    polyline(out, _above(way), PLAN_NEAR, 2)
    for place in _above(way[1:]):
        _dot(out, place, 5, (255, 255, 255))
        _dot(out, place, 3, PLAN_FAR)
    _dot(out, _above([plan.goal.target_point])[0], 6, GOAL)


def beside(picture: np.ndarray, panels: Sequence[np.ndarray]) -> np.ndarray:
    """``picture`` [H, W, 3] and right of it each of ``panels``, scaled to its height."""
    height = picture.shape[0]
    scaled = [cv2.resize(one, (round(one.shape[1] * height / one.shape[0]), height), interpolation=cv2.INTER_AREA) for one in panels]
    return np.concatenate([picture, *scaled], axis=1)


def _lines(lines: MapLines | None) -> Iterator[tuple[np.ndarray, tuple[int, int, int]]]:
    """Points [P, 2] and colour of each line."""
    for points, kind in zip(lines.points, lines.kinds, strict=True) if lines is not None else ():
        yield np.asarray(points[np.isfinite(points).all(axis=1)], float), line_colour(int(kind))


def _users(found: Detections | None) -> Iterator[tuple[np.ndarray, tuple[int, int, int], np.ndarray]]:
    """Row, colour and likeliest way [T + 1, 2], from where it is, of each road user; a way of one point where none is forecast."""
    for index, row in enumerate(found.rows if found is not None else ()):
        way = np.array([[row["x"], row["y"]]], float)
        if found is not None and (future := found.likeliest(index)) is not None:
            way = np.vstack([way, future[np.isfinite(future).all(axis=1)]])
        yield row, user_colour(int(row["kind"])), way


def _footprint(row: np.ndarray) -> np.ndarray:
    return corners(np.array([[row[name] for name in ("x", "y", "yaw", "length", "width")]], float))[0]


def _box(out: np.ndarray, row: np.ndarray, camera: CameraSpec, scale: np.ndarray, colour: tuple[int, int, int]) -> None:
    """The edges of a road user's box that lie in front of the camera."""
    feet, low = _footprint(row), float(np.nan_to_num(row["z"]))
    high = low + (float(row["height"]) if np.isfinite(row["height"]) else HEIGHT_M)
    floor, roof = (project(np.column_stack([feet, np.full(4, height)]), camera) * scale for height in (low, high))
    for end in range(4):
        for edge in ((floor[end], floor[end - 1]), (roof[end], roof[end - 1]), (floor[end], roof[end])):
            polyline(out, np.array(edge), colour, 1)


def _segments(out: np.ndarray, pixels: np.ndarray, colour: tuple[int, int, int]) -> None:
    """The stretches of a line whose both ends are in front of the camera."""
    known = np.isfinite(pixels).all(axis=1)
    for first in np.flatnonzero(known[:-1] & known[1:]):
        polyline(out, pixels[first:first + 2], colour, 2)


def _above(points: np.ndarray | list) -> np.ndarray:
    """Pixels [N, 2] (column, row) of the view from above of points [N, 2] in ``base_link``."""
    x, y = np.asarray(points, float).reshape(-1, 2).T
    return np.column_stack([(ASIDE_M - y) * PX_PER_M, (AHEAD_M - x) * PX_PER_M])


def _pixels(points: np.ndarray) -> np.ndarray:
    return np.round(np.clip(points, -1e5, 1e5)).astype(np.int32)


def _dot(out: np.ndarray, place: np.ndarray, radius: int, colour: tuple[int, int, int]) -> None:
    if np.isfinite(place).all():
        cv2.circle(out, _pixels(place), radius, colour, -1, cv2.LINE_AA)
