"""One route, one rosbag2 folder: MCAP with zstd chunks, metadata.yaml and embedded message definitions.

Written as ``<name>.partial`` and renamed when complete, so a folder without that suffix is always whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from backports import zstd
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from kd_planner_ros.bags.files import PARTIAL
from kd_planner_ros.bags.messages import make, typestore
from kd_planner_ros.core.captions import Caption
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.files import writing
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import CameraImage, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.geometry.frames import map_to_gnss
from kd_planner_ros.wire.channels import find_channel
from kd_planner_ros.wire.codec.motion import Fix, Mount, imu_of_ego
from kd_planner_ros.wire.topics import LABELS, MAP_FRAME, Topics

ZSTD_LEVEL = 1
"""'Fast': on rendered pictures level 3 saves a tenth of the disk and costs three times the time."""
METADATA_VERSION = 8
"""Of metadata.yaml: the newest that Humble's and Iron's rosbag2 read. In 9 offered_qos_profiles is a list, where theirs want a text."""
_FOREVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE


def _qos(latched: bool) -> Qos:
    return Qos(history=QosHistory.KEEP_LAST, depth=1 if latched else 10, reliability=QosReliability.RELIABLE,
               durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE, deadline=_FOREVER,
               lifespan=_FOREVER, liveliness=QosLiveliness.AUTOMATIC, liveliness_lease_duration=_FOREVER,
               avoid_ros_namespace_conventions=False)


class BagWriter:
    """Writes one recording; a context manager. Leaving it by an exception leaves ``<name>.partial``, never ``<name>``.

    ``pictures`` is for the caller to count in. ``custom`` lands in metadata.yaml's custom_data (strings). ``storage`` is
    mcap, or sqlite3 for tests and old tools. ``compact`` writes pictures as JPEG (CompressedImage) and classes as ids without
    their colours.

    Raises:
        BagError: a recording of that name exists already.
    """

    def __init__(self, path: Path, rig: SensorRig, custom: Mapping[str, str], role_name: str = "ego_vehicle",
                 storage: str = "mcap", compact: bool = False):
        self.path, self.rig, self.topics = Path(path), rig, Topics(role_name)
        if self.path.exists():
            raise BagError(f"no recording at {self.path} yet", "one that is complete", "choose another folder")
        self._partial = self.path.with_name(self.path.name + PARTIAL)
        self._custom, self._plugin = dict(custom), StoragePlugin[storage.upper()]
        self._connections: dict[str, Connection] = {}
        self._cameras = {camera.id: camera for camera in rig.cameras}
        self._compact, self.pictures = compact, 0

    def __enter__(self) -> BagWriter:
        shutil.rmtree(self._partial, ignore_errors=True)  # what an interrupted run left
        self._partial.mkdir(parents=True)
        self._writer = Writer(self._partial / self.path.name, version=METADATA_VERSION, storage_plugin=self._plugin)
        if self._plugin is StoragePlugin.MCAP:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with self._writing():
            self._writer.open()
        if self._plugin is StoragePlugin.MCAP:
            self._writer.storage.compressor = lambda chunk: zstd.compress(chunk, ZSTD_LEVEL)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            self._writer.abort()
            return
        with self._writing():
            for key, value in self._custom.items():
                self._writer.set_custom_data(key, value)
            self._writer.close()
            os.rename(self._partial / self.path.name, self.path)
            self._partial.rmdir()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A block that writes to the recording: a full disk is the system's error, with the recording's name, in SQLite too."""
        with writing(self._partial):
            try:
                yield
            except sqlite3.OperationalError as error:
                raise OSError(errno.ENOSPC if "full" in str(error) else errno.EIO, str(error)) from error

    def note(self, key: str, value: str) -> None:
        """Add a fact to custom_data."""
        self._custom[key] = value

    def write(self, topic: str, kind: str, message: Any, stamp_ns: int, latched: bool = False) -> None:
        """Write any ``message`` of type ``kind`` at sim time ``stamp_ns``, which is also the bag's time."""
        self.write_raw(topic, kind, typestore().serialize_cdr(message, kind), stamp_ns, latched)

    def write_raw(self, topic: str, kind: str, raw: bytes | memoryview, stamp_ns: int, latched: bool = False) -> None:
        """Write a message of type ``kind`` that is serialised already (CDR)."""
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, kind, typestore=typestore(),
                                                     offered_qos_profiles=[_qos(latched)])
            self._connections[topic] = connection
        with self._writing():
            self._writer.write(connection, stamp_ns, raw)

    def put(self, channel: str, record: Any, stamp_ns: int, sensor: str = "", topics: Topics | None = None,
            received_ns: int | None = None) -> None:
        """Write ``record`` on a channel of ``wire/channels.py``, of one ``sensor`` where it has one a sensor; ``topics`` are the
        vehicle's unless given, ``received_ns`` is when it arrived (None: at once).

        Raises:
            ConfigError: no such channel.
        """
        one = find_channel(channel)
        topics = topics or self.topics
        message = one.encode(make, record, stamp_ns, topics.frame_of(channel, sensor))
        self.write(topics.of(channel, sensor), one.kind, message, stamp_ns if received_ns is None else received_ns, one.latched)

    def write_route(self, route: Route, stamp_ns: int) -> None:
        """The dense plan, latched."""
        self.put("route", route, stamp_ns)

    def write_ego(self, ego: EgoState) -> None:
        """Clock, odometry, speedometer, IMU, GNSS and the vehicle's transform: every tick."""
        now = ego.stamp_ns
        self.put("clock", None, now)
        self.put("odometry", ego, now)
        self.put("speedometer", ego.speed_mps, now)
        self.put("imu", imu_of_ego(ego), now)
        latitude, longitude = map_to_gnss(np.array([ego.pose.x, ego.pose.y]))
        self.put("gnss", Fix(latitude, longitude, ego.pose.z), now)
        self.put("tf", [Mount(MAP_FRAME, self.topics.frame(), ego.pose)], now)

    def write_state(self, stamp_ns: int, executed: Control, state: Mapping[str, float]) -> None:
        """The control that is executed from now on, and the named truth (planning states, the expert's wish, flags)."""
        self.put("control", replace(executed, reason=""), stamp_ns)  # recordings hold pedals and steering alone
        self.put("state", state, stamp_ns)

    def write_scene(self, scene: SceneState) -> None:
        """Boxes and signals around the ego, as tables in ``map``."""
        self.put("objects", scene.actors, scene.stamp_ns)
        self.put("traffic_lights", scene.signals, scene.stamp_ns)

    def write_camera(self, camera: str, shot: CameraImage, labels: tuple[str, ...] = LABELS) -> None:
        """A picture, its camera_info and transform, and those of ``labels`` that ``shot`` holds."""
        self._picture("compressed" if self._compact else "image", camera, "", shot.rgb, shot.stamp_ns)
        for kind in LABELS:
            pixels = getattr(shot, kind)
            if kind in labels and pixels is not None:
                if kind != "semantic" or not self._compact:
                    self._picture(kind, camera, f"_{kind}", pixels, shot.stamp_ns)
                if kind == "semantic":
                    self.put("class_ids", pixels, shot.stamp_ns, camera)

    def write_cloud(self, sensor: str, cloud: np.ndarray, stamp_ns: int) -> None:
        """A LiDAR's points float32 [N, 4]."""
        self.put("cloud", cloud, stamp_ns, sensor)

    def write_stations(self, stations: Sequence[Station], stamp_ns: int) -> None:
        """Where the map's roadside stations stand, latched."""
        self.put("stations", stations, stamp_ns)

    def write_map_lines(self, rows: np.ndarray, stamp_ns: int) -> None:
        """The map's lines, MAP_LINE_DTYPE [N], latched."""
        self.put("map_lines", rows, stamp_ns)

    def write_captions(self, told: Sequence[Caption], stamp_ns: int) -> None:
        """What the pictures of this instant show, in words."""
        self.put("captions", told, stamp_ns)

    def write_roadside(self, view: RoadsideView, received_ns: int | None = None) -> None:
        """What one roadside station sent: its picture with camera_info and transform, whose parent is ``map``, and its object
        list, whichever of them came; ``received_ns`` is when they arrived (None: at once)."""
        topics, now = Topics(view.station), view.stamp_ns
        if view.objects is not None:
            self.put("station_objects", view.objects, now, topics=topics, received_ns=received_ns)
        if view.image is not None and view.camera is not None:
            camera = view.camera
            self.put("compressed" if self._compact else "image", view.image, now, camera.id, topics, received_ns)
            self.put("camera_info", camera, now, camera.id, topics, received_ns)
            self.put("tf", [Mount(MAP_FRAME, topics.frame(camera.id), optical(camera.pose))], now, received_ns=received_ns)

    def _picture(self, channel: str, camera: str, suffix: str, pixels: np.ndarray, now: int) -> None:
        """A picture with the camera_info and the transform of its own camera, which stands where ``camera`` stands."""
        spec, sensor = self._cameras[camera], camera + suffix
        self.put(channel, pixels, now, camera)
        self.put("camera_info", spec, now, sensor)
        self.put("tf", [Mount(self.topics.frame(), self.topics.frame(sensor), optical(spec.pose))], now)
