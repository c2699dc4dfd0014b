"""Pictures of every encoding, plain and compressed, and the calibration of the camera."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.compressed import compress, decompress
from kd_planner_ros.imaging.encodings import decode_image, decode_rgb, encode_image, encode_rgb
from kd_planner_ros.imaging.palette import bgra_of_ids, ids_of_colours
from kd_planner_ros.wire.codec.base import Make, header

IMAGE, COMPRESSED, CAMERA_INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
COLOURS = ("bgra8", "rgb8", "bgr8", "rgba8")
RAW_DEPTH_RANGE_M = 1000.0
FOCAL_SHARE = (0.1, 20.0)
"""Focal lengths as shares of the picture's width: fields of view from 157 to 3 degrees."""
FOCAL_RATIO = 2.0
"""Pixels are at most so many times as wide as high, or as high as wide."""


def image(make: Make, pixels: np.ndarray, encoding: str, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/Image of pixels [H, W] or [H, W, C] that are in the encoding's own layout already.

    Raises:
        SensorError: element type or channel count are not the encoding's.
    """
    data, step, big_endian = encode_image(pixels, encoding)
    return make(IMAGE, header=header(make, stamp_ns, frame), height=int(pixels.shape[0]), width=int(pixels.shape[1]),
                encoding=encoding, is_bigendian=int(big_endian), step=int(step), data=data)


def rgb(make: Make, picture: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """RGB uint8 [H, W, 3] as ``bgra8``, CARLA's encoding."""
    return image(make, encode_rgb(picture, "bgra8"), "bgra8", stamp_ns, frame)


def depth(make: Make, metres: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """Depth [H, W] in metres as ``32FC1``."""
    return image(make, metres.astype(np.float32, copy=False), "32FC1", stamp_ns, frame)


def classes(make: Make, ids: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """Class ids uint8 [H, W] as ``mono8``."""
    return image(make, ids, "mono8", stamp_ns, frame)


def class_colours(make: Make, ids: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """Class ids uint8 [H, W] in CARLA's palette, ``bgra8``."""
    return image(make, bgra_of_ids(ids), "bgra8", stamp_ns, frame)


def instances(make: Make, ids: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """Instance ids [H, W] as ``32SC1``."""
    return image(make, ids.astype(np.int32, copy=False), "32SC1", stamp_ns, frame)


def weights(make: Make, values: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """Numbers [H, W], such as attention, as ``32FC1``."""
    return depth(make, values, stamp_ns, frame)


def compressed(make: Make, picture: np.ndarray, stamp_ns: int, frame: str, form: str = "jpeg") -> Any:
    """sensor_msgs/CompressedImage of RGB uint8 [H, W, 3] or of one channel [H, W]; ``form`` is jpeg or png.

    Raises:
        SensorError: an unknown format, or pixels that the format cannot hold.
    """
    return make(COMPRESSED, header=header(make, stamp_ns, frame), format=form, data=compress(picture, form))


def rgb_of(message: Any) -> np.ndarray:
    """The picture in an Image or a CompressedImage as RGB uint8 [H, W, 3], its own memory.

    Raises:
        SensorError: no colour or grey picture, or one that is cut off.
    """
    if hasattr(message, "format"):
        found = decompress(message.data)
        if found.dtype != np.uint8:
            raise SensorError("a picture of 8 bits a channel", str(found.dtype), "remap the topic to a colour camera")
        return found if found.ndim == 3 else np.repeat(found[:, :, None], 3, axis=2)
    return decode_rgb(message.data, message.height, message.width, message.encoding, message.step)


def pixels_of(message: Any) -> np.ndarray:
    """The pixels of an Image [H, W] or [H, W, C] in the encoding's own layout and this machine's byte order, own memory.
    A CompressedImage is decompressed: RGB or one channel.

    Raises:
        SensorError: an unknown encoding, an impossible size or step, or too few bytes.
    """
    if hasattr(message, "format"):
        return decompress(message.data)
    return decode_image(message.data, message.height, message.width, message.encoding, message.step,
                        bool(message.is_bigendian)).copy()


def label_of(message: Any) -> np.ndarray:
    """A label picture [H, W]: class ids or instance ids; colours of CARLA's palette become class ids.

    Raises:
        SensorError: as ``pixels_of``.
    """
    if getattr(message, "encoding", "") in COLOURS:
        return ids_of_colours(rgb_of(message))
    pixels = pixels_of(message)
    return pixels if pixels.ndim == 2 else ids_of_colours(pixels)


def depth_of(message: Any) -> np.ndarray:
    """Planar depth in metres, float32 [H, W], of an Image or a PNG. Millimetres (``16UC1``, REP 118) become metres, with NaN for 0.

    Raises:
        SensorError: pixels of another kind, as CARLA's raw code in colours, or as ``pixels_of``.
    """
    pixels = pixels_of(message)
    if pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.float32, np.float64):
        raise SensorError("depth in metres (32FC1) or millimetres (16UC1)", repr(getattr(message, "encoding", str(pixels.dtype))),
                          "record the depth picture of CARLA's ROS bridge")
    if pixels.dtype == np.uint16:
        return np.where(pixels > 0, pixels / np.float32(1000.0), np.float32(np.nan)).astype(np.float32)
    return pixels.astype(np.float32, copy=False)


def coded_depth_of(message: Any) -> np.ndarray:
    """Planar depth in metres, float32 [H, W], of CARLA's raw picture: (R + 256 G + 65536 B) / (2^24 - 1) * 1000.

    Raises:
        SensorError: the message is no ``bgra8`` image.
    """
    pixels = _raw(message).astype(np.float64)
    code = pixels[..., 0] + 256.0 * pixels[..., 1] + 65536.0 * pixels[..., 2]
    return (code / (2**24 - 1) * RAW_DEPTH_RANGE_M).astype(np.float32)


def red_classes_of(message: Any) -> np.ndarray:
    """Class ids uint8 [H, W] of CARLA's raw picture, as its version numbers them.

    Raises:
        SensorError: the message is no ``bgra8`` image.
    """
    return np.ascontiguousarray(_raw(message)[..., 0])


def _raw(message: Any) -> np.ndarray:
    if message.encoding != "bgra8":
        raise SensorError("CARLA's raw bgra8 image", repr(message.encoding),
                          "use carla_profile:=carla_bridge for images of the ROS bridge")
    return rgb_of(message)


def camera_info(make: Make, spec: CameraSpec, stamp_ns: int, frame: str) -> Any:
    """Pinhole without distortion: fx = fy = W / (2 tan(fov / 2)), principal point in the middle."""
    f, cx, cy = spec.focal_px, spec.width / 2.0, spec.height / 2.0
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(CAMERA_INFO, header=header(make, stamp_ns, frame), height=spec.height, width=spec.width,
                distortion_model="plumb_bob", d=np.zeros(5), k=np.array([f, 0, cx, 0, f, cy, 0, 0, 1.0]),
                r=np.eye(3).reshape(-1), p=np.array([f, 0, cx, 0, 0, f, cy, 0, 0, 0, 1.0, 0]), binning_x=0,
                binning_y=0, roi=roi)


def camera_of(message: Any, camera: str = "") -> CameraSpec:
    """The size and the horizontal field of view in a CameraInfo; the pose stays at zero. A distortion and a principal point
    off the middle are not represented.

    Raises:
        SensorError: no size, focal lengths that no camera of this width has (an uncalibrated camera says 0; others are in
            millimetres), or a principal point outside the picture.
    """
    k = np.asarray(message.k if hasattr(message, "k") else message.K, float)
    width, height = int(message.width), int(message.height)
    if width <= 0 or height <= 0:
        raise SensorError("a camera_info with a size", f"{width}x{height}", "check the camera driver")
    low, high = (share * width for share in FOCAL_SHARE)
    if len(k) != 9 or not (low <= k[0] <= high and k[0] / FOCAL_RATIO <= k[4] <= k[0] * FOCAL_RATIO):
        got = f"fx {k[0]:g} and fy {k[4]:g}" if len(k) == 9 else f"{len(k)} numbers"
        raise SensorError(f"focal lengths from {low:g} to {high:g} pixels for pictures {width} pixels wide in camera_info", got,
                          "calibrate the camera, or record without its camera_info")
    if not (0.0 < k[2] < width and 0.0 < k[5] < height):
        raise SensorError(f"a principal point within {width}x{height} in camera_info", f"cx {k[2]:g} and cy {k[5]:g}",
                          "calibrate the camera, or record without its camera_info")
    return CameraSpec(camera, Pose(), width, height, round(2.0 * math.degrees(math.atan2(width / 2.0, k[0])), 6))
