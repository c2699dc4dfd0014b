"""What a recording holds, before anything is read in full: its facts, and what was sent once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from kd_planner_ros.bags import decode
from kd_planner_ros.bags.catalogue import Catalogue
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.geometry.attitude import mounted
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.pictures import camera_of
from kd_planner_ros.wire.frame_tree import FrameTree
from kd_planner_ros.wire.topics import WORLD_INFO

SPLIT, TRAIN_PART = "split", "train"
"""Note of a recording that was made from a data set with a published split: its part; and the part to train on."""

BASE_FRAME = "base_link"
MOST_TRANSFORMS = 200
"""Messages of a topic that are asked for frames of sensors: CARLA's bridge sends them again and again."""


class Contents(Catalogue):
    """A recording's topics (``Catalogue``), and what is in those whose messages are few."""

    def camera_spec(self, camera: str) -> CameraSpec | None:
        """The size and field of view of one camera, from its camera_info, and its pose in ``base_link`` where the recording tells
        it (``camera_place``; else zero). None without a camera_info.

        Raises:
            BagError: a calibration that cannot be; the topic is named.
        """
        message = self.camera_info(camera)
        if message is None:
            return None
        spec = decoded(lambda one: camera_of(one, camera), message, self.topics.of("camera_info", camera))
        place = self.camera_place(camera)
        return spec if place is None else replace(spec, pose=place[0])

    def camera_info(self, camera: str) -> Any:
        """The first camera_info (sensor_msgs/CameraInfo) of one camera; None without one."""
        return next((message for _, _, message in self._sound([self.topics.of("camera_info", camera)])), None)

    def camera_place(self, camera: str, moving: bool = False) -> tuple[Pose, str] | None:
        """(pose in ``base_link``, who tells it) of one camera: ``/tf_static``, else the note of our recorder; with ``moving`` else ``/tf``
        below the vehicle. None where nobody tells."""
        tellers = (("tf_static", lambda: self._told_pose(camera, self._static_frames)), ("the recorder", lambda: self.noted_pose(camera)),
                   ("tf", lambda: self._told_pose(camera, self._all_frames) if moving else None))
        found = ((tell(), name) for name, tell in tellers)
        return next(((pose, name) for pose, name in found if pose is not None), None)

    def _told_pose(self, camera: str, tree: FrameTree) -> Pose | None:
        name, info = self.topics.recorded(camera), self.camera_info(camera) if tree.known else None
        frames = [*([info.header.frame_id.lstrip("/")] if info is not None else []), self.topics.frame(name), name]
        found = (tree.find(frame, vehicle) for frame in frames if frame for vehicle in (self.topics.frame(), BASE_FRAME))
        pose = next((one for one in found if one is not None), None)
        return mounted(pose) if pose is not None and np.isfinite(astuple(pose)).all() else None

    @cached_property
    def _static_frames(self) -> FrameTree:
        return self._frames("tf_static")

    @cached_property
    def _all_frames(self) -> FrameTree:
        return self._frames("tf_static", "tf")

    def _frames(self, *channels: str) -> FrameTree:
        tree = FrameTree()
        try:
            for channel in channels:
                for _, mounts in islice(self.records(channel), MOST_TRANSFORMS):
                    tree.add(one for one in mounts if one.parent.lstrip("/") != MAP_FRAME)
        except BagError as error:
            self.notes.append(f"frames of sensors are not read: {error}")
        return tree

    def noted_pose(self, camera: str) -> Pose | None:
        """The pose of one camera in ``base_link`` where our recorder noted it."""
        return self._noted_poses.get(self.topics.recorded(camera))

    @cached_property
    def _noted_poses(self) -> Mapping[str, Pose]:
        try:
            found = {one["id"]: Pose(**one["pose"]) for one in json.loads(self.custom_data["rig"])["cameras"]}
            return {name: pose for name, pose in found.items() if np.isfinite(astuple(pose)).all()}
        except (KeyError, TypeError, ValueError):
            return {}

    @cached_property
    def stations(self) -> tuple[Station, ...]:
        """The roadside stations whose places were recorded."""
        return next((record for _, record in self.records("stations")), ())

    @cached_property
    def map_lines(self) -> np.ndarray | None:
        """The map's lines around the route, MAP_LINE_DTYPE [N] in ``map``; None where they were not recorded."""
        return next((record for _, record in self.records("map_lines")), None)

    def has_label(self, camera: str, kind: str) -> bool:
        """Whether ``kind`` (depth, semantic, instance) of the camera can be read."""
        return not self.lacks(self.label_topic(camera, kind))

    @cached_property
    def map_name(self) -> str:
        """The map's name from our recorder's notes, or from CARLA's bridge; "" where neither gave one."""
        noted = self.custom_data.get("map", "")
        messages = self._sound([WORLD_INFO]) if not noted else ()
        return noted or next((str(message.map_name) for _, _, message in messages), "")

    @property
    def split(self) -> str:
        """The part of a published split that the recording belongs to; "" where none was noted."""
        return self.custom_data.get(SPLIT, "")

    @cached_property
    def route(self) -> Route | None:
        """The dense plan; from a ``waypoints`` path it has no turn commands. None where neither was recorded.

        Raises:
            BagError: several different routes on one topic.
        """
        found = (decode.only_route(self._sound([topic]), topic, self.path, self.custom_data)
                 for topic in (self.topics.route, self.topics.waypoints))
        return next((route for route in found if route is not None), None)

    @cached_property
    def usable_route(self) -> Route | None:
        """``route``; None too where it cannot be read: for uses that need none. ``notes`` says why there is none."""
        try:
            found, why = self.route, f"no {self.topics.route}"
        except BagError as error:
            found, why = None, str(error)
        self.notes += [] if found is not None else [f"{why}: frames have no navigation goal"]
        return found

    def _sound(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """``messages`` of those of ``topics`` whose type can be read; ``notes`` says which cannot."""
        return self.messages([topic for topic in topics if not self._left_out(topic, self.absent(topic))])
