"""What the built-in world publishes: the topics, types, frames and QoS of CARLA's ROS bridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nav_msgs.msg import Odometry, Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, Imu, NavSatFix, PointCloud2

from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import SensorRig, Station
from kd_planner_ros.ros.adapters.foreign import ForeignPort
from kd_planner_ros.ros.adapters.frames_tf import sensor_mounts, vehicle_mount
from kd_planner_ros.ros.ports.roadside_outputs import RoadsideOutputs, station_mounts
from kd_planner_ros.ros.qos import CLOCK, LATCHED, SENSOR_OUT, STATE, STATIC, advertise
from kd_planner_ros.ros.stamps import CLOCK_START_NS, to_stamp
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.motion import Fix, ImuSample


class WorldOutputs:
    """Publishes one tick: the clock first, then the ego, then every sensor that is due. Messages that nobody listens to
    are not built."""

    def __init__(self, node: Any, adapter: Any, rig: SensorRig):
        self._node, self._adapter = node, adapter
        self._clock = advertise(node, Clock, "clock", CLOCK)
        self._odometry = advertise(node, Odometry, "odometry", STATE)
        self._speed = advertise(node, adapter.speed_type, "speedometer", STATE)
        self._imu = advertise(node, Imu, "imu", STATE)
        self._gnss = advertise(node, NavSatFix, "gnss", STATE)
        self._objects = advertise(node, PointCloud2, "objects_table", STATE)
        self._lights = advertise(node, PointCloud2, "traffic_lights_table", LATCHED)
        self._bridge_objects = ForeignPort(node, "objects", STATE)
        self._bridge_lights = [ForeignPort(node, name, LATCHED) for name in ("traffic_lights", "traffic_lights_info")]
        self._route = advertise(node, adapter.route_type, "route", LATCHED)
        self._waypoints = advertise(node, Path, "waypoints", LATCHED)
        self._cameras = {spec.id: (spec, advertise(node, Image, f"{spec.id}/image", SENSOR_OUT),
                                   advertise(node, CameraInfo, f"{spec.id}/camera_info", SENSOR_OUT))
                         for spec in rig.cameras}
        self._lidars = {spec.id: advertise(node, PointCloud2, spec.id, SENSOR_OUT)
                        for spec in rig.lidars}
        self._rig, tf_type = rig, adapter.type_of("tf")
        self._tf = None if tf_type is None else advertise(node, tf_type, "tf", STATE)
        self._tf_static = None if tf_type is None else advertise(node, tf_type, "tf_static", STATIC)
        self._last_states: bytes | None = None
        self._roadside: RoadsideOutputs | None = None

    def begin(self, route: Route, stations: Sequence[Station] = ()) -> None:
        """The route and the static frames, latched; and the topics of the map's stations where the rig asks for roadside views."""
        if self._tf_static is not None:
            heard = stations if self._rig.roadside is not None else ()
            self._tf_static.publish(self._adapter.to_msg("tf_static", [*sensor_mounts(self._adapter, self._rig), *station_mounts(heard)],
                                                         CLOCK_START_NS))
        if self._rig.roadside is not None:
            self._roadside = RoadsideOutputs(self._node, self._adapter, stations)
        self._route.publish(self._adapter.route_to_msg(route))
        self._waypoints.publish(self._adapter.to_msg("waypoints", route, CLOCK_START_NS))

    def tick(self, scene: SceneState, sensed: Any) -> None:
        """One tick. ``sensed`` holds ``images`` (CameraImage) and ``clouds`` by sensor id, and ``roadside`` views."""
        stamp_ns = scene.stamp_ns + CLOCK_START_NS
        self._clock.publish(Clock(clock=to_stamp(stamp_ns)))
        if self._roadside is not None:
            self._roadside.publish(sensed.roadside, stamp_ns)
        for name, image in sensed.images.items():
            spec, pictures, infos = self._cameras[name]
            pictures.publish(self._adapter.image_to_msg(image.rgb, stamp_ns, name))
            if infos.get_subscription_count():
                infos.publish(self._adapter.to_msg("camera_info", spec, stamp_ns, name))
        for name, cloud in sensed.clouds.items():
            self._lidars[name].publish(self._adapter.to_msg("cloud", cloud, stamp_ns, name))
        if self._tf is not None and self._tf.get_subscription_count():
            self._tf.publish(self._adapter.to_msg("tf", [vehicle_mount(self._adapter, scene.ego.pose)], stamp_ns))
        self._imu_and_gnss(stamp_ns, scene, sensed)
        if self._objects.get_subscription_count():
            self._objects.publish(self._adapter.to_msg("objects", scene.actors, stamp_ns))
        self._bridge_objects.publish(scene.actors, stamp_ns, MAP_FRAME)
        states = scene.signals["state"].tobytes()
        if states != self._last_states:  # the bridge sends lights on change only
            self._last_states = states
            self._lights.publish(self._adapter.to_msg("traffic_lights", scene.signals, stamp_ns))
            for port in self._bridge_lights:
                port.publish(scene.signals, stamp_ns, MAP_FRAME, latched=True)
        if self._speed.get_subscription_count():
            self._speed.publish(self._adapter.to_msg("speedometer", scene.ego.speed_mps, stamp_ns))
        # Odometry goes last: the controller answers it, and by then the pictures of this tick are on their way.
        self._odometry.publish(self._adapter.odometry_to_msg(replace(scene.ego, stamp_ns=stamp_ns)))

    def _imu_and_gnss(self, stamp_ns: int, scene: SceneState, sensed: Any) -> None:
        if sensed.imu is not None and self._imu.get_subscription_count():
            sample = ImuSample(scene.ego.pose, sensed.imu.acceleration, sensed.imu.angular_velocity)
            self._imu.publish(self._adapter.to_msg("imu", sample, stamp_ns))
        if sensed.gnss is not None and self._gnss.get_subscription_count():
            fix = Fix(sensed.gnss.latitude, sensed.gnss.longitude, sensed.gnss.altitude)
            self._gnss.publish(self._adapter.to_msg("gnss", fix, stamp_ns))
