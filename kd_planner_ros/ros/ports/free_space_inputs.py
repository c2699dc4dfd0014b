"""What the gateway's node reads of the car's own LiDAR: free space, with the car where it was when the cloud was taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.ros.pose_text import read_pose
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.v2x.free_space import FreeSpace, free_space

TOLERANCE_NS = 25_000_000
"""Half a tick of 20 Hz: cloud and odometry of one instant."""


class FreeSpaceInputs:
    """Pairs each cloud with the odometry of its instant, whichever comes first, and hands its free space to ``on_free``.

    Args:
        lidar: name of the LiDAR, for sentences.
        pose: its place in ``base_link``, see ``read_pose``.

    Clouds that cannot be used are left out and counted: without any the gateway refuses no object as a ghost. Clouds in which nothing is
    free are counted too: a wrong ``pose`` shows there.

    Raises:
        ConfigError: as ``read_pose``.
    """

    def __init__(self, adapter: Any, lidar: str, pose: str, on_free: Callable[[FreeSpace], None]):
        self._adapter, self._lidar, self._mount, self._on_free = adapter, lidar, read_pose(pose), on_free
        self._cloud: Any = None
        self._ego: EgoState | None = None
        self._counts = {"clouds used": 0, "clouds without odometry": 0, "clouds that cannot be read": 0,
                        "clouds without free ground": 0}

    def take(self, message: Any) -> None:
        """A cloud (sensor_msgs/PointCloud2)."""
        self._counts["clouds without odometry"] += self._cloud is not None
        self._cloud = message
        self._pair()

    def locate(self, ego: EgoState) -> None:
        """The car is here now."""
        self._ego = ego
        self._pair()

    def reset(self) -> None:
        """Time was set back."""
        self._cloud = self._ego = None

    def _pair(self) -> None:
        if self._cloud is None or self._ego is None:
            return
        off_ns = self._ego.stamp_ns - from_stamp(self._cloud.header.stamp)
        if off_ns < -TOLERANCE_NS:
            return  # its odometry has not come yet
        cloud, self._cloud = self._cloud, None
        if off_ns > TOLERANCE_NS:
            self._counts["clouds without odometry"] += 1
            return
        try:
            points = self._adapter.cloud_from_msg(cloud, self._lidar)
        except SensorError:
            self._counts["clouds that cannot be read"] += 1
            return
        self._counts["clouds used"] += 1
        free = free_space(points, self._ego, self._mount)
        self._counts["clouds without free ground"] += not free.ranges_m.any()
        self._on_free(free)

    def values(self) -> dict[str, Any]:
        """Counts for the diagnostics."""
        return dict(self._counts)
