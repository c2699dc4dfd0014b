"""What a gateway hands on: the objects, phases and state for the car, and each accepted picture for models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import CooperativePicture, CoopState, RoadsideView
from kd_planner_ros.ros.messages import make
from kd_planner_ros.ros.qos import LATCHED, ROADSIDE, ROADSIDE_IMAGE, STATE, advertise
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.pictures import camera_info, rgb
from kd_planner_ros.wire.codec.tables import table
from kd_planner_ros.wire.topics import BEHIND_GATEWAY, Topics, roadside


class GatewayOutputs:
    """Publishes each answer of a gateway; messages of stations that nobody listens to are not built."""

    def __init__(self, node: Any, adapter: Any, stations: Sequence[Station]):
        self._node, self._adapter = node, adapter
        self._pictures: dict[tuple[str, str], Any] = {}
        self._infos: dict[tuple[str, str], Any] = {}
        self._told_cameras: dict[tuple[str, str], CameraSpec] = {}
        self._lists: dict[str, Any] = {}
        self._sent: dict[tuple[str, str], int] = {}
        self._told: tuple[CoopState, str] | None = None
        for station in stations:
            topics = Topics(station.id)
            self._lists[station.id] = advertise(node, PointCloud2, roadside(topics.of("station_objects"), BEHIND_GATEWAY), ROADSIDE)
            for camera in station.cameras:
                self._pictures[station.id, camera.id] = advertise(
                    node, Image, roadside(topics.image(camera.id), BEHIND_GATEWAY), ROADSIDE_IMAGE)
                self._infos[station.id, camera.id] = advertise(
                    node, CameraInfo, roadside(topics.of("camera_info", camera.id), BEHIND_GATEWAY), LATCHED)
                self._tell_camera(station.id, camera, 0)
        names = Topics()
        self._stations = advertise(node, String, names.of("v2x_stations"), LATCHED)
        self._objects, self._phases, self._silent = (advertise(node, PointCloud2, names.of(f"v2x_{name}"), STATE)
                                                     for name in ("objects", "phases", "silent"))
        self._state = advertise(node, String, names.of("v2x_state"), LATCHED)
        self._stations.publish(adapter.to_msg("v2x_stations", stations, 0))

    def send(self, answer: CooperativePicture) -> None:
        """One answer."""
        now_ns = answer.objects.stamp_ns
        self.tell(answer.state, answer.why)
        self._objects.publish(self._adapter.to_msg("v2x_objects", answer.objects, now_ns))
        self._phases.publish(self._adapter.to_msg("v2x_phases", answer.phases, now_ns))
        self._silent.publish(self._adapter.to_msg("v2x_silent", answer.silent, now_ns))
        for view in answer.views:
            self._send_view(view)
        for listed in answer.lists:
            self._send_list(listed)

    def tell(self, state: CoopState, why: str) -> None:
        """The state, where it has changed."""
        if (state, why) != self._told:
            self._told = (state, why)
            self._state.publish(self._adapter.to_msg("v2x_state", (state, why), 0))

    def _send_view(self, view: RoadsideView) -> None:
        assert view.camera is not None and view.image is not None, "a gateway's view has a picture"
        key = (view.station, view.camera.id)
        self._tell_camera(view.station, view.camera, view.stamp_ns)
        if self._sent.get(key) == view.stamp_ns or not self._pictures[key].get_subscription_count():
            return
        self._sent[key] = view.stamp_ns
        self._pictures[key].publish(rgb(make, view.image, view.stamp_ns, Topics(view.station).frame(view.camera.id)))

    def _tell_camera(self, station: str, camera: CameraSpec, stamp_ns: int) -> None:
        """The camera, where its picture has another size than before."""
        if self._told_cameras.get((station, camera.id)) != camera:
            self._told_cameras[station, camera.id] = camera
            self._infos[station, camera.id].publish(camera_info(make, camera, stamp_ns, Topics(station).frame(camera.id)))

    def _send_list(self, view: RoadsideView) -> None:
        assert view.objects is not None, "a view of a list has one"
        port, key = self._lists[view.station], (view.station, "")
        if self._sent.get(key) == view.stamp_ns or not port.get_subscription_count():
            return
        self._sent[key] = view.stamp_ns
        port.publish(table(make, view.objects, view.stamp_ns, MAP_FRAME))

    def close(self) -> None:
        """Drop the publishers, and with them what is latched."""
        for one in (*self._pictures.values(), *self._infos.values(), *self._lists.values(), self._stations, self._objects, self._phases,
                    self._silent, self._state):
            self._node.destroy_publisher(one)
