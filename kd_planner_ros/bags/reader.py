"""Recordings to Frames and truth, whoever recorded them: our recorder, or CARLA through its ROS bridge.

mcap and sqlite3 through ``rosbags``; no ROS. What belongs together is decided by ``header.stamp``, never by the
bag's own time, which is when the recorder happened to be scheduled; only the speedometer, which has no header, is
paired by bag time.
"""

from __future__ import annotations

import math
import re
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from backports import zstd
from rosbags.highlevel import AnyReader
from rosbags.highlevel.anyreader import AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.serde import SerdeError
from ruamel.yaml.error import YAMLError

from kd_planner_ros.bags import decode, messages
from kd_planner_ros.bags.timeline import follow
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.records import Control, Frame, Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraImage, CameraSpec
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS, Timeline, series
from kd_planner_ros.wire.topics import LABELS, TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE, WORLD_INFO, Topics

_BROKEN = (AnyReaderError, ReaderError, SerdeError, zstd.ZstdError, sqlite3.Error, struct.error, EOFError, YAMLError)
_PENDING = 8
"""Instants kept while their sensors come in; older ones count as incomplete."""


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


def open_bag(path: Path | str, role_name: str | None = None) -> Recording:
    """The recording in folder ``path``. Topics are discovered; ``role_name`` is asked for only if two egos are in it.

    Raises:
        BagError: no such folder, no metadata.yaml, a truncated or broken file, or no ego vehicle in it.
    """
    path = Path(path)
    if not path.is_dir():
        raise BagError(f"a rosbag2 folder at {path}", "no such folder", "check the path; 'kd-planner record' writes some")
    if not (path / "metadata.yaml").is_file():
        raise BagError(f"metadata.yaml in {path}", "none: the recording was interrupted",
                       "record it again, or run 'ros2 bag reindex' on it")
    return Recording(path, role_name)


