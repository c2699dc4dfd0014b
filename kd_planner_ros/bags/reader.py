"""Recordings to Frames and truth, whoever recorded them: our recorder, or CARLA through its ROS bridge.

What belongs together is decided by ``header.stamp``; only the speedometer, which has no header, is paired by bag time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags import decode
from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.instants import Labels, Sample, SampleBuilder, Truth, instants, kinds_of
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.roadside import decoders, feeding, picture_topic, roadside_topics
from kd_planner_ros.bags.timeline import follow
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.frames import FrameMaker
from kd_planner_ros.core.records import Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraSpec, SensorRig, Station
from kd_planner_ros.core.timeline import Timeline, series
from kd_planner_ros.wire.channels import CHANNELS, find_channel
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.motion import speed_of
from kd_planner_ros.wire.codec.pictures import camera_of, rgb_of
from kd_planner_ros.wire.topics import LABELS, TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE, WORLD_INFO, Topics

__all__ = ["Recording", "Sample", "Truth", "open_bag"]


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
    """A recording: ``custom_data``, ``kinds`` (message type by topic), ``cameras``, ``clouds``, ``route``, ``timeline`` and
    ``samples()``.

    ``notes`` says what was missing and what is used instead; ``incomplete`` counts instants that ``samples`` left out
    because a sensor was missing.
    """

    def __init__(self, path: Path, role_name: str | None):
        self.path, self.incomplete = path, 0
        self.notes: list[str] = []
        self._file = BagFile(path)
        self.kinds: Mapping[str, str] = self._file.kinds
        self.custom_data = self._file.custom_data
        self.role_name = role_name or _find_role(self.kinds, path)
        self.topics = Topics(self.role_name)

    def close(self) -> None:
        """Close the files; also done when the recording is no longer referred to."""
        self._file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what is in it -----------------------------------------------------------------------------------------------

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """Ids of the colour cameras, sorted. Label cameras (``<id>_depth`` ...) are not among them."""
        pattern = re.compile(re.escape(f"/carla/{self.role_name}/") + r"([^/]+)/image(?:/compressed)?$")
        names = sorted({m.group(1) for m in map(pattern.match, self.kinds) if m})
        return tuple(n for n in names if not any(n == f"{c}_{kind}" for c in names for kind in LABELS)
                     and not re.match(r"(depth|semantic|instance|dvs)", n))

    @cached_property
    def clouds(self) -> tuple[str, ...]:
        """Ids of the LiDARs, sorted."""
        prefix = f"/carla/{self.role_name}/"
        tables = {self.topics.of(name) for name in CHANNELS}
        return tuple(sorted(topic.removeprefix(prefix) for topic, kind in self.kinds.items()
                            if kind == "sensor_msgs/msg/PointCloud2" and topic.startswith(prefix)
                            and topic not in tables and "radar" not in topic))

    def camera_spec(self, camera: str) -> CameraSpec | None:
        """The size and field of view of one camera, from its camera_info, and its pose in ``base_link`` where our recorder noted
        it (else zero). None without a camera_info."""
        topic = self.topics.of("camera_info", camera)
        for _, _, message in self.messages([topic]):
            spec = decoded(lambda one: camera_of(one, camera), message, topic)
            return replace(spec, pose=self._noted_poses.get(camera, spec.pose))
        return None

    @cached_property
    def _noted_poses(self) -> Mapping[str, Pose]:
        try:
            return {one["id"]: Pose(**one["pose"]) for one in json.loads(self.custom_data["rig"])["cameras"]}
        except (KeyError, TypeError, json.JSONDecodeError):
            return {}

    @cached_property
    def stations(self) -> tuple[Station, ...]:
        """The roadside stations whose places were recorded."""
        return next((record for _, record in self.records("stations")), ())

    @cached_property
    def map_lines(self) -> np.ndarray | None:
        """The map's lines around the route, MAP_LINE_DTYPE [N] in ``map``; None where they were not recorded."""
        return next((record for _, record in self.records("map_lines")), None)

    def image_topic(self, camera: str) -> str:
        """The topic that a camera's pictures were recorded on, plain or compressed."""
        return picture_topic(self.topics, camera, self.kinds)

    def has_label(self, camera: str, kind: str) -> bool:
        """Whether ``kind`` (depth, semantic, instance) of the camera was recorded."""
        return self.topics.label(camera, kind) in self.kinds or (kind == "semantic" and self.topics.ids(camera) in self.kinds)

    @cached_property
    def map_name(self) -> str:
        """The map as our recorder noted it, or as CARLA's bridge told it; "" where neither did."""
        noted = self.custom_data.get("map", "")
        told = self.messages([WORLD_INFO]) if not noted else ()
        return noted or next((str(message.map_name) for _, _, message in told), "")

    @cached_property
    def route(self) -> Route | None:
        """The dense plan; from a ``waypoints`` path it has no turn commands. None where neither was recorded."""
        for topic in (self.topics.route, self.topics.waypoints):
            for _, _, message in self.messages([topic]):
                route = decode.route(message, topic, self.path.name, self.custom_data)
                if len(route.points) >= 2:
                    return route
        return None

    # --- contents ----------------------------------------------------------------------------------------------------

    def messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """(topic, bag time in ns, message) of ``topics``, by bag time. Topics that were not recorded are left out.

        Raises:
            BagError: the file is truncated or broken.
        """
        return self._file.messages(topics)

    def records(self, channel: str, sensor: str = "") -> Iterator[tuple[int, Any]]:
        """(stamp in ns, record) of everything on one channel of ``wire/channels.py``, by bag time; nothing where the topic was
        not recorded. Messages without a header get the bag's time.

        Raises:
            BagError: a message that cannot be read, or a broken file.
            ConfigError: no such channel.
        """
        topic, decode_one = self.topics.of(channel, sensor), find_channel(channel).decode
        for _, bag_ns, message in self.messages([topic]):
            yield stamp_of(message) if hasattr(message, "header") else bag_ns, decoded(decode_one, message, topic)

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


def _find_role(kinds: Iterable[str], path: Path) -> str:
    """The one role name in the names of the topics.

    Raises:
        BagError: there is none, or more than one.
    """
    roles: list[str] = []
    for pattern in (r"/carla/([^/]+)/odometry$", r"/carla/([^/]+)/[^/]+/image$"):
        roles = roles or sorted({m.group(1) for m in (re.match(pattern, topic) for topic in kinds) if m})
    if len(roles) == 1:
        return roles[0]
    if roles:
        raise BagError(f"one ego vehicle in {path}", f"{len(roles)}: {', '.join(roles)}", "give the role name")
    raise BagError(f"/carla/<role name>/odometry in {path}", f"topics {', '.join(sorted(kinds)[:8]) or 'none'}",
                   "record the topics of CARLA's ROS bridge, or remap yours to them")
