"""What a roadside station sees: the topics of its cameras and of its object list, each at the rate of the radio."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.messages import find_type
from kd_planner_ros.ros.pace import Pace
from kd_planner_ros.ros.qos import ROADSIDE, ROADSIDE_IMAGE, subscribe
from kd_planner_ros.ros.specs.v2x_station import V2xStationParams
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.v2x.station import Sender
from kd_planner_ros.wire.codec.carla import OBJECTS
from kd_planner_ros.wire.codec.etsi import CPM, perceived_of

NS = 1_000_000_000


class StationInputs:
    """Hands what comes from one station's sensors to ``sender``; ``after`` is called then.

    Raises:
        ConfigError: a topic of ``params`` with other names in braces than ``{station}`` and ``{camera}``; two sources of object lists.
    """

    def __init__(self, node: Any, adapter: Any, params: V2xStationParams, sender: Sender, health: Health, now_ns: Callable[[], int | None],
                 after: Callable[[], None]):
        _require_one_source(params)
        cpm = _cpm_type(params) if params.cpm_topic else None
        self._adapter, self._sender, self._now_ns, self._after = adapter, sender, now_ns, after
        self._pace = Pace()
        self._ports = []
        self.notes: Counter[str] = Counter()
        """What CPMs lacked, and those that were left out."""

        def port(kind: type, topic: str, work: Callable[[Any], None]) -> None:
            profile = ROADSIDE_IMAGE if kind is Image else ROADSIDE
            self._ports.append(subscribe(node, kind, topic, guarded(health, work, name=topic), profile, partial(health.set, "qos", WARN)))

        station = sender.station
        for one in station.cameras:
            topic = _filled("image_topic", params.image_topic, station=station.id, camera=one.id)
            kind = CompressedImage if topic.endswith("/compressed") else Image
            port(kind, topic, partial(self._picture, one.id, round(params.picture_period_s * NS)))
        if params.objects_topic:
            topic = _filled("objects_topic", params.objects_topic, station=station.id)
            port(PointCloud2, topic, partial(self._objects, round(params.objects_period_s * NS)))
        if cpm is not None:
            place = replace(station.pose, yaw=math.radians(params.cpm_east_deg))
            take = partial(self._perceived, place, params.cpm_station, round(params.objects_period_s * NS))
            port(cpm, params.cpm_topic, take)

    def _picture(self, camera: str, period_ns: int, message: Any) -> None:
        stamp_ns, now_ns = from_stamp(message.header.stamp), self._now_ns()
        if now_ns is not None and self._pace.is_due(camera, stamp_ns, period_ns):
            self._sender.picture(camera, self._adapter.image_from_msg(message), stamp_ns, now_ns)
            self._after()

    def _objects(self, period_ns: int, message: PointCloud2) -> None:
        stamp_ns, now_ns = from_stamp(message.header.stamp), self._now_ns()
        if now_ns is not None and self._pace.is_due("", stamp_ns, period_ns):
            self._sender.objects(self._adapter.from_msg("station_objects", message), stamp_ns, now_ns)
            self._after()

    def _perceived(self, place: Pose, wanted: int, period_ns: int, message: Any) -> None:
        found, now_ns = perceived_of(message, place), self._now_ns()
        if found.station != wanted:
            self.notes["CPMs of another station"] += 1
        elif now_ns is not None and self._pace.is_due("cpm", found.stamp_ns, period_ns):
            self.notes += found.notes
            self._sender.objects(found.rows, found.stamp_ns, now_ns)
            self._after()

    def close(self, node: Any) -> None:
        """Drop the subscriptions."""
        for one in self._ports:
            node.destroy_subscription(one)
        self._ports = []


def _require_one_source(params: V2xStationParams) -> None:
    """A station sends one object list: two sources would replace each other and mix their ids."""
    given = [name for name in ("objects_topic", "cpm_topic", "bridge_objects_topic") if getattr(params, name)]
    if len(given) > 1:
        raise ConfigError(f"one source of object lists: {given[-1]} with an empty {given[0]}, or {given[0]} alone",
                          " beside ".join(f"{name} {getattr(params, name)!r}" for name in given),
                          f"give {given[0]} as '', or leave {given[-1]} out")


def bridge_type(params: V2xStationParams) -> type:
    """The message type in which CARLA's bridge tells the road users.

    Raises:
        ConfigError: its package is not installed.
    """
    found = find_type(OBJECTS)
    if found is None:
        raise ConfigError("package derived_object_msgs for parameter bridge_objects_topic", "it is not installed",
                          "source the workspace of CARLA's bridge, or leave bridge_objects_topic out")
    return found


def _cpm_type(params: V2xStationParams) -> type:
    found = find_type(CPM)
    if found is None:
        raise ConfigError("package etsi_its_cpm_ts_msgs for parameter cpm_topic", "it is not installed",
                          "install ros-$ROS_DISTRO-etsi-its-cpm-ts-msgs, or leave cpm_topic out")
    if not params.station:
        raise ConfigError("parameter station with cpm_topic: whose objects the CPMs hold", "none", "name the station")
    return found


def _filled(parameter: str, text: str, **names: str) -> str:
    try:
        return text.format(**names)
    except (KeyError, IndexError, ValueError):
        raise ConfigError(f"{parameter} with {' and '.join(f'{{{name}}}' for name in names)} as the only names in braces", repr(text),
                          "correct the parameter") from None
