"""CARLA's ROS bridge (master): its messages to core records and back. The built-in world speaks the same.

Every flip of handedness and every known wrong field of the bridge is handled here and nowhere else
(docs/ros.md lists them). ``Adapter`` is what nodes hold; other profiles override what differs.
"""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, Vector3
from nav_msgs.msg import Odometry, Path
from sensor_msgs.msg import CameraInfo, Image, Imu, JointState, NavSatFix, PointCloud2
from std_msgs.msg import Float32, Header

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Command, Control, EgoState, Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.attitude import from_bridge_twist, to_bridge_twist
from kd_planner_ros.imaging.encodings import ENCODINGS, decode_rgb, encode_rgb
from kd_planner_ros.ros.adapters.optional import message_type, missing_sentence, rgb_by_cv_bridge
from kd_planner_ros.ros.adapters.poses import pose_from_quaternion, pose_stamped, quaternion
from kd_planner_ros.ros.adapters.tables import bytes_array, columns, table_from_msg, table_to_msg
from kd_planner_ros.ros.stamps import from_stamp, to_stamp
from kd_planner_ros.wire.tables import CLOUD_DTYPE, ROUTE_DTYPE

MAP_FRAME = "map"
REASON = "reason/"
"""Where control travels as named values, one more name says why it is not the planner's wish."""


