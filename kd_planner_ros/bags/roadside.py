"""Roadside stations of a recording: which were recorded, and their messages as a model is given them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.frames import RoadsideBuffer
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.pictures import rgb_of
from kd_planner_ros.wire.codec.tables import actors_of
from kd_planner_ros.wire.topics import Topics

Message = tuple[str, int, Any]
"""(topic, bag time in ns, message)."""


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


def feeding(messages: Iterable[Message], sources: Mapping[str, tuple[Station, Any]], buffer: RoadsideBuffer) -> Iterator[Message]:
    """``messages`` without those of roadside stations, which go into ``buffer`` on the way."""
    for topic, bag_ns, message in messages:
        if topic not in sources:
            yield topic, bag_ns, message
            continue
        station, camera = sources[topic]
        if camera is None:
            buffer.take_objects(station, stamp_of(message), message)
        else:
            buffer.take_picture(station, camera, stamp_of(message), message)


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
