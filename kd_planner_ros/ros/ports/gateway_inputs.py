"""What the controller hears of a V2X gateway, for its supervisor: road users, signal phases and silent stations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import PointCloud2

from kd_planner_ros.core.v2x import SignalPhases, SilentStations
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.ros.qos import STATE
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.wire.topics import Topics


class GatewayInputs:
    """Hands them to ``pilot``. ``subscriptions`` are the caller's; ``port`` opens one (type, topic, callback, profile)."""

    def __init__(self, port: Callable[..., Any], adapter: Any, pilot: Pilot):
        self._adapter, self._pilot = adapter, pilot
        self.subscriptions = [port(PointCloud2, Topics().of("v2x_objects"), self._objects, STATE),
                              port(PointCloud2, Topics().of("v2x_phases"), self._phases, STATE),
                              port(PointCloud2, Topics().of("v2x_silent"), self._silent, STATE)]

    def _objects(self, message: PointCloud2) -> None:
        self._pilot.hear(self._adapter.from_msg("v2x_objects", message))

    def _phases(self, message: PointCloud2) -> None:
        self._pilot.hear_phases(SignalPhases(from_stamp(message.header.stamp), self._adapter.from_msg("v2x_phases", message)))

    def _silent(self, message: PointCloud2) -> None:
        self._pilot.hear_silent(SilentStations(from_stamp(message.header.stamp), self._adapter.from_msg("v2x_silent", message)))
