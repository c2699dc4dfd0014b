"""Recordings to Frames and ground truth: those of our recorder, and those of CARLA's ROS bridge.

What belongs together is decided by ``header.stamp``; only the speedometer, which has no header, is paired by bag time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.contents import Contents
from kd_planner_ros.bags.instants import Labels, Sample, SampleBuilder, Truth, instants, kinds_of
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.motion import read_motion
from kd_planner_ros.bags.roadside import Arrivals, Message, decoders, roadside_topics, through
from kd_planner_ros.bags.source import Source, as_source
from kd_planner_ros.bags.timeline import follow
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.frames import FrameMaker, RoadsideBuffer
from kd_planner_ros.core.sensors import SensorRig, Station
from kd_planner_ros.core.timeline import Timeline
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.pictures import rgb_of
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS

__all__ = ["Recording", "Sample", "Truth", "open_bag"]


def open_bag(path: Path | str | Source, role_name: str | None = None) -> Recording:
    """The recording at ``path``: a rosbag2 folder, with metadata.yaml or without, or a single .mcap or .db3 file. Topics are
    discovered; ``role_name`` is asked for only if two egos are in it. A ``Source`` says it, and the names of cameras.

    Raises:
        BagError: no recording there, a truncated or broken file, fewer messages than metadata.yaml says, or no ego vehicle.
    """
    source = as_source(path)
    return Recording(replace(source, role_name=role_name) if role_name else source)


def require_enough(recording: Contents, cameras: Collection[str], rig: SensorRig | None) -> int:
    """The pictures that a frame of ``rig`` must have at least; ``cameras`` are those of its cameras that were recorded.

    Raises:
        BagError: they are fewer.
    """
    least = 0 if rig is None else rig.min_cameras
    if len(cameras) < least:
        raise BagError(f"at least {least} of the planner's cameras in {recording.path}", f"{len(cameras)}: {', '.join(cameras) or 'none'}",
                       "record more of them, or choose a planner that needs fewer cameras")
    return least


class Recording(Contents):
    """A recording: what ``Contents`` says of it, its ``timeline`` and its ``samples()``.

    ``incomplete`` counts instants that ``samples`` left out because a sensor was missing; ``radio`` what became of the messages of
    roadside stations, where the source has a radio for them.
    """

    def __init__(self, source: Source, file: BagFile | None = None):
        super().__init__(source, file)
        self.incomplete = 0
        self.radio: Counter[str] = Counter()
        self._settings = source.radio

    @cached_property
    def timeline(self) -> Timeline:
        """Ego, controls and named truth at full rate, with navigation goals where there is a route.

        Raises:
            BagError: there is no odometry that can be believed.
        """
        timeline = read_motion(self)
        route = self.usable_route
        if route is None:
            return timeline
        targets, commands = follow(route, timeline)
        return replace(timeline, targets=targets, commands=commands)

    def received(self, topics: Iterable[str]) -> Iterator[tuple[str, int, bytes]]:
        """As ``raw``, but what roadside stations sent as the source's radio brings it: late, or not at all. ``radio`` counts anew.

        Raises:
            BagError: the file is truncated or broken.
        """
        wanted = list(topics)
        stations = set(roadside_topics(self.stations, self.held)) & set(wanted) if self._settings is not None else set()
        if self._settings is None or not stations:
            return self.raw(wanted)
        channel = Channel(self._settings)
        self.radio = channel.counts
        return through(self.raw(wanted), stations, channel)

    def pictures(self, camera: str) -> Iterator[tuple[int, np.ndarray]]:
        """(stamp in ns, RGB uint8 [H, W, 3]) of one camera, whatever else is missing."""
        self.require(self.image_topic(camera), f"the recording has the cameras {', '.join(self.cameras) or 'none'}")
        for topic, _, message in self.messages([self.image_topic(camera)]):
            yield stamp_of(message), decoded(rgb_of, message, topic)

    def samples(self, cameras: tuple[str, ...] | None = None, clouds: tuple[str, ...] = (),
                labels: Labels = (), wants: SensorRig | None = None) -> Iterator[Sample]:
        """Instants at which every named sensor gave something, in time order.

        Args:
            cameras: ids; the first one triggers. All of them by default.
            clouds: LiDAR ids.
            labels: of ``depth``, ``semantic``, ``instance``; each camera's, or by camera; into ``truth.labels``.
            wants: rig of a model whose earlier frames and roadside views are wanted too. Those never decide whether an
                instant counts: what is late, missing or too old is missing in its frame. A route that cannot be read is refused unless
                it says that none is needed. Of its ``optional`` sensors an instant may lack some, but for ``min_cameras`` pictures;
                one that was not recorded is noted.

        Raises:
            BagError: a topic is missing (it is named, and what still works), or the file is broken.
        """
        if wants is None or wants.needs_route:
            self.route  # noqa: B018  one that cannot be read is refused where goals are wanted
        cameras, clouds = self._recorded(self.cameras if cameras is None else tuple(cameras), clouds, wants)
        optional = frozenset(topic for topic in (*map(self.image_topic, cameras), *map(self.topics.sensor, clouds))
                             if wants is not None and topic in self._optional_topics(wants))
        wanted = self._wanted(cameras, clouds, labels)
        specs = tuple(spec for spec in map(self.camera_spec, cameras) if spec is not None)
        maker = FrameMaker(replace(wants or SensorRig(), cameras=specs, optional=()))
        topics = {camera: self.image_topic(camera) for camera in cameras}
        sizes = {spec.id: (spec.width, spec.height) for spec in specs}
        builder = SampleBuilder(self.topics, self.timeline, topics, sizes, tuple(clouds), labels, maker, decoders(self.notes))
        truth = [topic for topic in (TRUTH_OBJECTS, TRUTH_SIGNALS) if self.usable(topic)]
        joined = [*wanted, *truth]
        messages, hear = self._with_stations(joined, wanted[0], maker.roadside)
        newest = -1
        gathered = instants(messages, wanted, truth, self._lose, self.late_ns(joined), self.spread_ns(joined), optional)
        for found in self._enough(gathered, topics, wants):
            hear(stamp_of(found[wanted[0]]))
            sample = builder.build(found)
            if sample is None or sample.frame.stamp_ns <= newest:  # no ego state, or two pictures within half a tick
                self._lose()
                continue
            newest = sample.frame.stamp_ns
            yield sample

    # --- inside ------------------------------------------------------------------------------------------------------

    def _optional_topics(self, rig: SensorRig) -> set[str]:
        """The topics of the sensors of ``rig`` that may be missing."""
        return {self.image_topic(spec.id) for spec in rig.cameras if spec.id in rig.optional} | {
            self.topics.sensor(spec.id) for spec in rig.lidars if spec.id in rig.optional}

    def _recorded(self, cameras: tuple[str, ...], clouds: tuple[str, ...], wants: SensorRig | None) -> tuple[
            tuple[str, ...], tuple[str, ...]]:
        """``cameras`` and ``clouds`` without those that may be missing and were not recorded."""
        optional = set() if wants is None else self._optional_topics(wants)

        def lacks(topic: str, name: str) -> bool:
            if topic not in optional or self.usable(topic):
                return False
            note = f"nothing of sensor '{name}' was recorded: the model goes without"
            self.notes += [note] if note not in self.notes else []
            return True

        return (tuple(name for name in cameras if not lacks(self.image_topic(name), name)),
                tuple(name for name in clouds if not lacks(self.topics.sensor(name), name)))

    def _with_stations(self, joined: list[str], trigger: str, buffer: RoadsideBuffer | None) -> tuple[
            Iterator[Message], Callable[[int], None]]:
        """The messages of ``joined``, and what puts those of stations into ``buffer`` that have arrived for the picture of a stamp."""
        if buffer is None:
            return self.messages(joined), lambda stamp_ns: None
        sources = self._roadside_sources()
        arrivals = Arrivals(sources, trigger, buffer)
        messages = ((topic, bag_ns, self._file.decode(topic, raw)) for topic, bag_ns, raw in self.received([*joined, *sources]))
        return arrivals.passing(messages), arrivals.until

    def _roadside_sources(self) -> dict[str, tuple[Station, Any]]:
        sources = {topic: source for topic, source in roadside_topics(self.stations, self.held).items() if self.usable(topic)}
        if not sources:
            self.notes.append(f"no pictures and no object lists of stations on {self.topics.of('stations')}: frames have no roadside views")
        return sources

    def _enough(self, gathered: Iterable[dict[str, Any]], topics: Mapping[str, str], wants: SensorRig | None) -> Iterator[dict[str, Any]]:
        """The instants with as many pictures on ``topics``, by camera, as a frame of ``wants`` must have; the others are lost."""
        least = require_enough(self, topics, wants)
        for found in gathered:
            if sum(topic in found for topic in topics.values()) >= least:
                yield found
            else:
                self._lose()

    def _lose(self) -> None:
        self.incomplete += 1

    def _wanted(self, cameras: tuple[str, ...], clouds: tuple[str, ...], labels: Labels) -> list[str]:
        have = f"the recording has the cameras {', '.join(self.cameras) or 'none'} and the LiDARs " \
               f"{', '.join(self.clouds) or 'none'}: say which is which with --camera NAME=RECORDED, or record again"
        if not cameras:
            self.require(self.topics.image("<camera>"), have)
        wanted = [self.image_topic(camera) for camera in cameras] + [self.topics.sensor(cloud) for cloud in clouds]
        for camera in cameras:
            wanted += [self.label_topic(camera, kind) for kind in kinds_of(labels, camera)]
        for topic in wanted:
            self.require(topic, have)
        return wanted
