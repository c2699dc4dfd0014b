"""Whether a picture shows anything: its size, its light, and what differs in it."""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.core.errors import SensorError

LEAST_PX = 32
"""A narrower picture is no camera's: networks reduce pictures to cells of 32 pixels at their coarsest."""
BLACK = 3
"""A picture without a brighter pixel shows nothing: a covered lens, or a driver without exposure. At night there is more."""
DARK, BRIGHT, CONTRAST = 2.0, 250.0, 2.0
"""Least and greatest mean and least standard deviation of the grey levels at size ``SMALL``; night and fog lie well inside."""
SMALL = (96, 54)
_CURE = "uncover the camera, or check its exposure and driver"


def small_grey(grey: np.ndarray) -> np.ndarray:
    """The grey picture uint8 [H, W] at size ``SMALL``, in which noise of single pixels is gone."""
    return cv2.resize(grey, SMALL, interpolation=cv2.INTER_AREA)


def exposed(small: np.ndarray) -> bool:
    """Whether a picture of ``small_grey`` is neither black nor white nor without contrast."""
    mean, spread = _levels(small)
    return DARK <= mean <= BRIGHT and spread >= CONTRAST


def _levels(small: np.ndarray) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(small)
    return float(mean[0, 0]), float(spread[0, 0])


def require_light(picture: np.ndarray, camera: str) -> None:
    """Refuse a black picture RGB uint8 [H, W, 3] of camera ``camera``.

    Raises:
        SensorError: no pixel is brighter than ``BLACK``.
    """
    if picture.max(initial=0) <= BLACK:
        raise SensorError(f"a picture with light in it from camera '{camera}'", f"none above {BLACK} of 255", _CURE)


def require_content(picture: np.ndarray, camera: str) -> None:
    """Refuse a picture RGB uint8 [H, W, 3] of camera ``camera`` that shows nothing.

    Raises:
        SensorError: it is too small, black, white or without contrast.
    """
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_PX:
        raise SensorError(f"a picture of at least {LEAST_PX}x{LEAST_PX} pixels from camera '{camera}'", f"{width}x{height}",
                          "give pictures as the camera took them")
    require_light(picture, camera)
    small = small_grey(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    if not exposed(small):
        mean, spread = _levels(small)
        raise SensorError(f"a picture with content from camera '{camera}'",
                          f"grey levels of mean {mean:.1f} and standard deviation {spread:.1f} of 255", _CURE)
