"""What a recording holds, before anything is read in full: its topics, its facts, and what was sent once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kd_planner_ros.bags import decode
from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.roadside import picture_topic
from kd_planner_ros.bags.source import Source
from kd_planner_ros.bags.stamps import Verdict, judge, read_times
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.wire.channels import CHANNELS, find_channel
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.pictures import camera_of
from kd_planner_ros.wire.topics import LABELS, TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE, WORLD_INFO, Topics

Here = TypeVar("Here", bound="Contents")
REMEDY = "record one drive, with use_sim_time in every node; 'kd-planner bags check PATH' shows every topic"
"""What to do about stamps that cannot be believed."""


class Contents:
    """The files of one recording, their ``custom_data``, ``kinds`` (message type by topic), and what is in them. Cameras have the names
    that ``source`` gives them.

    ``notes`` says what was missing, what is used instead, and what is odd.

    Raises:
        BagError: a file that is truncated or broken, no ego vehicle in it, or no camera of a name that ``source`` says.
    """

    def __init__(self, source: Source):
        self.source, self.path = source, source.path
        self._file = BagFile(source.path)
        self.kinds: Mapping[str, str] = self._file.kinds
        self.custom_data = self._file.custom_data
        self.notes = list(self._file.notes)
        self.role_name = source.role_name or _find_role(self.kinds, self.path)
        self.topics = Topics(self.role_name, source.cameras)
        self._require_cameras()

    def close(self) -> None:
        """Close the files; also done when the recording is no longer referred to."""
        self._file.close()

    def __enter__(self: Here) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what is in it -----------------------------------------------------------------------------------------------

    @property
    def held(self) -> frozenset[str]:
        """The topics with a message; a recorder also lists topics on which none came."""
        return frozenset(topic for topic in self.kinds if self._file.counts.get(topic) != 0)

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """Ids of the colour cameras, sorted: those that ``source`` gives, else the recorded ones. Label cameras (``<id>_depth`` ...) are
        not among them."""
        own = {recorded: name for name, recorded in self.source.cameras}
        return tuple(sorted(own.get(name, name) for name in self._recorded_cameras() if name in own or name not in own.values()))

    def _require_cameras(self) -> None:
        names = self._recorded_cameras() if self.source.cameras else ()
        if gone := [recorded for _, recorded in self.source.cameras if recorded not in names]:
            raise BagError(f"camera '{gone[0]}' in {self.path}, as --camera says", f"the cameras {', '.join(names) or 'none'}",
                           "correct --camera")

    def _recorded_cameras(self) -> tuple[str, ...]:
        pattern = re.compile(re.escape(f"/carla/{self.role_name}/") + r"(.+)/image(?:/compressed)?$")  # ids may have slashes
        names = sorted({m.group(1) for m in map(pattern.match, self.kinds) if m})
        return tuple(n for n in names if not any(n == f"{c}_{kind}" for c in names for kind in LABELS)
                     and not re.match(r"(depth|semantic|instance|dvs)", n.rsplit("/", 1)[-1]))

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
        it (else zero). None without a camera_info.

        Raises:
            BagError: a calibration that cannot be; the topic is named.
        """
        topic = self.topics.of("camera_info", camera)
        for _, _, message in self.messages([topic]):
            spec = decoded(lambda one: camera_of(one, camera), message, topic)
            return replace(spec, pose=self._noted_poses.get(self.topics.recorded(camera), spec.pose))
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
        return picture_topic(self.topics, camera, self.held)

    def label_topic(self, camera: str, kind: str) -> str:
        """The topic of ``kind`` (depth, semantic, instance) of the camera; of classes the ids, where they were recorded."""
        ids = self.topics.ids(camera)
        return ids if kind == "semantic" and ids in self.held else self.topics.label(camera, kind)

    def has_label(self, camera: str, kind: str) -> bool:
        """Whether ``kind`` (depth, semantic, instance) of the camera can be read."""
        return not self.lacks(self.label_topic(camera, kind))

    @cached_property
    def map_name(self) -> str:
        """The map's name from our recorder's notes, or from CARLA's bridge; "" where neither gave one."""
        noted = self.custom_data.get("map", "")
        messages = self.messages([WORLD_INFO]) if not noted else ()
        return noted or next((str(message.map_name) for _, _, message in messages), "")

    @cached_property
    def route(self) -> Route | None:
        """The dense plan; from a ``waypoints`` path it has no turn commands. None where neither was recorded.

        Raises:
            BagError: several different routes on one topic.
        """
        found = (decode.only_route(self.messages([topic]), topic, self.path, self.custom_data)
                 for topic in (self.topics.route, self.topics.waypoints))
        return next((route for route in found if route is not None), None)

    # --- what can be believed ----------------------------------------------------------------------------------------

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """What is wrong with the stamps of each topic that is joined by them (``bags/stamps.py``).

        Raises:
            BagError: the file is broken.
        """
        own = self.topics
        cameras = [topic for camera in self.cameras for topic in (
            self.image_topic(camera), own.ids(camera), *(own.label(camera, kind) for kind in LABELS))]
        timed = [own.odometry, own.imu, own.control, TRUTH_STATE, TRUTH_OBJECTS, TRUTH_SIGNALS, own.sensor("objects"), "/carla/objects",
                 *cameras, *map(own.sensor, self.clouds)]
        return judge(read_times(self._file, timed), own.odometry)

    def lacks(self, topic: str) -> str:
        """Why ``topic`` cannot be read: not recorded, empty, or stamps that cannot be believed. "" where it can be; what is odd
        about its stamps goes to ``notes``.

        Raises:
            BagError: the file is broken.
        """
        if topic not in self.kinds:
            return "no such topic"
        if topic not in self.held:
            return "no message on it"
        verdict = self.verdicts.get(topic, Verdict())
        self.notes += [note for note in (f"{topic}: {one}" for one in verdict.notes) if note not in self.notes]
        return verdict.fault

    def require(self, topic: str, remedy: str) -> None:
        """Refuse the recording where it ``lacks`` the topic.

        Raises:
            BagError: the topic, why it cannot be read, and ``remedy`` where it is missing.
        """
        self.require_all({remedy: (topic,)})

    def require_all(self, remedies: Mapping[str, Iterable[str]]) -> None:
        """Refuse the recording where it ``lacks`` any of the topics of ``remedies`` (remedy: topics); all are named.

        Raises:
            BagError: the topics, why each cannot be read, and their remedies.
        """
        found = [(topic, why, REMEDY if why == self.verdicts.get(topic, Verdict()).fault else remedy)
                 for remedy, topics in remedies.items() for topic in topics if (why := self.lacks(topic))]
        if found:
            reasons = {why for _, why, _ in found}
            got = reasons.pop() if len(reasons) == 1 else "; ".join(f"{topic}: {why}" for topic, why, _ in found)
            raise BagError(f"{', '.join(topic for topic, _, _ in found)} in {self.path}", got,
                           ", and ".join(dict.fromkeys(remedy for _, _, remedy in found)))

    # --- messages ----------------------------------------------------------------------------------------------------

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


def _find_role(kinds: Iterable[str], path: Path) -> str:
    """The one role name in the names of the topics.

    Raises:
        BagError: there is none, or more than one.
    """
    roles: list[str] = []
    for pattern in (r"/carla/([^/]+)/odometry$", r"/carla/([^/]+)/.+/image(?:/compressed)?$"):
        roles = roles or sorted({m.group(1) for m in (re.match(pattern, topic) for topic in kinds) if m})
    if len(roles) == 1:
        return roles[0]
    if roles:
        raise BagError(f"one ego vehicle in {path}", f"{len(roles)}: {', '.join(roles)}", "give the role name with --role-name")
    raise BagError(f"/carla/<role name>/odometry in {path}", f"topics {', '.join(sorted(kinds)[:8]) or 'none'}",
                   "record the topics of CARLA's ROS bridge, or remap yours to them")
