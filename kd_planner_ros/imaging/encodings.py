"""Image bytes as ROS messages carry them, to numpy arrays and back: step (row padding) and byte order are honoured."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.errors import SensorError


@dataclass(frozen=True)
class Encoding:
    """Element type and channel count of a ``sensor_msgs/Image`` encoding; ``rgb`` lists the channels R, G, B."""

    dtype: str
    channels: int
    rgb: tuple[int, int, int] | None = None


ENCODINGS = {
    "rgb8": Encoding("u1", 3, (0, 1, 2)),
    "bgr8": Encoding("u1", 3, (2, 1, 0)),
    "rgba8": Encoding("u1", 4, (0, 1, 2)),
    "bgra8": Encoding("u1", 4, (2, 1, 0)),
    "mono8": Encoding("u1", 1),
    "8UC1": Encoding("u1", 1),
    "8UC3": Encoding("u1", 3),
    "8UC4": Encoding("u1", 4),
    "mono16": Encoding("u2", 1),
    "16UC1": Encoding("u2", 1),
    "32SC1": Encoding("i4", 1),
    "32FC1": Encoding("f4", 1),
    "32FC2": Encoding("f4", 2),
    "32FC3": Encoding("f4", 3),
}


def _known(encoding: str) -> Encoding:
    if encoding not in ENCODINGS:
        raise SensorError(f"an image encoding out of {', '.join(ENCODINGS)}", repr(encoding),
                          "set a colour camera to rgb8 or bgr8")
    return ENCODINGS[encoding]


def decode_image(data, height: int, width: int, encoding: str, step: int = 0, big_endian: bool = False) -> np.ndarray:
    """The picture in ``data`` as an array [H, W] or [H, W, C], channels in the encoding's own order.

    No copy is made of unpadded native-endian data: such a result shares memory with ``data`` and may be read-only.

    Args:
        data: anything with the buffer protocol (bytes, array.array, memoryview, uint8 array).
        step: bytes a row, padding included; 0 means unpadded. With one row it does not matter.
        big_endian: the message's ``is_bigendian``; it matters for elements of more than one byte.

    Raises:
        SensorError: unknown encoding, impossible size, step too short or no multiple of the element, data too short.
    """
    spec = _known(encoding)
    dtype = np.dtype(spec.dtype).newbyteorder(">" if big_endian else "<")
    row = width * spec.channels * dtype.itemsize
    if height <= 0 or width <= 0:
        raise SensorError("an image with pixels", f"{width}x{height}", "check the camera")
    step = row if height == 1 else step or row
    if step < row:
        raise SensorError(f"step >= {row} bytes for {width} pixels of {encoding}", str(step), "check the camera driver")
    flat = np.frombuffer(data, np.uint8)
    if flat.size < step * (height - 1) + row:  # the last row may come without padding
        raise SensorError(f"{step * height} bytes for {width}x{height} {encoding}", str(flat.size),
                          "check the camera driver: the message is cut off")
    rows = np.lib.stride_tricks.as_strided(flat, (height, row), (step, 1), writeable=False)
    if dtype.itemsize > 1 or step != row:
        rows = np.ascontiguousarray(rows)
    image = rows.view(dtype) if dtype.itemsize > 1 else rows
    if not image.dtype.isnative:
        image = image.astype(image.dtype.newbyteorder("="))
    return image.reshape(height, width) if spec.channels == 1 else image.reshape(height, width, spec.channels)


def decode_rgb(data, height: int, width: int, encoding: str, step: int = 0) -> np.ndarray:
    """A colour or grey picture as contiguous RGB uint8 [H, W, 3], owning its memory.

    Raises:
        SensorError: as ``decode_image``, and for an encoding that holds no 8-bit colour or grey (depth, 8UC3).
    """
    spec = _known(encoding)
    if spec.rgb is None and encoding != "mono8":
        raise SensorError("a colour image (rgb8, bgr8, rgba8, bgra8, mono8)", repr(encoding),
                          "remap the topic to a colour camera")
    image = decode_image(data, height, width, encoding, step)
    if spec.rgb is None:
        return np.repeat(image[:, :, None], 3, axis=2)
    first, second, third = spec.rgb
    out = np.empty((height, width, 3), np.uint8)
    out[..., 0], out[..., 1], out[..., 2] = image[..., first], image[..., second], image[..., third]
    return out


def encode_rgb(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """RGB uint8 [H, W, 3] in the channel order of ``encoding`` as contiguous uint8 [H, W, C]; alpha is 255.

    Raises:
        SensorError: ``rgb`` has another shape or type, or the encoding holds no colour.
    """
    spec = _known(encoding)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise SensorError("RGB uint8 [H, W, 3]", f"{rgb.dtype} {list(rgb.shape)}", "convert the picture first")
    if spec.rgb is None:
        raise SensorError("a colour encoding (rgb8, bgr8, rgba8, bgra8)", repr(encoding), "choose one of them")
    out = np.full((*rgb.shape[:2], spec.channels), 255, np.uint8)
    for source, channel in enumerate(spec.rgb):
        out[..., channel] = rgb[..., source]
    return out


def encode_image(image: np.ndarray, encoding: str) -> tuple[np.ndarray, int, bool]:
    """Flat uint8 bytes, step and ``is_bigendian`` (always this machine's order) of ``image`` [H, W] or [H, W, C].

    Raises:
        SensorError: element type or channel count are not the encoding's.
    """
    spec = _known(encoding)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype != np.dtype(spec.dtype) or channels != spec.channels:
        raise SensorError(f"{np.dtype(spec.dtype)} with {spec.channels} channels for {encoding}",
                          f"{image.dtype} {list(image.shape)}", "convert the picture first")
    image = np.ascontiguousarray(image)
    flat = image.reshape(-1).view(np.uint8)
    return flat, image.shape[1] * channels * image.dtype.itemsize, sys.byteorder == "big"
