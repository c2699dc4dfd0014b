"""What the built-in world's roadside stations publish: ``/carla/<station>/...``, with ``map`` as the parent of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.ros.messages import make
from kd_planner_ros.ros.qos import LATCHED, ROADSIDE, ROADSIDE_IMAGE, advertise
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.motion import Mount
from kd_planner_ros.wire.codec.pictures import camera_info, rgb
from kd_planner_ros.wire.codec.tables import table
from kd_planner_ros.wire.topics import Topics


class RoadsideOutputs:
    """Tells where the stations stand (latched), and publishes what those near the car see."""

    def __init__(self, node: Any, adapter: Any, stations: Sequence[Station]):
        self._adapter = adapter
        self._pictures: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._objects: dict[str, Any] = {}
        for station in stations:
            topics = Topics(station.id)
            self._objects[station.id] = advertise(node, PointCloud2, topics.of("station_objects"), ROADSIDE)
            for camera in station.cameras:
                infos = advertise(node, CameraInfo, topics.of("camera_info", camera.id), LATCHED)
                self._pictures[station.id, camera.id] = advertise(node, Image, topics.image(camera.id), ROADSIDE_IMAGE), infos
                infos.publish(camera_info(make, camera, 0, topics.frame(camera.id)))
        self._stations = advertise(node, String, Topics().of("stations"), LATCHED)
        self._stations.publish(adapter.to_msg("stations", stations, 0))

    def publish(self, views: Sequence[RoadsideView], stamp_ns: int) -> None:
        """One tick's views; messages that nobody listens to are not built."""
        for view in views:
            objects = self._objects[view.station]
            if view.objects is not None and objects.get_subscription_count():
                objects.publish(table(make, view.objects, stamp_ns, MAP_FRAME))
            if view.image is None or view.camera is None:
                continue
            pictures, infos = self._pictures[view.station, view.camera.id]
            frame = Topics(view.station).frame(view.camera.id)
            if pictures.get_subscription_count():
                pictures.publish(rgb(make, view.image, stamp_ns, frame))
            if infos.get_subscription_count():
                infos.publish(camera_info(make, view.camera, stamp_ns, frame))


def station_mounts(stations: Sequence[Station]) -> list[Mount]:
    """The frames of the cameras of ``stations``; optical, as all camera frames."""
    return [Mount(MAP_FRAME, Topics(station.id).frame(camera.id), optical(camera.pose))
            for station in stations for camera in station.cameras]
