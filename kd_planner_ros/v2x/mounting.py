"""Whether a roadside camera still looks where it looked when it was first heard: someone may have bumped the pole, or turned the camera.

Its pose comes from the stations file, so the picture of a camera that has moved puts every road user in a wrong place.
"""

from __future__ import annotations

import cv2
import numpy as np

from kd_planner_ros.v2x.order import NS
from kd_planner_ros.v2x.settings import GatewaySettings

PERIOD_S = 0.5
"""A picture is compared so often, whatever the camera's rate."""
SIZE = (192, 108)
"""Width and height at which edges are compared: a hundredth of the width is two pixels."""
BLUR_PX = 1.0
"""Standard deviation of the blur: what trembles by less is in its place."""


class Mounting:
    """How alike the edges of one camera's pictures are to those of the first one: the static world keeps its place in each picture of a
    camera that stays where it is, and passing vehicles hide a part of it for a moment.

    The camera has moved once ``moved_pictures`` pictures in a row were less alike than ``moved_alike``, and is back with the first picture
    that is as alike as that.
    """

    def __init__(self, settings: GatewaySettings):
        self._settings = settings
        self._first: np.ndarray | None = None
        self._compared_ns = 0
        self._unlike = 0

    def moved(self, grey: np.ndarray, stamp_ns: int) -> bool:
        """Whether the camera of the picture ``grey`` [H, W], uint8, looks elsewhere than at first."""
        if self._first is None or not 0 <= stamp_ns - self._compared_ns < PERIOD_S * NS:
            self._compared_ns = stamp_ns
            self._compare(_edges(grey))
        return self._unlike >= self._settings.moved_pictures

    def _compare(self, edges: np.ndarray) -> None:
        if self._first is None:
            self._first = edges
        self._unlike = 0 if float(np.mean(self._first * edges)) >= self._settings.moved_alike else self._unlike + 1


def _edges(grey: np.ndarray) -> np.ndarray:
    """Root of the steepness of the grey levels, [108, 192], mean 0 and deviation 1: the mean product of two is their correlation."""
    small = cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    steep = cv2.GaussianBlur(np.sqrt(np.hypot(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))), (0, 0), BLUR_PX)
    return (steep - steep.mean()) / max(float(steep.std()), 1e-6)
