"""Frames by their names, as a vehicle tells them. Pure; no ROS."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.wire.codec.motion import Mount


class FrameTree:
    """Frames by their names, as ``/tf_static`` and ``/tf`` tell them one after another."""

    def __init__(self) -> None:
        self._parents: dict[str, Mount] = {}

    def add(self, mounts: Iterable[Mount]) -> None:
        """Take ``mounts``; a newer one of a child replaces the older."""
        self._parents.update({mount.child.lstrip("/"): mount for mount in mounts})

    @property
    def known(self) -> bool:
        """Whether any frame is known."""
        return bool(self._parents)

    def find(self, child: str, root: str) -> Pose | None:
        """The pose of ``child`` in ``root``; None where no chain of frames leads there."""
        turn, place, frame = np.eye(3), np.zeros(3), child
        for _ in range(len(self._parents)):
            mount = self._parents.get(frame)
            if mount is None:
                return None
            step, frame = rotation_3d(mount.pose), mount.parent.lstrip("/")
            place = step @ place + [mount.pose.x, mount.pose.y, mount.pose.z]
            turn = step @ turn
            if frame == root:
                return _pose(turn, place)
        return None


def _pose(turn: np.ndarray, place: np.ndarray) -> Pose:
    """The pose of a rotation matrix Rz(yaw) Ry(pitch) Rx(roll) [3, 3] and a place [3]."""
    pitch = math.asin(min(max(-float(turn[2, 0]), -1.0), 1.0))
    yaw, roll = math.atan2(turn[1, 0], turn[0, 0]), math.atan2(turn[2, 1], turn[2, 2])
    x, y, z = place.tolist()
    return Pose(x, y, z, yaw, pitch, roll)
