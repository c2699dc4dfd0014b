"""Points in colours out of a depth map and its picture."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.wire.tables import COLOURED_DTYPE


def coloured_points(depth_m: np.ndarray, camera: CameraSpec, picture: np.ndarray, stride: int = 1) -> np.ndarray:
    """COLOURED_DTYPE [N] in the camera's frame (x right, y down, z forward), one point for each ``stride``-th pixel of every
    ``stride``-th row; pixels of unknown depth have none.

    Args:
        depth_m: float [H, W] along the optical axis.
        camera: the camera at the size of ``depth_m``.
        picture: RGB uint8 [h, w, 3] of the same view, of any size.
    """
    height, width = depth_m.shape
    colours = resize_rgb(picture, height, width)[::stride, ::stride]
    z = depth_m[::stride, ::stride]
    rows, columns = np.mgrid[0:height:stride, 0:width:stride]
    known = np.isfinite(z)
    found = np.empty(int(known.sum()), COLOURED_DTYPE)
    found["z"] = z[known]
    found["x"] = found["z"] * (columns[known] + 0.5 - width / 2.0) / camera.focal_px
    found["y"] = found["z"] * (rows[known] + 0.5 - height / 2.0) / camera.focal_px
    red, green, blue = (colours[known][:, channel].astype("<u4") for channel in range(3))
    found["rgb"] = (red << 16 | green << 8 | blue).view("<f4")
    return found
