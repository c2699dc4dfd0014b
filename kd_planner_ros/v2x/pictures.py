"""Whether a roadside picture can be what its camera sees: size, exposure, edges, its place, and that it changes
while something moves."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.imaging.exposure import LEAST_PX, exposed, small_grey
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.mounting import Mounting
from kd_planner_ros.v2x.payloads import Refused, jpeg_size, read_picture
from kd_planner_ros.v2x.settings import GatewaySettings

SHAPE_PX = 2
"""A picture made smaller may be so much taller or less tall than its camera's shape says."""
EDGES = 1.5
"""Least variance of the Laplacian of the grey picture; night and fog lie well inside."""
CHANGE = 3
"""Grey levels: what two encodings of one picture differ by at most, at the size of ``small_grey``."""
MOVES_MPS, SEEN_M = 1.0, 60.0
"""What is faster and nearer than this must change the picture."""
AHEAD_M = np.arange(0.0, 61.0, 10.0)


def require_size(payload: bytes, camera: CameraSpec, settings: GatewaySettings) -> tuple[int, int]:
    """(width, height) of a JPEG of ``camera``.

    Raises:
        Refused: no JPEG, or a size that this camera's pictures cannot have.
    """
    width, height = jpeg_size(payload)
    fits = LEAST_PX <= width <= min(settings.max_picture_width, camera.width) and \
        abs(height - width * camera.height / camera.width) <= SHAPE_PX
    if not fits:
        raise Refused(reasons.PICTURE_SIZE)
    return width, height


def resized(camera: CameraSpec, image: np.ndarray) -> CameraSpec:
    """``camera`` at the size of ``image``."""
    return camera if image.shape[:2] == (camera.height, camera.width) else replace(camera, width=image.shape[1], height=image.shape[0])


def sees(camera: CameraSpec, points: np.ndarray, reach_m: float) -> np.ndarray:
    """Whether each of ``points`` [N, 2] in ``map`` is within the camera's horizontal field of view and ``reach_m``: bool [N]."""
    away = points - (camera.pose.x, camera.pose.y)
    off = np.abs(wrap_angle(np.arctan2(away[:, 1], away[:, 0]) - camera.pose.yaw))
    return (off <= math.radians(camera.fov_deg) / 2.0) & (np.hypot(away[:, 0], away[:, 1]) <= reach_m)


def faces(camera: CameraSpec, ego: EgoState, reach_m: float) -> bool:
    """Whether ``camera`` sees the car or the 60 m ahead of it."""
    heading = np.array([math.cos(ego.pose.yaw), math.sin(ego.pose.yaw)])
    return bool(sees(camera, np.array([ego.pose.x, ego.pose.y]) + AHEAD_M[:, None] * heading, reach_m).any())


def something_moves(camera: CameraSpec, rows: np.ndarray, ego: EgoState | None) -> bool:
    """Whether one of ``rows`` (ACTOR_DTYPE) or the car moves where ``camera`` must see it."""
    moving = rows[np.hypot(rows["vx"], rows["vy"]) > MOVES_MPS]
    points = [np.stack([moving["x"], moving["y"]], -1)]
    if ego is not None and abs(ego.speed_mps) > MOVES_MPS:
        points.append(np.array([[ego.pose.x, ego.pose.y]]))
    return bool(sees(camera, np.concatenate(points), SEEN_M).any())


class PictureCheck:
    """The pictures of one camera, one after another."""

    def __init__(self, camera: CameraSpec, settings: GatewaySettings):
        self._camera, self._settings = camera, settings
        self._small: np.ndarray | None = None
        self._mounting = Mounting(settings)

    def read(self, payload: bytes, stamp_ns: int, moves: bool) -> np.ndarray:
        """RGB uint8 [H, W, 3] of the picture of ``stamp_ns``. ``moves``: whether something moves in what the camera sees.

        Raises:
            Refused: it is not what this camera can see now.
        """
        require_size(payload, self._camera, self._settings)
        image = read_picture(payload)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = small_grey(grey)
        before, self._small = self._small, small
        if not exposed(small):
            raise Refused(reasons.EXPOSURE)
        if cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0] ** 2 < EDGES:
            raise Refused(reasons.BLURRED)
        if moves and before is not None and int(cv2.absdiff(before, small).max()) <= CHANGE:
            raise Refused(reasons.FROZEN)
        if self._mounting.moved(grey, stamp_ns):
            raise Refused(reasons.MOVED_CAMERA)
        return image
