"""A picture of one camera as another camera on the same optical axis would have taken it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.resize import resize_labels, resize_rgb

SAME_FOV_DEG, SAME_ASPECT = 1.0, 0.02
"""A camera whose field of view and aspect differ by no more is the network's: its pictures are scaled, as published protocols do."""


@dataclass(frozen=True)
class Fit:
    """How pictures of one camera lie in those of another.

    Attributes:
        size: rows and columns of the scaled picture.
        place: row and column of its upper left corner in the other camera's picture; below 0 where it is cut.
        camera: the other camera.
        note: what was done, for a report; "" where the picture was only scaled.
    """

    size: tuple[int, int]
    place: tuple[int, int]
    camera: CameraSpec
    note: str = ""

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        """``rgb`` as the other camera takes it, black beside it."""
        return self._laid(resize_rgb(rgb, *self.size), 0)

    def labels(self, array: np.ndarray, nothing: int) -> np.ndarray:
        """Labels [H, W] of the picture likewise by nearest neighbour, ``nothing`` beside it."""
        return self._laid(resize_labels(array, *self.size), nothing)

    def _laid(self, array: np.ndarray, nothing: int) -> np.ndarray:
        if self.place == (0, 0) and array.shape[:2] == (self.camera.height, self.camera.width):
            return array
        out = np.full((self.camera.height, self.camera.width, *array.shape[2:]), nothing, array.dtype)
        rows, columns = self._shown()
        top, left = self.place
        out[rows, columns] = array[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left]
        return out

    def _shown(self) -> tuple[slice, slice]:
        """Rows and columns of the other camera's picture that show this one; empty where it lies outside."""
        (top, left), (height, width) = self.place, self.size
        rows, columns = (min(max(top, 0), self.camera.height), min(top + height, self.camera.height)), (
            min(max(left, 0), self.camera.width), min(left + width, self.camera.width))
        return slice(rows[0], max(rows)), slice(columns[0], max(columns))

    @property
    def share(self) -> float:
        """Of the other camera's picture that this one covers."""
        rows, columns = self._shown()
        return (rows.stop - rows.start) * (columns.stop - columns.start) / (self.camera.height * self.camera.width)


def fit(shape: tuple[int, int], intrinsics: np.ndarray, camera: CameraSpec) -> Fit:
    """How pictures of ``shape`` (rows, columns) with the pinhole matrix ``intrinsics`` [3, 3] lie in those of ``camera``.

    A picture of the camera's own field of view and aspect is scaled. Another one is scaled to the camera's focal length and laid so
    that both optical axes meet.
    """
    height, width = shape
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    fov = math.degrees(2.0 * math.atan(width / (2.0 * fx)))
    aspect = (camera.width / camera.height) / (width / height)
    if abs(fov - camera.fov_deg) <= SAME_FOV_DEG and abs(aspect - 1.0) <= SAME_ASPECT:
        return Fit((camera.height, camera.width), (0, 0), camera)
    rows, columns = (max(round(size * camera.focal_px / focal), 1) for size, focal in ((height, fy), (width, fx)))
    centre = intrinsics[1, 2] + 0.5, intrinsics[0, 2] + 0.5
    top, left = (round(size / 2.0 - factor * at) for size, factor, at in
                 zip((camera.height, camera.width), (rows / height, columns / width), centre, strict=True))
    found = Fit((rows, columns), (top, left), camera)
    note = (f"pictures of {width}x{height} with {fov:.1f} degrees were fitted to the network's camera ({camera.width}x{camera.height}, "
            f"{camera.fov_deg:.1f} degrees): they cover {100.0 * found.share:.0f} % of its picture, the rest is black")
    return Fit((rows, columns), (top, left), camera, note)
