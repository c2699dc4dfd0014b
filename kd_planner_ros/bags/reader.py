"""Recordings to Frames and ground truth: those of our recorder, and those of CARLA's ROS bridge.

What belongs together is decided by ``header.stamp``; only the speedometer, which has no header, is paired by bag time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags import decode
from kd_planner_ros.bags.contents import Contents
from kd_planner_ros.bags.instants import Labels, Sample, SampleBuilder, Truth, instants, kinds_of
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.roadside import decoders, feeding, roadside_topics
from kd_planner_ros.bags.timeline import follow
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.frames import FrameMaker
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.timeline import Timeline, series
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.motion import speed_of
from kd_planner_ros.wire.codec.pictures import rgb_of
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE

__all__ = ["Recording", "Sample", "Truth", "open_bag"]


def open_bag(path: Path | str, role_name: str | None = None) -> Recording:
    """The recording in folder ``path``. Topics are discovered; ``role_name`` is asked for only if two egos are in it.

    Raises:
        BagError: no such folder, no metadata.yaml, a truncated or broken file, or no ego vehicle in it.
    """
    path = Path(path)
    if not path.is_dir():
        raise BagError(f"a rosbag2 folder at {path}", "a file" if path.exists() else "no such folder",
                       "check the path; 'kd-planner record' writes some")
    if not (path / "metadata.yaml").is_file():
        if inner := sorted(found.parent for found in path.glob("*/metadata.yaml") if found.parent.suffix != ".partial"):
            raise BagError(f"one recording at {path}", f"a folder of {len(inner)}", f"name one of them, for example {inner[0]}")
        raise BagError(f"metadata.yaml in {path}", "none: the recording was interrupted",
                       "record it again, or run 'ros2 bag reindex' on it")
    return Recording(path, role_name)


class Recording(Contents):
    """A recording: what ``Contents`` says of it, its ``timeline`` and its ``samples()``.

    ``notes`` says what was missing and what is used instead; ``incomplete`` counts instants that ``samples`` left out
    because a sensor was missing.
    """

    def __init__(self, path: Path, role_name: str | None):
        super().__init__(path, role_name)
        self.incomplete = 0
        self.notes: list[str] = []

    @cached_property
    def timeline(self) -> Timeline:
        """Ego, controls and named truth at full rate, with navigation goals where there is a route.

        Raises:
            BagError: there is no odometry.
        """
        topics = self.topics
        if topics.odometry not in self.kinds:
            raise BagError(f"{topics.odometry} in {self.path}", f"topics {', '.join(sorted(self.kinds))}",
                           "record it too: without it pictures can be read (Recording.pictures), but no Frame")
        odometry, speeds, imu, controls, states = [], [], [], [], []
        names: tuple[str, ...] = ()
        small = (topics.odometry, topics.speed, topics.imu, topics.control, TRUTH_STATE)
        for topic, bag_ns, message in self.messages(small):
            if topic == topics.odometry:
                odometry.append((stamp_of(message), bag_ns, decode.ego_row(message)))
            elif topic == topics.speed:
                speeds.append((bag_ns, speed_of(message)[1]))
            elif topic == topics.imu:
                imu.append((stamp_of(message), message.linear_acceleration.x))
            elif topic == topics.control:
                controls.append((stamp_of(message), decode.control_row(message, topic)))
            else:
                names = names or tuple(message.name)
                states.append((stamp_of(message), np.asarray(message.position)))
        rows = decode.join_ego(odometry, speeds, series(imu), self.notes, topics.speed)
        timeline = Timeline(rows, series(controls, 3), series(states, len(names)), names)
        if self.route is None:
            self.notes.append(f"no {topics.route}: frames have no navigation goal")
            return timeline
        targets, commands = follow(self.route, timeline)
        return Timeline(rows, timeline.control, timeline.state, names, targets, commands)

    def pictures(self, camera: str) -> Iterator[tuple[int, np.ndarray]]:
        """(stamp in ns, RGB uint8 [H, W, 3]) of one camera, whatever else is missing."""
        self._require(self.image_topic(camera), f"the recording has the cameras {', '.join(self.cameras) or 'none'}")
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
                instant counts: what is late, missing or too old is missing in its frame.

        Raises:
            BagError: a topic is missing (it is named, and what still works), or the file is broken.
        """
        cameras = self.cameras if cameras is None else tuple(cameras)
        wanted = self._wanted(cameras, clouds, labels)
        specs = tuple(spec for spec in map(self.camera_spec, cameras) if spec is not None)
        maker = FrameMaker(replace(wants or SensorRig(), cameras=specs))
        topics = {camera: self.image_topic(camera) for camera in cameras}
        builder = SampleBuilder(self.topics, self.timeline, topics, tuple(clouds), labels, maker, decoders(self.notes))
        truth = [topic for topic in (TRUTH_OBJECTS, TRUTH_SIGNALS) if topic in self.kinds]
        sources = {} if maker.roadside is None else self._roadside_sources()
        messages = self.messages([*wanted, *truth, *sources])
        if maker.roadside is not None:
            messages = feeding(messages, sources, maker.roadside)
        for found in instants(messages, wanted, truth, self._lose):
            sample = builder.build(found)
            if sample is None:
                self._lose()
            else:
                yield sample

    # --- inside ------------------------------------------------------------------------------------------------------

    def _roadside_sources(self) -> dict[str, tuple[str, Any]]:
        sources = roadside_topics(self.stations, self.kinds)
        if not sources:
            self.notes.append(f"no pictures and no object lists of stations on {self.topics.of('stations')}: frames have no roadside views")
        return sources

    def _lose(self) -> None:
        self.incomplete += 1

    def _wanted(self, cameras: tuple[str, ...], clouds: tuple[str, ...], labels: Labels) -> list[str]:
        have = f"the recording has the cameras {', '.join(self.cameras) or 'none'} and the LiDARs " \
               f"{', '.join(self.clouds) or 'none'}: ask for those, or record again"
        if not cameras:
            self._require(self.topics.image("<camera>"), have)
        wanted = [self.image_topic(camera) for camera in cameras] + [self.topics.sensor(cloud) for cloud in clouds]
        for camera in cameras:
            wanted += [self.topics.ids(camera) if kind == "semantic" and self.topics.ids(camera) in self.kinds
                       else self.topics.label(camera, kind) for kind in kinds_of(labels, camera)]
        for topic in wanted:
            self._require(topic, have)
        return wanted

    def _require(self, topic: str, remedy: str) -> None:
        if topic not in self.kinds:
            raise BagError(f"{topic} in {self.path}", "no such topic", remedy)
