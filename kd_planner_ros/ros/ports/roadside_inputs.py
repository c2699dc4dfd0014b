"""The roadside stations that a model hears: their pictures and object lists, all of them optional."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.frames import RoadsideBuffer
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.qos import LATCHED, ROADSIDE, ROADSIDE_IMAGE, subscribe
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.wire.topics import DIRECT, Topics, roadside

TAKEN = ("roadside pictures", "roadside object lists")
"""Counts of the diagnostics: messages that are kept for the model's next frame."""


class RoadsideInputs:
    """Subscribes to the stations that ``/carla/stations`` names, and keeps their newest messages in ``buffer``; topics have ``beginning``
    in place of ``/carla``.

    Nothing waits for a station: what is late, out of order, missing or broken costs a view and no plan. Messages are only
    unpacked by ``image_of`` and ``objects_of``, which the worker thread calls. ``on_taken`` is called when one has been kept and
    counted.
    """

    def __init__(self, node: Any, adapter: Any, buffer: RoadsideBuffer, health: Health, beginning: str = DIRECT,
                 on_taken: Callable[[], None] = lambda: None):
        self._node, self._adapter, self._buffer, self._health = node, adapter, buffer, health
        self._beginning, self._on_taken = beginning, on_taken
        self._counts = {**dict.fromkeys(TAKEN, 0), "roadside messages refused": 0}
        self._known: dict[str, tuple[Station, list[Any]]] = {}
        topic = roadside(Topics().of("stations"), beginning)
        self._stations = subscribe(node, String, topic, guarded(health, self._take_stations, name="stations"), LATCHED)

    def _take_stations(self, message: String) -> None:
        """Hear these stations alone: another map's have the same ids at other places, and perhaps other cameras."""
        told = {station.id: station for station in self._adapter.from_msg("stations", message)}
        for name in [name for name, (station, _) in self._known.items() if told.get(name) != station]:
            for port in self._known.pop(name)[1]:
                self._node.destroy_subscription(port)
            self._buffer.forget(name)
        for name, station in told.items():
            if name not in self._known:
                self._known[name] = station, self._subscribe(station)

    def _subscribe(self, station: Station) -> list[Any]:
        topics, node, health = Topics(station.id), self._node, self._health

        def objects(message: PointCloud2) -> None:
            self._buffer.take_objects(station, from_stamp(message.header.stamp), message)
            self._count("roadside object lists")

        def pictures(camera: CameraSpec) -> Any:
            def take(message: Image) -> None:
                self._buffer.take_picture(station, camera, from_stamp(message.header.stamp), message)
                self._count("roadside pictures")

            return take

        named = [(roadside(topics.image(camera.id), self._beginning), camera) for camera in station.cameras
                 if self._buffer.hears(lists=False)]
        mismatch = partial(health.set, "qos", WARN)
        ports = [subscribe(node, Image, topic, guarded(health, pictures(camera), name=topic), ROADSIDE_IMAGE, mismatch)
                 for topic, camera in named]
        if self._buffer.hears(lists=True):
            topic = roadside(topics.of("station_objects"), self._beginning)
            ports.append(subscribe(node, PointCloud2, topic, guarded(health, objects, name=topic), ROADSIDE))
        return ports

    def _count(self, name: str) -> None:
        self._counts[name] += 1
        self._on_taken()

    def image_of(self, message: Image) -> np.ndarray | None:
        """The picture, RGB uint8 [H, W, 3]; None where it cannot be read, which is counted and reported in the diagnostics."""
        return self._read("image", message)

    def objects_of(self, message: PointCloud2) -> np.ndarray | None:
        """The object list, ACTOR_DTYPE [N] in ``map``; None as for ``image_of``."""
        return self._read("station_objects", message)

    @property
    def decoders(self) -> dict[str, Any]:
        """The arguments of ``FrameMaker.make`` that decode what is in ``buffer``."""
        return {"image_of": self.image_of, "objects_of": self.objects_of}

    def _read(self, channel: str, message: Any) -> Any:
        try:
            return self._adapter.from_msg(channel, message)
        except SensorError as error:
            self._counts["roadside messages refused"] += 1
            self._health.set("roadside", WARN, f"a message of {message.header.frame_id} is left out: {error}")
            return None

    def values(self) -> dict[str, Any]:
        """Counts for the diagnostics."""
        return {"roadside stations": len(self._known), **self._counts, "roadside pictures unpaired": self._buffer.unpaired}

    def close(self, node: Any) -> None:
        """Drop the subscriptions."""
        for one in (self._stations, *(port for _, ports in self._known.values() for port in ports)):
            node.destroy_subscription(one)
        self._known.clear()
