"""The topics of a recording by name: whose they are, and which cameras and LiDARs there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.roadside import picture_topic
from kd_planner_ros.bags.source import Source
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.wire.channels import CHANNELS
from kd_planner_ros.wire.topics import LABELS, Topics

Here = TypeVar("Here", bound="RecordedTopics")


class RecordedTopics:
    """The files of one recording, their ``custom_data`` and ``kinds`` (message type by topic). Cameras have the names that ``source``
    gives them.

    ``notes`` says what was missing, what is used instead, and what is odd. ``file`` may be open already.

    Raises:
        BagError: a file that is truncated or broken, no ego vehicle in it, or no camera of a name that ``source`` says.
    """

    def __init__(self, source: Source, file: BagFile | None = None):
        self.source, self.path = source, source.path
        self._file = BagFile(source.path) if file is None else file
        self.kinds: Mapping[str, str] = self._file.kinds
        self.custom_data = self._file.custom_data
        self.notes = list(self._file.notes)
        self.role_name = _recorded_role(self.kinds, self.path, source.role_name)
        self.topics = Topics(self.role_name, source.cameras)
        self._require_cameras()

    def close(self) -> None:
        """Close the files; also done when the recording is no longer referred to."""
        self._file.close()

    def __enter__(self: Here) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- names -------------------------------------------------------------------------------------------------------

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

    def image_topic(self, camera: str) -> str:
        """The topic that a camera's pictures were recorded on, plain or compressed."""
        return picture_topic(self.topics, camera, self.held)

    def label_topic(self, camera: str, kind: str) -> str:
        """The topic of ``kind`` (depth, semantic, instance) of the camera; of classes the ids, where they were recorded."""
        ids = self.topics.ids(camera)
        return ids if kind == "semantic" and ids in self.held else self.topics.label(camera, kind)


def _recorded_role(kinds: Iterable[str], path: Path, wanted: str) -> str:
    """The role name ``wanted``, or where it is "" the one role name in the names of the topics.

    Raises:
        BagError: no topic of that role; none, or more than one, where none is wanted.
    """
    roles: list[str] = []
    for pattern in (r"/carla/([^/]+)/odometry$", r"/carla/([^/]+)/.+/image(?:/compressed)?$"):
        roles = roles or sorted({m.group(1) for m in (re.match(pattern, topic) for topic in kinds) if m})
    if wanted and roles and not any(topic.startswith(f"/carla/{wanted}/") for topic in kinds):
        raise BagError(f"topics of role '{wanted}' in {path}", f"those of {', '.join(roles)}", "correct --role-name, or leave it out")
    if wanted:
        return wanted
    if len(roles) == 1:
        return roles[0]
    if roles:
        raise BagError(f"one ego vehicle in {path}", f"{len(roles)}: {', '.join(roles)}", "give the role name with --role-name")
    raise BagError(f"/carla/<role name>/odometry in {path}", f"topics {', '.join(sorted(kinds)[:8]) or 'none'}",
                   "record the topics of CARLA's ROS bridge, or remap yours to them")