class Adapter:
    """Messages of one outside system. ``carla_version`` is for the diagnostics: what CARLA renumbered is read by its colours,
    which stayed apart (imaging/palette.py)."""

    profile = "carla_bridge"

    def __init__(self, role_name: str = "ego_vehicle", carla_version: str = "0.9.13"):
        self.role_name, self.carla_version = role_name, carla_version
        self._control = message_type("carla_msgs", "CarlaEgoVehicleControl")
        self._route = message_type("carla_msgs", "CarlaRoute")
        self.control_type = self._control or JointState
        self.route_type = self._route or PointCloud2
        self.speed_type = Float32

    # --- names -------------------------------------------------------------------------------------------------------

    def frame_id(self, sensor: str = "") -> str:
        """The frame of a sensor, or of the vehicle: the topic's prefix without ``/carla/``."""
        return f"{self.role_name}/{sensor}" if sensor else self.role_name

    def header(self, stamp_ns: int, frame_id: str) -> Header:
        """A header."""
        return Header(stamp=to_stamp(stamp_ns), frame_id=frame_id)

    def notes(self) -> dict[str, str]:
        """What the diagnostics say about the message types in use."""
        facts = {"profile": self.profile, "carla version": self.carla_version, "control message": _full_name(self.control_type),
                 "route message": _full_name(self.route_type)}
        if self._control is None:
            facts["carla_msgs"] = missing_sentence(
                "carla_msgs", "control travels as sensor_msgs/JointState, which CARLA's bridge does not read")
        return facts

    # --- control -----------------------------------------------------------------------------------------------------

    def control_to_msg(self, control: Control):
        """The command for the vehicle; CARLA's steer is positive to the RIGHT: steer +0.25 (left) -> -0.25."""
        header = self.header(control.stamp_ns, self.frame_id())
        throttle, steer, brake = float(control.throttle), -float(control.steer), float(control.brake)
        if self._control is None:
            why = [REASON + control.reason] if control.reason else []
            return JointState(header=header, name=["throttle", "steer", "brake", *why],
                              position=[throttle, steer, brake, *(1.0 for _ in why)])
        return self._control(header=header, throttle=throttle, steer=steer, brake=brake)

    def control_from_msg(self, message) -> Control:
        """The command in ``message``, steer positive left.

        Raises:
            SensorError: a JointState without throttle, steer and brake.
        """
        reason = ""
        if isinstance(message, JointState):
            reason = next((name[len(REASON):] for name in message.name if name.startswith(REASON)), "")
            values = dict(zip(message.name, message.position))
            try:
                throttle, steer, brake = values["throttle"], values["steer"], values["brake"]
            except KeyError as missing:
                raise SensorError("throttle, steer and brake in a control message", f"no {missing}",
                                  "publish one of each") from None
        else:
            throttle, steer, brake = message.throttle, message.steer, message.brake
        return Control(from_stamp(message.header.stamp), throttle=float(throttle), steer=-float(steer),
                       brake=float(brake), reason=reason)

    # --- ego ---------------------------------------------------------------------------------------------------------

    def odometry_to_msg(self, ego: EgoState) -> Odometry:
        """Odometry as the bridge sends it: pose in ``map``, twist by the bridge's own rotation."""
        message = Odometry(header=self.header(ego.stamp_ns, MAP_FRAME), child_frame_id=self.frame_id())
        message.pose.pose.position = Point(x=float(ego.pose.x), y=float(ego.pose.y), z=float(ego.pose.z))
        message.pose.pose.orientation = quaternion(ego.pose)
        twist = to_bridge_twist(np.array([ego.speed_mps, ego.lateral_mps, 0.0]), ego.pose)
        message.twist.twist.linear = Vector3(x=float(twist[0]), y=float(twist[1]), z=float(twist[2]))
        message.twist.twist.angular = Vector3(x=0.0, y=0.0, z=float(ego.yaw_rate_rps))
        return message

    def odometry_from_msg(self, message: Odometry) -> EgoState:
        """The ego state in ``message``; its speed is exact on slopes too, where the bridge's own twist is not.

        Raises:
            SensorError: a number that is not finite.
        """
        position, twist = message.pose.pose.position, message.twist.twist
        pose = pose_from_quaternion(position, message.pose.pose.orientation)
        linear = np.array([twist.linear.x, twist.linear.y, twist.linear.z])
        if not np.isfinite([pose.x, pose.y, pose.z, pose.yaw, *linear, twist.angular.z]).all():
            raise SensorError("finite numbers in odometry", f"position {pose.x}, {pose.y} and speed {linear[0]}",
                              "check the localisation")
        velocity = from_bridge_twist(linear, pose)
        return EgoState(from_stamp(message.header.stamp), pose, speed_mps=float(velocity[0]),
                        yaw_rate_rps=float(twist.angular.z), lateral_mps=float(velocity[1]))

    def speed_to_msg(self, stamp_ns: int, speed_mps: float):
        """The speedometer's message."""
        return Float32(data=float(speed_mps))

    def speed_from_msg(self, message) -> tuple[int | None, float]:
        """(stamp or None where the message has no header, signed forward speed in m/s)."""
        return None, float(message.data)

    def imu_to_msg(self, stamp_ns: int, pose: Pose, acceleration: np.ndarray, angular_velocity: np.ndarray) -> Imu:
        """Specific force [3] and turn rates [3] in body axes, attitude in ``map``."""
        ax, ay, az = (float(value) for value in acceleration)
        wx, wy, wz = (float(value) for value in angular_velocity)
        return Imu(header=self.header(stamp_ns, self.frame_id("imu")), orientation=quaternion(pose),
                   angular_velocity=Vector3(x=wx, y=wy, z=wz), linear_acceleration=Vector3(x=ax, y=ay, z=az))

    def gnss_to_msg(self, stamp_ns: int, latitude: float, longitude: float, altitude: float) -> NavSatFix:
        """A fix in degrees and metres."""
        return NavSatFix(header=self.header(stamp_ns, self.frame_id("gnss")), latitude=float(latitude),
                         longitude=float(longitude), altitude=float(altitude))

    # --- sensors -----------------------------------------------------------------------------------------------------

    def image_to_msg(self, rgb: np.ndarray, stamp_ns: int, sensor: str) -> Image:
        """RGB uint8 [H, W, 3] as ``bgra8``."""
        height, width = rgb.shape[:2]
        return Image(header=self.header(stamp_ns, self.frame_id(sensor)), height=height, width=width,
                     encoding="bgra8", is_bigendian=0, step=4 * width, data=bytes_array(encode_rgb(rgb, "bgra8")))

    def image_from_msg(self, message: Image, spec: CameraSpec | None = None) -> np.ndarray:
        """RGB uint8 [H, W, 3]; ``spec`` also checks the size.

        Raises:
            SensorError: an encoding that is no colour image, or a wrong size.
        """
        if spec is not None and (message.width, message.height) != (spec.width, spec.height):
            raise SensorError(f"{spec.width}x{spec.height} pixels from camera {spec.id!r}",
                              f"{message.width}x{message.height}", "spawn the sensors from the planner's sensor file")
        if message.encoding not in ENCODINGS:
            return rgb_by_cv_bridge(message)
        return decode_rgb(message.data, message.height, message.width, message.encoding, message.step)

    def camera_info_to_msg(self, spec: CameraSpec, stamp_ns: int) -> CameraInfo:
        """Pinhole without distortion, fx = fy = W / (2 tan(fov / 2)), principal point in the middle."""
        f, cx, cy = spec.focal_px, spec.width / 2.0, spec.height / 2.0
        return CameraInfo(header=self.header(stamp_ns, self.frame_id(spec.id)), height=spec.height, width=spec.width,
                          distortion_model="plumb_bob", d=[0.0] * 5, k=[f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0],
                          r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
                          p=[f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0])

    def cloud_to_msg(self, cloud: np.ndarray, stamp_ns: int, sensor: str) -> PointCloud2:
        """Points float32 [N, 4] (x, y, z, intensity) of the sensor's frame."""
        table = np.ascontiguousarray(cloud, np.float32).reshape(-1, 4).view(CLOUD_DTYPE).reshape(-1)
        return table_to_msg(table, stamp_ns, self.frame_id(sensor))

    def cloud_from_msg(self, message: PointCloud2, sensor: str = "the LiDAR") -> np.ndarray:
        """Points float32 [N, 4]; rows that are not finite are left out.

        Raises:
            SensorError: a field is missing, or no finite point is left.
        """
        points = columns(table_from_msg(message), ("x", "y", "z", "intensity"), f"the cloud of {sensor}")
        finite = np.isfinite(points).all(1)
        if not finite.any():
            raise SensorError(f"points from {sensor}", f"{len(points)} points, none of them finite",
                              "check the LiDAR and its driver")
        return points if finite.all() else points[finite]

    # --- route -------------------------------------------------------------------------------------------------------

    def route_to_msg(self, route: Route):
        """The dense plan for the latched route topic: carla_msgs/CarlaRoute, or a table where it is not installed."""
        if self._route is not None:
            poses = [pose_stamped(x, y, yaw).pose for (x, y), yaw in zip(route.points.tolist(), route.yaws.tolist())]
            return self._route(road_options=[int(c) for c in route.commands], poses=poses)
        table = np.zeros(len(route.points), ROUTE_DTYPE)
        table["x"], table["y"] = np.asarray(route.points, float).T
        table["yaw"], table["command"] = route.yaws, route.commands
        return table_to_msg(table, 0, MAP_FRAME)

    def route_from_msg(self, message, name: str = "route") -> Route:
        """The dense plan in ``message``; its key points are the first and the last point."""
        if isinstance(message, PointCloud2):
            table = table_from_msg(message)
            columns(table, ROUTE_DTYPE.names, "the route")
            points = np.stack([table["x"], table["y"]], axis=1).astype(float)
            yaws, commands = table["yaw"].astype(float), table["command"].astype(np.int8)
        else:
            poses = [pose_from_quaternion(pose.position, pose.orientation) for pose in message.poses]
            points = np.array([(pose.x, pose.y) for pose in poses]).reshape(-1, 2)
            yaws, commands = np.array([pose.yaw for pose in poses]), np.array(message.road_options, np.int8)
        return Route(name, "", points, yaws, commands, points[[0, -1]] if len(points) else points)

    def waypoints_from_msg(self, message: Path, name: str = "waypoints") -> Route:
        """The dense plan in a path: every command is LANE_FOLLOW, since a path cannot hold them."""
        poses = [pose_from_quaternion(one.pose.position, one.pose.orientation) for one in message.poses]
        points = np.array([(pose.x, pose.y) for pose in poses]).reshape(-1, 2)
        return Route(name, "", points, np.array([pose.yaw for pose in poses]),
                     np.full(len(poses), Command.LANE_FOLLOW, np.int8), points[[0, -1]] if len(points) else points)

    def waypoints_to_msg(self, route: Route, stamp_ns: int) -> Path:
        """The dense plan as carla_waypoint_publisher sends it: inner poses have empty headers."""
        return Path(header=self.header(stamp_ns, MAP_FRAME), poses=[
            pose_stamped(x, y, yaw) for (x, y), yaw in zip(route.points.tolist(), route.yaws.tolist())])


def _full_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/{kind.__name__}"
