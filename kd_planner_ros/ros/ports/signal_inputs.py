"""The signal phases that one station sends on from an on-board unit: SPATEMs, read with the lanes of a MAPEM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.diagnostics import Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.messages import find_type
from kd_planner_ros.ros.pace import Pace
from kd_planner_ros.ros.pose_text import read_pose
from kd_planner_ros.ros.qos import ROADSIDE, subscribe
from kd_planner_ros.ros.specs.v2x_station import V2xStationParams
from kd_planner_ros.v2x.station import Sender
from kd_planner_ros.wire.codec.etsi_signals import MAPEM, SPATEM, StopLine, lanes_of, phases_of

NS = 1_000_000_000


class SignalInputs:
    """Hands the phases of the one intersection in ``params`` to ``sender``, once each ``phases_period_s``; ``after`` is called then. Phases
    that come before the lanes are known are counted.

    Raises:
        ConfigError: one topic without the other, no station named, phases of the built-in world beside them, or a package is missing.
    """

    def __init__(self, node: Any, params: V2xStationParams, sender: Sender, health: Health, now_ns: Callable[[], int | None],
                 after: Callable[[], None]):
        spatem, mapem = _types(params)
        self._place, self._intersection = read_pose(params.intersection_place, "intersection_place"), params.intersection
        self._sender, self._now_ns, self._after = sender, now_ns, after
        self._lines: Mapping[int, StopLine] | None = None
        self._pace, self._period_ns = Pace(), round(params.phases_period_s * NS)
        self.notes: Counter[str] = Counter()
        """What messages lacked, and those that were left out."""
        self._ports = [subscribe(node, kind, topic, guarded(health, work, name=topic), ROADSIDE) for kind, topic, work in (
            (mapem, params.mapem_topic, self.take_lanes), (spatem, params.spatem_topic, self.take_phases))]

    def take_lanes(self, message: Any) -> None:
        """A MAPEM."""
        found = lanes_of(message, self._intersection, self._place)
        if found is None:
            self.notes["MAPEMs of other intersections"] += 1
            return
        self._lines = found.lines
        self.notes.update({name: count - self.notes[name] for name, count in found.notes.items()})  # each message says all of them again

    def take_phases(self, message: Any) -> None:
        """A SPATEM."""
        now_ns = self._now_ns()
        if now_ns is None or self._lines is None:
            self.notes["SPATEMs before a MAPEM"] += self._lines is None
            return
        found = phases_of(message, self._intersection, self._lines, now_ns)
        if found is None:
            self.notes["SPATEMs of other intersections"] += 1
            return
        if not self._pace.is_due("", found.stamp_ns, self._period_ns):
            return
        self.notes += found.notes
        self._sender.phase_rows(found.rows, found.stamp_ns, now_ns)
        self._after()

    def close(self, node: Any) -> None:
        """Drop the subscriptions."""
        for one in self._ports:
            node.destroy_subscription(one)
        self._ports = []


def _types(params: V2xStationParams) -> tuple[type, type]:
    if not (params.spatem_topic and params.mapem_topic):
        raise ConfigError("parameters spatem_topic and mapem_topic together: one has the phases, the other the lanes",
                          f"spatem_topic {params.spatem_topic!r}, mapem_topic {params.mapem_topic!r}", "give both, or leave both out")
    if params.signals:  # a station sends one list of phases: two sources would replace each other
        raise ConfigError("one source of signal phases: spatem_topic with signals false, or signals alone",
                          f"signals true beside spatem_topic {params.spatem_topic!r}", "give signals as false, or leave spatem_topic out")
    if not params.station:
        raise ConfigError("parameter station with spatem_topic: who sends the phases", "none", "name the station")
    found = {kind: find_type(kind) for kind in (SPATEM, MAPEM)}
    for kind, known in found.items():
        if known is None:
            package = kind.partition("/")[0]
            raise ConfigError(f"package {package} for parameter spatem_topic", "it is not installed",
                              f"install ros-$ROS_DISTRO-{package.replace('_', '-')}, or leave spatem_topic and mapem_topic out")
    return found[SPATEM], found[MAPEM]  # type: ignore[return-value]
