"""One route, one rosbag2 folder: MCAP with zstd chunks, metadata.yaml and embedded message definitions.

Written as ``<name>.partial`` and renamed when complete, so a folder without that suffix is always whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from backports import zstd
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from kd_planner_ros.bags import messages
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Control, EgoState
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, SensorRig
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.geometry.frames import map_to_gnss
from kd_planner_ros.imaging.encodings import encode_rgb
from kd_planner_ros.imaging.palette import bgra_of_ids
from kd_planner_ros.wire.tables import CLOUD_DTYPE
from kd_planner_ros.wire.topics import CLOCK, LABELS, MAP_FRAME, TF, TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE, Topics

ZSTD_LEVEL = 1
"""'Fast': on rendered pictures level 3 saves a tenth of the disk and costs three times the time."""
PARTIAL = ".partial"
"""Camera frames of the bridge are optical: z forward, x right."""
_FOREVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE


def _qos(latched: bool) -> Qos:
    return Qos(history=QosHistory.KEEP_LAST, depth=1 if latched else 10, reliability=QosReliability.RELIABLE,
               durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE, deadline=_FOREVER,
               lifespan=_FOREVER, liveliness=QosLiveliness.AUTOMATIC, liveliness_lease_duration=_FOREVER,
               avoid_ros_namespace_conventions=False)


class BagWriter:
    """Writes one recording; a context manager. Leaving it by an exception leaves ``<name>.partial``, never ``<name>``.

    ``pictures`` is for the caller to count in. ``custom`` lands in metadata.yaml's custom_data (strings). ``storage`` is mcap, or sqlite3 for tests and old tools.

    Raises:
        BagError: a recording of that name exists already.
    """

    def __init__(self, path: Path, rig: SensorRig, custom: Mapping[str, str], role_name: str = "ego_vehicle",
                 storage: str = "mcap"):
        self.path, self.rig, self.topics = Path(path), rig, Topics(role_name)
        if self.path.exists():
            raise BagError(f"no recording at {self.path} yet", "one that is complete", "choose another folder")
        self._partial = self.path.with_name(self.path.name + PARTIAL)
        self._custom, self._plugin = dict(custom), StoragePlugin[storage.upper()]
        self._connections: dict[str, Connection] = {}
        self._cameras = {camera.id: camera for camera in rig.cameras}
        self.pictures = 0

    def __enter__(self) -> BagWriter:
        shutil.rmtree(self._partial, ignore_errors=True)  # what an interrupted run left
        self._partial.mkdir(parents=True)
        self._writer = Writer(self._partial / self.path.name, version=9, storage_plugin=self._plugin)
        if self._plugin is StoragePlugin.MCAP:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        if self._plugin is StoragePlugin.MCAP:
            self._writer.storage.compressor = lambda chunk: zstd.compress(chunk, ZSTD_LEVEL)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            self._writer.abort()
            return
        for key, value in self._custom.items():
            self._writer.set_custom_data(key, value)
        self._writer.close()
        os.rename(self._partial / self.path.name, self.path)
        self._partial.rmdir()

    def note(self, key: str, value: str) -> None:
        """Add a fact to custom_data."""
        self._custom[key] = value

    def write(self, topic: str, kind: str, message: Any, stamp_ns: int, latched: bool = False) -> None:
        """Write any ``message`` of type ``kind`` at sim time ``stamp_ns``, which is also the bag's time."""
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, kind, typestore=messages.typestore(),
                                                     offered_qos_profiles=[_qos(latched)])
            self._connections[topic] = connection
        self._writer.write(connection, stamp_ns, messages.typestore().serialize_cdr(message, kind))

    def write_route(self, route: Route, stamp_ns: int) -> None:
        """The dense plan, latched."""
        self.write(self.topics.route, "sensor_msgs/msg/PointCloud2",
                   messages.table(messages.route_table(route), stamp_ns, MAP_FRAME), stamp_ns, latched=True)

    def write_ego(self, ego: EgoState) -> None:
        """Clock, odometry, speedometer, IMU, GNSS and the vehicle's transform: every tick."""
        topics, now = self.topics, ego.stamp_ns
        self.write(CLOCK, "rosgraph_msgs/msg/Clock", messages.clock(now), now)
        self.write(topics.odometry, "nav_msgs/msg/Odometry", messages.odometry(ego, topics.frame()), now)
        self.write(topics.speed, "std_msgs/msg/Float32", messages.speedometer(ego.speed_mps), now)
        self.write(topics.imu, "sensor_msgs/msg/Imu", messages.imu(ego, topics.frame("imu")), now)
        latitude, longitude = map_to_gnss(np.array([ego.pose.x, ego.pose.y]))
        self.write(topics.gnss, "sensor_msgs/msg/NavSatFix",
                   messages.gnss(now, topics.frame("gnss"), latitude, longitude, ego.pose.z), now)
        self.write(TF, "tf2_msgs/msg/TFMessage", messages.transform(now, MAP_FRAME, topics.frame(), ego.pose), now)

    def write_state(self, stamp_ns: int, executed: Control, state: Mapping[str, float]) -> None:
        """The control that is executed from now on, and the named truth (planning states, the expert's wish, flags)."""
        self.write(self.topics.control, "sensor_msgs/msg/JointState",
                   messages.control(executed, stamp_ns, self.topics.frame()), stamp_ns)
        self.write(TRUTH_STATE, "sensor_msgs/msg/JointState",
                   messages.named_values(stamp_ns, self.topics.frame(), state), stamp_ns)

    def write_scene(self, scene: SceneState) -> None:
        """Boxes and signals around the ego, as tables in ``map``."""
        now = scene.stamp_ns
        for topic, rows in ((TRUTH_OBJECTS, scene.actors), (TRUTH_SIGNALS, scene.signals)):
            self.write(topic, "sensor_msgs/msg/PointCloud2", messages.table(rows, now, MAP_FRAME), now)

    def write_camera(self, camera: str, shot: CameraImage, labels: tuple[str, ...] = LABELS) -> None:
        """A picture, its camera_info and transform, and those of ``labels`` that ``shot`` holds."""
        spec, now = self._cameras[camera], shot.stamp_ns
        self._picture(self.topics.image(camera), camera, encode_rgb(shot.rgb, "bgra8"), "bgra8", spec, now)
        if "depth" in labels and shot.depth is not None:
            self._label(camera, "depth", shot.depth.astype("<f4", copy=False), "32FC1", spec, now)
        if "semantic" in labels and shot.semantic is not None:
            self._label(camera, "semantic", bgra_of_ids(shot.semantic), "bgra8", spec, now)
            ids = messages.image(shot.semantic, "mono8", now, self.topics.frame(camera))
            self.write(self.topics.ids(camera), "sensor_msgs/msg/Image", ids, now)
        if "instance" in labels and shot.instance is not None:
            self._label(camera, "instance", shot.instance.astype("<i4", copy=False), "32SC1", spec, now)

    def write_cloud(self, sensor: str, cloud: np.ndarray, stamp_ns: int) -> None:
        """A LiDAR's points float32 [N, 4]."""
        rows = np.ascontiguousarray(cloud, np.float32).reshape(-1, 4).view(CLOUD_DTYPE).reshape(-1)
        self.write(self.topics.sensor(sensor), "sensor_msgs/msg/PointCloud2",
                   messages.table(rows, stamp_ns, self.topics.frame(sensor)), stamp_ns)

    def _label(self, camera: str, kind: str, pixels: np.ndarray, encoding: str, spec: CameraSpec, now: int) -> None:
        self._picture(self.topics.label(camera, kind), f"{camera}_{kind}", pixels, encoding, spec, now)

    def _picture(self, topic: str, sensor: str, pixels: np.ndarray, encoding: str, spec: CameraSpec, now: int) -> None:
        frame = self.topics.frame(sensor)
        self.write(topic, "sensor_msgs/msg/Image", messages.image(pixels, encoding, now, frame), now)
        self.write(topic.removesuffix("image") + "camera_info", "sensor_msgs/msg/CameraInfo",
                   messages.camera_info(spec, now, frame), now)
        mounted = messages.transform(now, self.topics.frame(), frame, optical(spec.pose))
        self.write(TF, "tf2_msgs/msg/TFMessage", mounted, now)
