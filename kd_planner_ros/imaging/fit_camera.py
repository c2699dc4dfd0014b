"""A picture of any pinhole camera as a camera of another size and field of view would see it, at the same place."""

from __future__ import annotations

import math

import cv2
import numpy as np

from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.resize import resize_rgb


def fitted(picture: np.ndarray, fov_deg: float, camera: CameraSpec) -> tuple[np.ndarray, np.ndarray]:
    """(RGB uint8 [H, W, 3] of ``camera``'s size, bool [H, W]: what the picture shows of it). Both cameras look along the same axis through
    the middle of their pictures; what ``picture`` does not reach is grey.

    Args:
        picture: RGB uint8 [h, w, 3] of a camera without distortion.
        fov_deg: its horizontal field of view.
    """
    rows, columns = picture.shape[:2]
    scale = camera.focal_px * 2.0 * math.tan(math.radians(fov_deg) / 2.0) / columns
    if (rows, columns) == (camera.height, camera.width) and abs(scale - 1.0) < 1e-3:
        return picture, np.ones((rows, columns), bool)
    height, width = max(round(rows * scale), 1), max(round(columns * scale), 1)
    small = resize_rgb(picture, height, width)
    move = np.array([[1.0, 0.0, (camera.width - width) / 2.0], [0.0, 1.0, (camera.height - height) / 2.0]])
    size = camera.width, camera.height
    found = cv2.warpAffine(small, move, size, flags=cv2.INTER_NEAREST, borderValue=(128, 128, 128))
    seen = cv2.warpAffine(np.full((height, width), 255, np.uint8), move, size, flags=cv2.INTER_NEAREST)
    return found, seen > 0
