"""Messages that belong to one instant become one Sample: a Frame and the truth about it.

What belongs together is decided by ``header.stamp``, never by the bag's own time, which is when the recorder happened to be
scheduled.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kd_planner_ros.bags.decode import labels, truth_tables
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.stamps import CLOCK_LIMIT_NS, LATE_NS
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.frames import FrameMaker
from kd_planner_ros.core.records import Control, Frame
from kd_planner_ros.core.sensors import CameraImage
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS, Timeline
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.pictures import rgb_of
from kd_planner_ros.wire.codec.tables import cloud_of
from kd_planner_ros.wire.topics import Topics

Labels = tuple[str, ...] | Mapping[str, tuple[str, ...]]
"""Labels wanted of every camera, or those of each camera by its id."""
PENDING = 8
"""At least so many instants are kept while their sensors come in; older ones count as incomplete."""
LONGEST_NS = CLOCK_LIMIT_NS + LATE_NS
"""No sensor is waited for longer, whatever a recording says: what waits is held in memory."""


@dataclass(frozen=True)
class Truth:
    """What no student sees: boxes (ACTOR_DTYPE), signals (SIGNAL_DTYPE), named states, the executed control (steer
    positive left), labels by camera. None or empty where not recorded."""

    actors: np.ndarray | None = None
    signals: np.ndarray | None = None
    states: Mapping[str, float] = field(default_factory=dict)
    control: Control | None = None
    labels: Mapping[str, CameraImage] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One instant of a recording."""

    frame: Frame
    truth: Truth


def kinds_of(wanted: Labels, camera: str) -> tuple[str, ...]:
    """The labels wanted of ``camera``."""
    return tuple(wanted.get(camera, ())) if isinstance(wanted, Mapping) else tuple(wanted)


