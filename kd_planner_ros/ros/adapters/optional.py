"""ROS packages that are not on PyPI: each is looked up here, by name, when an adapter asks for it."""

from __future__ import annotations

import copy
import importlib
import sys
from array import array
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.encodings import ENCODINGS
from kd_planner_ros.ros.messages import find_type

APT_PACKAGES = {
    "carla_msgs": "ros-carla-msgs (ros-bridge, built from source)",
    "autoware_control_msgs": "autoware_msgs, built from source",
    "ackermann_msgs": "ros-$ROS_DISTRO-ackermann-msgs",
}


def message_type(package: str, name: str) -> Any | None:
    """The message class ``package.msg.name``, or None where the package is not installed."""
    return find_type(f"{package}/msg/{name}")


def missing_sentence(package: str, without: str) -> str:
    """What is missing and what works without it, for the diagnostics."""
    return f"{package} is not installed ({APT_PACKAGES[package]}); {without}"


def rgb_by_cv_bridge(message: Any) -> np.ndarray:
    """RGB uint8 [H, W, 3] of a picture whose encoding ``imaging.encodings`` does not know, such as yuv422 or a Bayer pattern.

    Raises:
        SensorError: cv_bridge is not importable (that of ROS 2 up to Jazzy breaks with NumPy 2), or cannot convert it.
    """
    try:
        bridge = importlib.import_module("cv_bridge").CvBridge()
    except (ImportError, AttributeError) as error:
        raise SensorError(f"an image encoding out of {', '.join(ENCODINGS)}, or cv_bridge to convert it",
                          f"{message.encoding!r} and {error}",
                          "set the camera driver to one of them, or install ros-$ROS_DISTRO-cv-bridge") from None
    try:
        return np.array(bridge.imgmsg_to_cv2(_in_own_order(message), "rgb8"))
    except Exception as error:  # noqa: BLE001  its own kind of error is known only where it is installed
        raise SensorError(f"an image encoding out of {', '.join(ENCODINGS)}, or one that cv_bridge makes rgb8 of",
                          f"{message.encoding!r}: {error}", "set the camera driver to one of them") from None


def _in_own_order(message: Any) -> Any:
    """``message`` with its values in this machine's byte order: cv_bridge swaps bytes by a method that NumPy 2 does not have."""
    if bool(message.is_bigendian) == (sys.byteorder == "big"):
        return message
    swapped = copy.copy(message)
    swapped.is_bigendian = int(sys.byteorder == "big")
    if "16" in message.encoding:
        swapped.data = array("B", np.frombuffer(message.data, np.uint16).byteswap().tobytes())
    return swapped
