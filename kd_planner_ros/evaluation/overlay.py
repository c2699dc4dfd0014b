"""Plans and attention drawn over the camera's picture."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.imaging.plan_colours import best_last, score_colours

NEAR_M = 0.3
CAR_HALF_WIDTH_M = 0.9
STEP_M, MOST_STEPS = 0.5, 2000.0
PLAN_NEAR, PLAN_FAR, GOAL = (52, 211, 153), (56, 189, 248), (251, 191, 36)
"""RGB of the plan's near and far end and of the navigation goal."""
HEAT_LOW, HEAT_HIGH = np.array([255.0, 60.0, 0.0], np.float32), np.array([255.0, 240.0, 40.0], np.float32)


def to_camera(points_base: np.ndarray, pose: Pose) -> np.ndarray:
    """Points [N, 3] of ``base_link`` in the camera's frame [N, 3]: x along the optical axis, y left, z up."""
    return (np.asarray(points_base, float) - (pose.x, pose.y, pose.z)) @ rotation_3d(pose)


def project(points_base: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """Pixels [N, 2] (column, row; may lie outside the picture) of points [N, 2 or 3] of ``base_link``; NaN behind.

    Points without z lie on the ground. A camera of 100 x 50 pixels and 90 degrees at (0, 0, 2), looking ahead, has
    f = 50: the ground 10 m ahead is at (50, 25 + 50 * 2 / 10) = (50, 35), 5 m to the left of it at (25, 35).
    """
    points = np.atleast_2d(np.asarray(points_base, float))
    if points.shape[1] == 2:
        points = np.column_stack([points, np.zeros(len(points))])
    x, y, z = to_camera(points, camera.pose).T
    x = np.where(x > NEAR_M, x, np.nan)
    return np.column_stack([camera.width / 2 - camera.focal_px * y / x, camera.height / 2 - camera.focal_px * z / x])


def ribbon(points_base: np.ndarray, half_width_m: float = CAR_HALF_WIDTH_M, step_m: float = 0.25) -> np.ndarray:
    """Left and right edge [2, K, 2] of the strip a car sweeps from ``base_link``'s origin along ``points_base`` [T, 2].

    A plan shorter than one step (a standing car) gives K = 0.
    """
    path = np.vstack([[0.0, 0.0], np.asarray(points_base, float).reshape(-1, 2)])
    path = path[np.isfinite(path).all(axis=1)]
    path = path[np.concatenate([[True], np.linalg.norm(np.diff(path, axis=0), axis=1) > 1e-3])]
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    if arc[-1] < step_m:
        return np.zeros((2, 0, 2))
    at = np.linspace(0.0, arc[-1], max(2, int(min(arc[-1] / step_m, MOST_STEPS)) + 1))
    line = np.column_stack([np.interp(at, arc, path[:, axis]) for axis in (0, 1)])
    along = np.gradient(line, axis=0)
    left = np.column_stack([-along[:, 1], along[:, 0]]) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return np.stack([line + half_width_m * left, line - half_width_m * left])


def heat(attention: np.ndarray, height: int, width: int) -> np.ndarray:
    """Strength float32 [height, width] in [0, 1] of ``attention`` [h, w] (sum 1): 0 at uniform, 1 at eight times that."""
    attention = np.asarray(attention, np.float32)
    relative = attention * attention.size / max(float(attention.sum()), 1e-9)
    strength = np.clip((relative - 1.0) / 7.0, 0.0, 1.0)
    return np.clip(cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR), 0.0, 1.0)


def draw_attention(rgb: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """A copy of ``rgb`` uint8 [H, W, 3] with ``attention`` [h, w] as warm colour where it exceeds uniform."""
    strength = heat(attention, *rgb.shape[:2])[..., None]
    colour = HEAT_LOW + strength * (HEAT_HIGH - HEAT_LOW)
    share = 0.65 * np.sqrt(strength)
    return np.rint(rgb * (1.0 - share) + colour * share).astype(np.uint8)


def draw_plan(rgb: np.ndarray, camera: CameraSpec, points_base: np.ndarray,
              goal_base: np.ndarray | None = None) -> np.ndarray:
    """A copy of ``rgb`` uint8 [H, W, 3] with the strip the plan sweeps, its waypoints, and the goal's pole.

    ``points_base`` [T, 2] and ``goal_base`` [2] in ``base_link``, metres. A picture of another size than the camera's
    is scaled to.
    """
    out, scale = rgb.copy(), np.array([rgb.shape[1] / camera.width, rgb.shape[0] / camera.height])
    left, right = (project(edge, camera) * scale for edge in ribbon(points_base))
    for i in range(len(left) - 1):
        quad = np.array([left[i], left[i + 1], right[i + 1], right[i]])
        if np.isfinite(quad).all():
            share = i / max(len(left) - 2, 1)
            colour = tuple(int(a + (b - a) * share) for a, b in zip(PLAN_NEAR, PLAN_FAR, strict=True))
            cv2.fillConvexPoly(out, _pixels(quad), colour, cv2.LINE_AA)
    out = cv2.addWeighted(out, 0.45, rgb, 0.55, 0.0)
    for edge in (left, right):
        polyline(out, edge, PLAN_FAR)
    for pixel in project(np.asarray(points_base, float).reshape(-1, 2), camera) * scale:
        if np.isfinite(pixel).all():
            cv2.circle(out, _pixels(pixel), 4, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(out, _pixels(pixel), 4, PLAN_FAR, 2, cv2.LINE_AA)
    if goal_base is not None:
        foot_and_top = np.array([[*goal_base, 0.0], [*goal_base, 2.5]])
        pole = project(foot_and_top, camera) * scale
        polyline(out, pole, GOAL)
        if np.isfinite(pole).all():
            cv2.circle(out, _pixels(pole[1]), 5, GOAL, -1, cv2.LINE_AA)
    return out


def draw_candidates(rgb: np.ndarray, camera: CameraSpec, candidates: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
    """A copy of ``rgb`` uint8 [H, W, 3] with ``candidates`` [K, T, 2] of ``base_link`` as lines, in the colours of their
    ``scores`` [K]; all alike without scores. A picture of another size than the camera's is scaled to."""
    out, scale = rgb.copy(), np.array([rgb.shape[1] / camera.width, rgb.shape[0] / camera.height])
    colours = score_colours(scores, len(candidates))
    for index in best_last(scores, len(candidates)):
        polyline(out, project(dense(np.vstack([[0.0, 0.0], candidates[index]])), camera) * scale, tuple(map(int, colours[index])))
    return out


def dense(points: np.ndarray) -> np.ndarray:
    """The finite ones of ``points`` [P, 2] with further ones between, ``STEP_M`` apart (more on a very long line), so that the part of
    a line that is in front of the camera is drawn."""
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return points
    arc = np.append(0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T)))
    at = np.union1d(np.linspace(0.0, arc[-1], int(min(arc[-1] / STEP_M, MOST_STEPS)) + 1), arc)
    return np.column_stack([np.interp(at, arc, points[:, axis]) for axis in (0, 1)])


def _pixels(points: np.ndarray) -> np.ndarray:
    return np.round(np.clip(points, -1e5, 1e5)).astype(np.int32)


def polyline(out: np.ndarray, points: np.ndarray, colour: tuple[int, int, int], thickness: int = 2) -> None:
    """A line through those of ``points`` [N, 2] (column, row) that are finite, drawn on ``out``."""
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) > 1:
        cv2.polylines(out, [_pixels(points)], False, colour, thickness, cv2.LINE_AA)