def instants(messages: Iterable[tuple[str, int, Any]], sensors: Sequence[str], truth: Sequence[str],
             on_loss: Callable[[], None], late_ns: int = 0, spread_ns: int = 0,
             optional: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """Message by topic of every instant at which all of ``sensors`` and ``truth`` came, within half a tick of 20 Hz, by stamp; those in
    ``optional`` may be missing. Of messages of one topic with one stamp the first counts.

    Args:
        messages: (topic, bag time, message) of those topics.
        on_loss: called for each instant that is left out although a sensor gave something.
        late_ns, spread_ns: how late a message comes at most after a newer one, of its own topic and of any (``Catalogue``).
    """
    kept_ns = min(spread_ns, LONGEST_NS) + 2 * STAMP_TOLERANCE_NS
    in_order = InOrder(min(late_ns, LATE_NS) + (kept_ns if optional else 0))  # an instant that lacks something is known so much later
    gathered = _Gathered(sensors, truth, optional, kept_ns, on_loss)
    for topic, _, message in messages:
        for stamp, found in gathered.take(topic, stamp_of(message), message):
            yield from in_order.put(stamp, found)
    for stamp, found in gathered.settle(math.inf) if optional else ():
        yield from in_order.put(stamp, found)
    yield from in_order.rest()
    gathered.lose_rest()


class _Gathered:
    """Messages by their instants, until all of one are there."""

    def __init__(self, sensors: Sequence[str], truth: Sequence[str], optional: frozenset[str], kept_ns: int, on_loss: Callable[[], None]):
        self._truth, self._needed, self._count = set(truth), {*sensors, *truth} - optional, len(sensors) + len(truth)
        self._optional, self._kept_ns, self._on_loss = optional, kept_ns, on_loss
        self._pending: dict[int, dict[str, Any]] = {}
        self._seen: dict[str, set[int]] = {topic: set() for topic in (*sensors, *truth)}
        self._newest = -1

    def take(self, topic: str, stamp: int, message: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """Add a message; gives the instants that are whole now."""
        if stamp in self._seen[topic]:
            return
        self._seen[topic].add(stamp)
        self._newest = max(self._newest, stamp)
        if self._optional:
            yield from self.settle(self._newest - self._kept_ns)
        pending = self._pending
        key = next((k for k in reversed(pending) if abs(k - stamp) <= STAMP_TOLERANCE_NS), stamp)
        found = pending.setdefault(key, {})
        found[topic] = message
        if len(found) == self._count:
            yield key, pending.pop(key)
        while len(pending) > PENDING and (oldest := next(iter(pending))) < self._newest - self._kept_ns:
            self._lose(pending.pop(oldest))

    def settle(self, before_ns: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """The instants from before that time that lack nothing but what may be missing; the others are lost."""
        for stamp in sorted(one for one in self._pending if one < before_ns):
            found = self._pending.pop(stamp)
            if self._needed <= found.keys():
                yield stamp, found
            else:
                self._lose(found)

    def lose_rest(self) -> None:
        """No message comes any more."""
        for found in self._pending.values():
            self._lose(found)

    def _lose(self, found: Mapping[str, Any]) -> None:
        if any(topic not in self._truth for topic in found):
            self._on_loss()


class InOrder:
    """Instants by stamp, where some are complete up to ``late_ns`` after newer ones: those wait so long."""

    def __init__(self, late_ns: int):
        self._hold_ns = late_ns + 2 * STAMP_TOLERANCE_NS if late_ns else 0
        self._waiting: list[tuple[int, int, dict[str, Any]]] = []
        self._count, self._newest = 0, -1

    def put(self, stamp_ns: int, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Take the instant ``found``; gives those that no older one can come before."""
        heapq.heappush(self._waiting, (stamp_ns, self._count, found))
        self._count += 1
        self._newest = max(self._newest, stamp_ns)
        while self._waiting and self._waiting[0][0] <= self._newest - self._hold_ns:
            yield heapq.heappop(self._waiting)[2]

    def rest(self) -> Iterator[dict[str, Any]]:
        """Those that wait."""
        while self._waiting:
            yield heapq.heappop(self._waiting)[2]


@dataclass(frozen=True)
class SampleBuilder:
    """Builds Samples of the named sensors; the first camera triggers.

    Args:
        cameras: camera id to the topic of its pictures.
        sizes: (width, height) that each camera's camera_info gives.
        maker: puts the frames together; ``decoders`` are its arguments that decode roadside messages.
    """

    topics: Topics
    timeline: Timeline
    cameras: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]
    clouds: tuple[str, ...]
    labels: Labels
    maker: FrameMaker
    decoders: Mapping[str, Callable[[Any], np.ndarray | None]]

    def build(self, found: Mapping[str, Any]) -> Sample | None:
        """The Sample of the messages ``found``; None where the timeline has no ego state.

        Raises:
            BagError: a message cannot be read, or a picture has another size than its camera_info says.
        """
        sensor, stamp = self.topics.sensor, stamp_of(found[next(iter(self.cameras.values()))])
        row = int(self.timeline.ego.at(np.array([stamp]))[0])
        if row < 0:
            return None
        images = {c: decoded(rgb_of, found[topic], topic) for c, topic in self.cameras.items() if topic in found}
        self._require_sizes(images)
        points = {c: decoded(cloud_of, found[sensor(c)], sensor(c)) for c in self.clouds if sensor(c) in found}
        ages = {c: (stamp - stamp_of(found[self.cameras[c]])) / 1e9 for c in images}
        ages |= {c: (stamp - stamp_of(found[sensor(c)])) / 1e9 for c in points}
        frame = self.maker.make(self.timeline.ego_state(row), self.timeline.goal(row), images, points, ages, stamp_ns=stamp,
                                **self.decoders)
        return Sample(frame, self._truth(found, stamp, images))

    def _require_sizes(self, images: Mapping[str, np.ndarray]) -> None:
        for camera, size in self.sizes.items():
            if camera not in images:
                continue
            height, width = images[camera].shape[:2]
            if (width, height) != size:
                raise BagError(f"pictures of {size[0]}x{size[1]} on {self.cameras[camera]}, as its camera_info says", f"{width}x{height}",
                               "record the camera_info that belongs to the pictures, or none")

    def _truth(self, found: Mapping[str, Any], stamp: int, images: Mapping[str, np.ndarray]) -> Truth:
        timeline, at = self.timeline, np.array([stamp])
        shots = {c: labels(found, self.topics, c, kinds, stamp, images[c]) for c in images if (kinds := kinds_of(self.labels, c))}
        state, control = timeline.state.at(at)[0], timeline.control.at(at)[0]
        states = dict(zip(timeline.state_names, timeline.state.values[state].tolist(), strict=True)) if state >= 0 else {}
        done = Control(stamp, *timeline.control.values[control].tolist()) if control >= 0 else None
        actors, signals = truth_tables(found)
        return Truth(actors, signals, states, done, shots)
