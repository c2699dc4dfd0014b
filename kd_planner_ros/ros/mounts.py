"""Mountings of cameras as one line of text: the parameter ``camera_mounts``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError

FORM = "NAME x y z yaw pitch roll; ..."


def mounts_text(mounts: Mapping[str, Pose]) -> str:
    """``mounts``, poses in ``base_link`` by camera, in the form of ``FORM``, metres and degrees; "" for none."""
    return "; ".join(" ".join([name, *(repr(float(one)) for one in (pose.x, pose.y, pose.z)),
                               *(repr(math.degrees(one)) for one in (pose.yaw, pose.pitch, pose.roll))]) for name, pose in mounts.items())


def read_mounts(text: str) -> dict[str, Pose]:
    """The poses in ``base_link`` by camera that ``mounts_text`` wrote.

    Raises:
        ConfigError: a text of another form, or a number that is none.
    """
    found = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, *words = part.split()
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
            raise ConfigError(f"camera_mounts as '{FORM}', metres and degrees", repr(part), "correct the YAML or the argument")
        found[name] = Pose(*numbers[:3], *(math.radians(one) for one in numbers[3:]))
    return found
