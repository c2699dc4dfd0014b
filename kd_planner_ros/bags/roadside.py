"""Roadside stations of a recording: which were recorded, and their messages as a model is given them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.frames import RoadsideBuffer
from kd_planner_ros.core.sensors import SensorRig, Station
from kd_planner_ros.core.v2x import RadioMessage
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.pictures import rgb_of
from kd_planner_ros.wire.codec.tables import actors_of
from kd_planner_ros.wire.topics import Topics

Message = tuple[str, int, Any]
"""(topic, bag time in ns, message)."""
Serialised = tuple[str, int, bytes]
"""(topic, bag time in ns, serialised message)."""
LAST_NS = 1 << 63
"""After every message."""


def picture_topic(topics: Topics, camera: str, held: Collection[str]) -> str:
    """The topic of a camera's pictures: compressed where they were recorded so alone, else plain. ``held``: topics with a message."""
    plain, compressed = topics.image(camera), topics.of("compressed", camera)
    return compressed if compressed in held and plain not in held else plain


def roadside_topics(stations: Iterable[Station], held: Collection[str]) -> dict[str, tuple[Station, Any]]:
    """Recorded topics of ``stations``: name to (station, camera), the camera None for an object list."""
    found: dict[str, tuple[Station, Any]] = {}
    for station in stations:
        topics = Topics(station.id)
        found |= {picture_topic(topics, camera.id, held): (station, camera) for camera in station.cameras}
        found[topics.of("station_objects")] = (station, None)
    return {topic: source for topic, source in found.items() if topic in held}


def require_hearer(radio: ChannelSettings | None, rig: SensorRig, name: str) -> None:
    """Refuse a radio for a model that hears no station.

    Raises:
        ConfigError: there is a radio, and model ``name`` with ``rig`` asks for no roadside views.
    """
    if radio is not None and rig.roadside is None:
        raise ConfigError("a model that asks for roadside views with --v2x-latency-ms and the other options of the radio",
                          f"'{name}', which asks for none", "choose another model, or leave them out")


def through(messages: Iterable[Serialised], topics: Collection[str], channel: Channel) -> Iterator[Serialised]:
    """``messages`` by bag time, those on ``topics`` as ``channel`` brings them: later, with the time of their arrival, or not at all.

    Each topic is a station of its own to the channel, and its messages are numbered in the order of the recording: what happens to a
    message does not depend on which other topics are read.
    """
    numbers: Counter[str] = Counter()

    def arrived(now_ns: int) -> Iterator[Serialised]:
        return ((one.station, one.received_ns, one.payload) for one in channel.arrived(now_ns))

    for topic, bag_ns, raw in messages:
        yield from arrived(bag_ns)
        if topic not in topics:
            yield topic, bag_ns, raw
            continue
        numbers[topic] += 1
        channel.send(RadioMessage(topic, numbers[topic], "", bag_ns, bytes(raw)), bag_ns)
    yield from arrived(LAST_NS)


class Arrivals:
    """The messages of roadside stations on their way into ``buffer``.

    A message has arrived for the first picture on ``trigger`` that follows it in the recording, and for all that were taken later. A replay
    plays it with that picture (``ros/graph/player.py``), so that both give a model the same views.

    Args:
        sources: topics of stations with the station and the camera, as ``roadside_topics`` gives them.
    """

    def __init__(self, sources: Mapping[str, tuple[Station, Any]], trigger: str, buffer: RoadsideBuffer):
        self._sources, self._trigger, self._buffer = sources, trigger, buffer
        self._waiting: list[tuple[str, Any]] = []
        self._arrived: list[tuple[int, int, str, Any]] = []
        self._count = 0

    def passing(self, messages: Iterable[Message]) -> Iterator[Message]:
        """``messages`` without those of stations."""
        for topic, bag_ns, message in messages:
            if topic in self._sources:
                self._waiting.append((topic, message))
                continue
            if topic == self._trigger:
                for one in self._waiting:
                    self._count += 1
                    heapq.heappush(self._arrived, (stamp_of(message), self._count, *one))
                self._waiting.clear()
            yield topic, bag_ns, message

    def until(self, stamp_ns: int) -> None:
        """Hand over what has arrived for the picture of ``stamp_ns``."""
        while self._arrived and self._arrived[0][0] <= stamp_ns:
            _, _, topic, message = heapq.heappop(self._arrived)
            station, camera = self._sources[topic]
            if camera is None:
                self._buffer.take_objects(station, stamp_of(message), message)
            else:
                self._buffer.take_picture(station, camera, stamp_of(message), message)


def tolerant(decode: Callable[[Any], np.ndarray], notes: list[str], what: str) -> Callable[[Any], np.ndarray | None]:
    """``decode``, but None for what cannot be read: a broken roadside message costs its view and no more. ``notes`` receives
    once."""
    def attempt(message: Any) -> np.ndarray | None:
        try:
            return decode(message)
        except SensorError as error:
            note = f"{what} of a roadside station that cannot be read: {error}"
            if note not in notes:
                notes.append(note)
            return None

    return attempt


def decoders(notes: list[str]) -> dict[str, Callable[[Any], np.ndarray | None]]:
    """The arguments of ``FrameMaker.make`` that decode kept messages."""
    return {"image_of": tolerant(rgb_of, notes, "a picture"), "objects_of": tolerant(actors_of, notes, "an object list")}
