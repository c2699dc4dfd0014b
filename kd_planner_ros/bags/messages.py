"""Core records to the messages of a recording. rosbags' message classes; nothing of ROS is installed or imported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from kd_planner_ros.core.records import Control, EgoState, Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.attitude import pose_from, quaternion_of, to_bridge_twist
from kd_planner_ros.wire.tables import ROUTE_DTYPE, table_bytes, table_fields
from kd_planner_ros.wire.topics import MAP_FRAME

CARLA_DEFINITIONS = {
    "carla_msgs/msg/CarlaEgoVehicleControl":
        "std_msgs/Header header\nfloat32 throttle\nfloat32 steer\nfloat32 brake\nbool hand_brake\nbool reverse\n"
        "int32 gear\nbool manual_gear_shift\n",
    "carla_msgs/msg/CarlaSpeedometer": "std_msgs/Header header\nfloat64 speed\n",
    "carla_msgs/msg/CarlaWorldInfo": "string map_name\nstring opendrive\n",
    "carla_msgs/msg/CarlaRoute": "int8[] road_options\ngeometry_msgs/Pose[] poses\n",
}
"""For sqlite3 bags, which carry no definitions."""
GRAVITY_MPS2 = 9.81


@lru_cache
def typestore() -> Typestore:
    """Standard messages and the few of carla_msgs that a recording may hold."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in CARLA_DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


def make(kind: str, **fields: Any) -> Any:
    """A message of type ``kind`` such as ``std_msgs/msg/Header``."""
    return _classes()[kind](**fields)


@lru_cache
def _classes() -> Mapping[str, Any]:
    return dict(typestore().types)