class Recording:
    """A recording: ``custom_data``, ``cameras``, ``clouds``, ``route``, ``timeline`` and ``samples()``.

    ``notes`` says what was missing and what is used instead; ``incomplete`` counts instants that ``samples`` left out
    because a sensor was missing.
    """

    def __init__(self, path: Path, role_name: str | None):
        self.path, self.notes, self.incomplete = path, [], 0
        with self._errors():
            self._reader = AnyReader([path], default_typestore=messages.typestore())
            self._reader.open()  # once: parsing metadata.yaml takes longer than reading a short drive
        self._kinds = {connection.topic: connection.msgtype for connection in self._reader.connections}
        custom = self._reader.readers[0].storage.metadata.custom or {}
        self.custom_data: dict[str, str] = {str(k): str(v) for k, v in custom.items()}
        self.role_name = role_name or self._find_role()
        self.topics = Topics(self.role_name)

    def close(self) -> None:
        """Close the files; also done when the recording is no longer referred to."""
        self._reader.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what is in it -----------------------------------------------------------------------------------------------

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """Ids of the colour cameras, sorted. Label cameras (``<id>_depth`` ...) are not among them."""
        pattern = re.compile(re.escape(f"/carla/{self.role_name}/") + r"([^/]+)/image$")
        names = sorted(m.group(1) for m in map(pattern.match, self._kinds) if m)
        return tuple(n for n in names if not any(n == f"{c}_{kind}" for c in names for kind in LABELS)
                     and not re.match(r"(depth|semantic|instance|dvs)", n))

    @cached_property
    def clouds(self) -> tuple[str, ...]:
        """Ids of the LiDARs, sorted."""
        prefix = f"/carla/{self.role_name}/"
        return tuple(sorted(topic.removeprefix(prefix) for topic, kind in self._kinds.items()
                            if kind == "sensor_msgs/msg/PointCloud2" and topic.startswith(prefix)
                            and topic not in (self.topics.route,) and "radar" not in topic))

    def camera_spec(self, camera: str) -> CameraSpec | None:
        """The size and field of view of one camera, from its camera_info; its pose is left at zero. None without one."""
        topic = self.topics.image(camera).removesuffix("image") + "camera_info"
        for _, _, message in self._messages([topic]):
            k = np.asarray(message.k if hasattr(message, "k") else message.K, float)
            fov = 2.0 * math.degrees(math.atan2(message.width / 2.0, k[0])) if k[0] > 0 else 90.0
            return CameraSpec(camera, Pose(), int(message.width), int(message.height), round(fov, 6))
        return None

    def has_label(self, camera: str, kind: str) -> bool:
        """Whether ``kind`` (depth, semantic, instance) of the camera was recorded."""
        return self.topics.label(camera, kind) in self._kinds or (kind == "semantic" and self.topics.ids(camera) in self._kinds)

    @cached_property
    def map_name(self) -> str:
        """The map as our recorder noted it, or as CARLA's bridge told it; "" where neither did."""
        noted = self.custom_data.get("map", "")
        told = self._messages([WORLD_INFO]) if not noted and WORLD_INFO in self._kinds else ()
        return noted or next((str(message.map_name) for _, _, message in told), "")

    @property
    def kinds(self) -> Mapping[str, str]:
        """Message type by topic."""
        return self._kinds

    @cached_property
    def route(self) -> Route | None:
        """The dense plan; from a ``waypoints`` path it has no turn commands. None where neither was recorded."""
        for topic in (self.topics.route, self.topics.waypoints):
            if topic in self._kinds:
                for _, _, message in self._messages([topic]):
                    route = decode.route(message, topic, self.path.name, self.custom_data)
                    if len(route.points) >= 2:
                        return route
        return None

    # --- contents ----------------------------------------------------------------------------------------------------

    @cached_property
    def timeline(self) -> Timeline:
        """Ego, controls and named truth at full rate, with navigation goals where there is a route.

        Raises:
            BagError: there is no odometry.
        """
        topics = self.topics
        if topics.odometry not in self._kinds:
            raise BagError(f"{topics.odometry} in {self.path}", f"topics {', '.join(sorted(self._kinds))}",
                           "record it too: without it pictures can be read (Recording.pictures), but no Frame")
        odometry, speeds, imu, controls, states = [], [], [], [], []
        names: tuple[str, ...] = ()
        small = (topics.odometry, topics.speed, topics.imu, topics.control, TRUTH_STATE)
        for topic, bag_ns, message in self._messages(small):
            if topic == topics.odometry:
                odometry.append((messages.stamp_of(message), bag_ns, decode.ego_row(message)))
            elif topic == topics.speed:
                speeds.append((bag_ns, decode.speed(message)))
            elif topic == topics.imu:
                imu.append((messages.stamp_of(message), message.linear_acceleration.x))
            elif topic == topics.control:
                controls.append((messages.stamp_of(message), decode.control(message, topic)))
            else:
                names = names or tuple(message.name)
                states.append((messages.stamp_of(message), np.asarray(message.position)))
        rows = decode.join_ego(odometry, speeds, series(imu), self.notes, topics.speed)
        timeline = Timeline(rows, series(controls, 3), series(states, len(names)), names)
        if self.route is None:
            self.notes.append(f"no {topics.route}: frames have no navigation goal")
            return timeline
        targets, commands = follow(self.route, timeline)
        return Timeline(rows, timeline.control, timeline.state, names, targets, commands)

    def pictures(self, camera: str) -> Iterator[tuple[int, np.ndarray]]:
        """(stamp in ns, RGB uint8 [H, W, 3]) of one camera, whatever else is missing."""
        self._require(self.topics.image(camera), f"the recording has the cameras {', '.join(self.cameras) or 'none'}")
        for topic, _, message in self._messages([self.topics.image(camera)]):
            yield messages.stamp_of(message), decode.rgb(message, topic)

    def samples(self, cameras: tuple[str, ...] | None = None, clouds: tuple[str, ...] = (),
                labels: tuple[str, ...] = ()) -> Iterator[Sample]:
        """Instants at which every named sensor gave something, in time order.

        Args:
            cameras: ids; the first one triggers. All of them by default.
            clouds: LiDAR ids.
            labels: of ``depth``, ``semantic``, ``instance``; each camera's, into ``truth.labels``.

        Raises:
            BagError: a topic is missing (it is named, and what still works), or the file is broken.
        """
        cameras = self.cameras if cameras is None else tuple(cameras)
        wanted = self._wanted(cameras, clouds, labels)
        timeline = self.timeline
        truth = [topic for topic in (TRUTH_OBJECTS, TRUTH_SIGNALS) if topic in self._kinds]
        pending: dict[int, dict[str, Any]] = {}
        for topic, _, message in self._messages([*wanted, *truth]):
            stamp = messages.stamp_of(message)
            key = next((k for k in reversed(pending) if abs(k - stamp) <= STAMP_TOLERANCE_NS), stamp)
            found = pending.setdefault(key, {})
            found[topic] = message
            if len(found) == len(wanted) + len(truth):
                sample = self._sample(pending.pop(key), cameras, clouds, labels, timeline)
                if sample is not None:
                    yield sample
            elif len(pending) > _PENDING:
                self.incomplete += self._is_loss(pending.pop(next(iter(pending))), truth)
        self.incomplete += sum(self._is_loss(found, truth) for found in pending.values())

    # --- inside ------------------------------------------------------------------------------------------------------

    def _is_loss(self, found: dict[str, Any], truth: list[str]) -> bool:
        return any(topic not in truth for topic in found)

    def _wanted(self, cameras: tuple[str, ...], clouds: tuple[str, ...], labels: tuple[str, ...]) -> list[str]:
        have = f"the recording has the cameras {', '.join(self.cameras) or 'none'} and the LiDARs " \
               f"{', '.join(self.clouds) or 'none'}: ask for those, or record again"
        if not cameras:
            self._require(self.topics.image("<camera>"), have)
        wanted = [self.topics.image(camera) for camera in cameras] + [self.topics.sensor(cloud) for cloud in clouds]
        for camera in cameras:
            wanted += [self.topics.ids(camera) if kind == "semantic" and self.topics.ids(camera) in self._kinds
                       else self.topics.label(camera, kind) for kind in labels]
        for topic in wanted:
            self._require(topic, have)
        return wanted

    def _require(self, topic: str, remedy: str) -> None:
        if topic not in self._kinds:
            raise BagError(f"{topic} in {self.path}", "no such topic", remedy)

    def _sample(self, found: dict[str, Any], cameras: tuple[str, ...], clouds: tuple[str, ...],
                labels: tuple[str, ...], timeline: Timeline) -> Sample | None:
        topics = self.topics
        stamp = messages.stamp_of(found[topics.image(cameras[0])])
        row = int(timeline.ego.at(np.array([stamp]))[0])
        if row < 0:
            self.incomplete += 1
            return None
        images = {c: decode.rgb(found[topics.image(c)], topics.image(c)) for c in cameras}
        points = {c: decode.cloud(found[topics.sensor(c)], topics.sensor(c)) for c in clouds}
        ages = {c: (stamp - messages.stamp_of(found[topics.image(c)])) / 1e9 for c in cameras}
        ages |= {c: (stamp - messages.stamp_of(found[topics.sensor(c)])) / 1e9 for c in clouds}
        frame = make_frame((), timeline.ego_state(row), timeline.goal(row), images, points, ages, stamp_ns=stamp)
        shots = {c: decode.labels(found, topics, c, labels, stamp, images[c]) for c in cameras} if labels else {}
        state, control = timeline.state.at(np.array([stamp]))[0], timeline.control.at(np.array([stamp]))[0]
        states = dict(zip(timeline.state_names, timeline.state.values[state].tolist())) if state >= 0 else {}
        done = Control(stamp, *timeline.control.values[control].tolist()) if control >= 0 else None
        actors, signals = decode.truth_tables(found)
        return Sample(frame, Truth(actors, signals, states, done, shots))

    def _find_role(self) -> str:
        roles = sorted({m.group(1) for m in (re.match(r"/carla/([^/]+)/odometry$", t) for t in self._kinds) if m})
        if not roles:
            roles = sorted({m.group(1) for m in (re.match(r"/carla/([^/]+)/[^/]+/image$", t) for t in self._kinds) if m})
        if len(roles) == 1:
            return roles[0]
        if roles:
            raise BagError(f"one ego vehicle in {self.path}", f"{len(roles)}: {', '.join(roles)}", "give the role name")
        raise BagError(f"/carla/<role name>/odometry in {self.path}",
                       f"topics {', '.join(sorted(self._kinds)[:8]) or 'none'}",
                       "record the topics of CARLA's ROS bridge, or remap yours to them")

    def _messages(self, topics: Any) -> Iterator[tuple[str, int, Any]]:
        with self._errors():
            chosen = [c for c in self._reader.connections if c.topic in set(topics)]
            for connection, bag_ns, raw in self._reader.messages(chosen) if chosen else ():
                yield connection.topic, bag_ns, self._reader.deserialize(raw, connection.msgtype)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (*_BROKEN, AssertionError, KeyError, UnicodeDecodeError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BagError(f"a whole recording in {self.path}", text,
                           "the file is cut off or damaged: copy or record it again, or run 'ros2 bag reindex'") from None
