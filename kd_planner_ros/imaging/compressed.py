"""JPEG and PNG bytes to pictures and back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from kd_planner_ros.core.errors import SensorError

FORMATS = ("jpeg", "png")
JPEG_QUALITY = 95
_SUFFIX = {"jpeg": ".jpg", "png": ".png"}


def compress(pixels: np.ndarray, form: str = "jpeg", quality: int = JPEG_QUALITY) -> np.ndarray:
    """The file's bytes, uint8 [N], of RGB uint8 [H, W, 3] or of one channel [H, W] (uint8; uint16 for PNG alone).

    PNG keeps every value; JPEG does not.

    Raises:
        SensorError: an unknown format, or pixels that the format cannot hold.
    """
    if form not in FORMATS:
        raise SensorError(f"a picture format out of {', '.join(FORMATS)}", repr(form), "choose one of them")
    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    grey = pixels.ndim == 2 and (pixels.dtype == np.uint8 or (pixels.dtype == np.uint16 and form == "png"))
    if not (colour or grey) or not pixels.size:
        raise SensorError(f"RGB uint8 [H, W, 3] or one channel [H, W] for {form}", f"{pixels.dtype} {list(pixels.shape)}",
                          "send it as an uncompressed image")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if form == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, data = cv2.imencode(_SUFFIX[form], cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if colour else pixels, options)
    return data.reshape(-1)


def decompress(data: Any) -> np.ndarray:
    """The picture in a JPEG's or PNG's bytes: RGB uint8 [H, W, 3], or one channel [H, W] as it was stored. A picture with
    transparency loses it.

    Args:
        data: anything with the buffer protocol (bytes, array.array, uint8 array).

    Raises:
        SensorError: the bytes hold no picture, or are cut off.
    """
    flat = np.frombuffer(data, np.uint8)
    try:
        found = cv2.imdecode(flat, cv2.IMREAD_UNCHANGED) if flat.size else None
    except cv2.error:
        found = None
    if found is None:
        raise SensorError("a JPEG or PNG picture", f"{flat.size} bytes that are neither", "check the camera driver")
    if found.ndim == 2:
        return np.asarray(found)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGRA2RGB if found.shape[2] == 4 else cv2.COLOR_BGR2RGB))