def time(stamp_ns: int) -> Any:
    """builtin_interfaces/Time."""
    return make("builtin_interfaces/msg/Time", sec=int(stamp_ns // 10**9), nanosec=int(stamp_ns % 10**9))


def stamp_of(message: Any) -> int:
    """The header's stamp in nanoseconds."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def header(stamp_ns: int, frame: str) -> Any:
    """std_msgs/Header."""
    return make("std_msgs/msg/Header", stamp=time(stamp_ns), frame_id=frame)


def vector(x: float, y: float, z: float) -> Any:
    """geometry_msgs/Vector3."""
    return make("geometry_msgs/msg/Vector3", x=float(x), y=float(y), z=float(z))


def quaternion(pose: Pose) -> Any:
    """Rz(yaw) Ry(pitch) Rx(roll) as geometry_msgs/Quaternion."""
    x, y, z, w = quaternion_of(pose)
    return make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def pose_of(position: Any, q: Any) -> Pose:
    """A core pose from a position and a quaternion, which need not be normalised; all zeros mean no rotation."""
    return pose_from((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))


def clock(stamp_ns: int) -> Any:
    """rosgraph_msgs/Clock."""
    return make("rosgraph_msgs/msg/Clock", clock=time(stamp_ns))


def odometry(ego: EgoState, frame: str) -> Any:
    """nav_msgs/Odometry, covariances zero."""
    position = make("geometry_msgs/msg/Point", x=float(ego.pose.x), y=float(ego.pose.y), z=float(ego.pose.z))
    pose = make("geometry_msgs/msg/Pose", position=position, orientation=quaternion(ego.pose))
    twist = to_bridge_twist(np.array([ego.speed_mps, ego.lateral_mps, 0.0]), ego.pose)
    motion = make("geometry_msgs/msg/Twist", linear=vector(*twist), angular=vector(0.0, 0.0, ego.yaw_rate_rps))
    return make("nav_msgs/msg/Odometry", header=header(ego.stamp_ns, MAP_FRAME), child_frame_id=frame,
                pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
                twist=make("geometry_msgs/msg/TwistWithCovariance", twist=motion, covariance=np.zeros(36)))


def speedometer(speed_mps: float) -> Any:
    """std_msgs/Float32."""
    return make("std_msgs/msg/Float32", data=float(speed_mps))


def imu(ego: EgoState, frame: str) -> Any:
    """sensor_msgs/Imu in body axes, gravity included, covariances zero."""
    return make("sensor_msgs/msg/Imu", header=header(ego.stamp_ns, frame), orientation=quaternion(ego.pose),
                orientation_covariance=np.zeros(9), angular_velocity=vector(0.0, 0.0, ego.yaw_rate_rps),
                angular_velocity_covariance=np.zeros(9), linear_acceleration=vector(
                    ego.acceleration_mps2, ego.yaw_rate_rps * ego.speed_mps, GRAVITY_MPS2),
                linear_acceleration_covariance=np.zeros(9))


def gnss(stamp_ns: int, frame: str, latitude: float, longitude: float, altitude: float) -> Any:
    """sensor_msgs/NavSatFix in degrees and metres, covariance zero."""
    status = make("sensor_msgs/msg/NavSatStatus", status=0, service=1)
    return make("sensor_msgs/msg/NavSatFix", header=header(stamp_ns, frame), status=status, latitude=float(latitude),
                longitude=float(longitude), altitude=float(altitude), position_covariance=np.zeros(9),
                position_covariance_type=0)


def named_values(stamp_ns: int, frame: str, values: Mapping[str, float]) -> Any:
    """Numbers by name as sensor_msgs/JointState, the one standard message that has both and a stamp."""
    return make("sensor_msgs/msg/JointState", header=header(stamp_ns, frame), name=list(values),
                position=np.array([float(v) for v in values.values()]), velocity=np.zeros(0), effort=np.zeros(0))


def control(command: Control, stamp_ns: int, frame: str) -> Any:
    """A control as named values in CARLA's sign: steer positive to the RIGHT."""
    return named_values(stamp_ns, frame, {"throttle": command.throttle, "steer": -command.steer, "brake": command.brake})


def table(rows: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """A structured array [N] as sensor_msgs/PointCloud2, one field a column."""
    fields = [make("sensor_msgs/msg/PointField", name=name, offset=offset, datatype=number, count=1)
              for name, offset, number in table_fields(rows.dtype)]
    step = rows.dtype.itemsize
    return make("sensor_msgs/msg/PointCloud2", header=header(stamp_ns, frame), height=1, width=len(rows), fields=fields,
                is_bigendian=False, point_step=step, row_step=step * len(rows), data=table_bytes(rows), is_dense=False)


def route_table(route: Route) -> np.ndarray:
    """The dense plan as ROUTE_DTYPE [N]."""
    rows = np.zeros(len(route.points), ROUTE_DTYPE)
    rows["x"], rows["y"] = np.asarray(route.points, float).T
    rows["yaw"], rows["command"] = route.yaws, route.commands
    return rows


def image(pixels: np.ndarray, encoding: str, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/Image of pixels [H, W] or [H, W, C] that are in the encoding's own layout already."""
    pixels = np.ascontiguousarray(pixels)
    return make("sensor_msgs/msg/Image", header=header(stamp_ns, frame), height=pixels.shape[0], width=pixels.shape[1],
                encoding=encoding, is_bigendian=0, step=pixels.strides[0], data=pixels.reshape(-1).view(np.uint8))


def camera_info(spec: CameraSpec, stamp_ns: int, frame: str) -> Any:
    """Pinhole without distortion: fx = fy = W / (2 tan(fov / 2)), principal point in the middle."""
    f, cx, cy = spec.focal_px, spec.width / 2.0, spec.height / 2.0
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make("sensor_msgs/msg/CameraInfo", header=header(stamp_ns, frame), height=spec.height, width=spec.width,
                distortion_model="plumb_bob", d=np.zeros(5), k=np.array([f, 0, cx, 0, f, cy, 0, 0, 1.0]),
                r=np.eye(3).reshape(-1), p=np.array([f, 0, cx, 0, 0, f, cy, 0, 0, 0, 1.0, 0]), binning_x=0,
                binning_y=0, roi=roi)


def transform(stamp_ns: int, parent: str, child: str, pose: Pose) -> Any:
    """tf2_msgs/TFMessage with one transform."""
    place = make("geometry_msgs/msg/Transform", translation=vector(pose.x, pose.y, pose.z), rotation=quaternion(pose))
    one = make("geometry_msgs/msg/TransformStamped", header=header(stamp_ns, parent), child_frame_id=child,
               transform=place)
    return make("tf2_msgs/msg/TFMessage", transforms=[one])
