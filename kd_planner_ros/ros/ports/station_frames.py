"""Where the cameras of roadside stations stand: latched frames, for graphs in which neither a world nor a bridge tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.ros.ports.roadside_outputs import station_mounts
from kd_planner_ros.ros.qos import STATIC, advertise


class StationFrames:
    """Publishes the frames of the cameras of ``stations`` once, below ``map``; nothing where tf2_msgs is not installed."""

    def __init__(self, node: Any, adapter: Any, stations: Sequence[Station]):
        kind = adapter.type_of("tf_static")
        self._node, self._mounts = node, station_mounts(stations)
        self._port = None if kind is None else advertise(node, kind, "tf_static", STATIC)
        if self._port is not None:
            self._port.publish(adapter.to_msg("tf_static", self._mounts, 0))

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        return {"frames of station cameras": "none: tf2_msgs is not installed" if self._port is None else len(self._mounts)}

    def close(self) -> None:
        """Drop the publisher, and with it what is latched."""
        if self._port is not None:
            self._node.destroy_publisher(self._port)
