"""The signal phases that a V2X gateway lets through, for a model that wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2

from kd_planner_ros.ros.diagnostics import Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.qos import STATE, subscribe
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.wire.topics import Topics

MAX_AGE_NS = 500_000_000


class PhaseInputs:
    """Keeps the newest phases."""

    def __init__(self, node: Any, adapter: Any, health: Health):
        topic = Topics().of("v2x_phases")
        self._adapter, self._node = adapter, node
        self._newest: tuple[int, np.ndarray] | None = None
        self._count = 0
        self._port = subscribe(node, PointCloud2, topic, guarded(health, self._take, name=topic), STATE)

    def _take(self, message: PointCloud2) -> None:
        self._newest = from_stamp(message.header.stamp), self._adapter.from_msg("v2x_phases", message)
        self._count += 1

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """PHASE_DTYPE [P]; None where the newest ones are not of ``stamp_ns``, within 0.5 s. Any thread may ask."""
        newest = self._newest
        return newest[1] if newest is not None and abs(stamp_ns - newest[0]) <= MAX_AGE_NS else None

    def reset(self) -> None:
        """Forget them: time was set back."""
        self._newest = None

    def values(self) -> dict[str, Any]:
        """Counts for the diagnostics."""
        return {"signal phase messages": self._count}

    def close(self) -> None:
        """Drop the subscription."""
        self._node.destroy_subscription(self._port)
