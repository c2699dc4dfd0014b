"""The ego vehicle's motion, its transforms and its controls, in the signs and with the faults of CARLA's bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control
from kd_planner_ros.geometry.attitude import from_bridge_twist, to_bridge_twist
from kd_planner_ros.wire.codec.base import MAP_FRAME, Make, header, pose, pose_of, quaternion, stamp_of, time, time_of, vector

GRAVITY_MPS2 = 9.81
REASON = "reason/"
"""Where a control travels as named values, one more name says why it is not the planner's wish."""
CLOCK, ODOMETRY, IMU, GNSS = "rosgraph_msgs/msg/Clock", "nav_msgs/msg/Odometry", "sensor_msgs/msg/Imu", "sensor_msgs/msg/NavSatFix"
SPEED, SPEEDOMETER, NAMED = "std_msgs/msg/Float32", "carla_msgs/msg/CarlaSpeedometer", "sensor_msgs/msg/JointState"
TWIST = "geometry_msgs/msg/TwistStamped"
CONTROL, TRANSFORMS = "carla_msgs/msg/CarlaEgoVehicleControl", "tf2_msgs/msg/TFMessage"


class ImuSample(NamedTuple):
    """Attitude in ``map``; specific force [3] in m/s^2 (9.81 up at rest) and turn rates [3] in rad/s in ``base_link``."""

    pose: Pose
    acceleration: np.ndarray
    angular_velocity: np.ndarray


class Fix(NamedTuple):
    """A place in degrees and metres."""

    latitude: float
    longitude: float
    altitude: float


class Mount(NamedTuple):
    """The frame ``child`` stands at ``pose`` in the frame ``parent``."""

    parent: str
    child: str
    pose: Pose


def twist(make: Make, speeds: tuple[float, float, float], stamp_ns: int, frame: str) -> Any:
    """geometry_msgs/TwistStamped of (forward m/s, left m/s, turn rate to the left rad/s) in ``frame``, the vehicle's."""
    forward, left, turn = speeds
    return make(TWIST, header=header(make, stamp_ns, frame),
                twist=make("geometry_msgs/msg/Twist", linear=vector(make, forward, left, 0.0), angular=vector(make, 0.0, 0.0, turn)))


def twist_of(message: Any) -> tuple[float, float, float]:
    """(forward m/s, left m/s, turn rate to the left rad/s)."""
    return float(message.twist.linear.x), float(message.twist.linear.y), float(message.twist.angular.z)


def clock(make: Make, record: None, stamp_ns: int, frame: str = "") -> Any:
    """rosgraph_msgs/Clock."""
    return make(CLOCK, clock=time(make, stamp_ns))


def clock_of(message: Any) -> int:
    """The time in nanoseconds."""
    return time_of(message.clock)


def odometry(make: Make, ego: EgoState, stamp_ns: int, frame: str) -> Any:
    """nav_msgs/Odometry as the bridge sends it: pose in ``map``, twist by the bridge's own rotation, covariances zero.
    ``frame`` is the vehicle's."""
    twist = to_bridge_twist(np.array([ego.speed_mps, ego.lateral_mps, 0.0]), ego.pose)
    motion = make("geometry_msgs/msg/Twist", linear=vector(make, *twist), angular=vector(make, 0.0, 0.0, ego.yaw_rate_rps))
    return make(ODOMETRY, header=header(make, stamp_ns, MAP_FRAME), child_frame_id=frame,
                pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose(make, ego.pose), covariance=np.zeros(36)),
                twist=make("geometry_msgs/msg/TwistWithCovariance", twist=motion, covariance=np.zeros(36)))


def ego_of(message: Any) -> EgoState:
    """The ego state in an odometry; its speed is exact on slopes too, where the bridge's own twist is not. The acceleration is
    not in it."""
    twist = message.twist.twist
    place = pose_of(message.pose.pose.position, message.pose.pose.orientation)
    body = from_bridge_twist(np.array([twist.linear.x, twist.linear.y, twist.linear.z]), place)
    return EgoState(stamp_of(message), place, speed_mps=float(body[0]), yaw_rate_rps=float(twist.angular.z),
                    lateral_mps=float(body[1]))


def require_finite(ego: EgoState) -> EgoState:
    """``ego`` itself; raises SensorError where a number of it is not finite."""
    place = ego.pose
    if not np.isfinite([place.x, place.y, place.z, place.yaw, ego.speed_mps, ego.lateral_mps, ego.yaw_rate_rps]).all():
        raise SensorError("finite numbers in odometry", f"position {place.x}, {place.y} and speed {ego.speed_mps}",
                          "check the localisation")
    return ego


def speed(make: Make, speed_mps: float, stamp_ns: int, frame: str = "") -> Any:
    """std_msgs/Float32, m/s forward."""
    return make(SPEED, data=float(speed_mps))


def carla_speed(make: Make, speed_mps: float, stamp_ns: int, frame: str) -> Any:
    """carla_msgs/CarlaSpeedometer, m/s forward."""
    return make(SPEEDOMETER, header=header(make, stamp_ns, frame), speed=float(speed_mps))


def speed_of(message: Any) -> tuple[int | None, float]:
    """(stamp, or None where the message has no header; signed forward speed in m/s)."""
    if hasattr(message, "header"):
        return stamp_of(message), float(message.speed)
    return None, float(message.data)


def imu(make: Make, sample: ImuSample, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/Imu in body axes, gravity included, covariances zero."""
    return make(IMU, header=header(make, stamp_ns, frame), orientation=quaternion(make, sample.pose),
                orientation_covariance=np.zeros(9), angular_velocity=vector(make, *sample.angular_velocity),
                angular_velocity_covariance=np.zeros(9), linear_acceleration=vector(make, *sample.acceleration),
                linear_acceleration_covariance=np.zeros(9))


def imu_of_ego(ego: EgoState) -> ImuSample:
    """What an ideal IMU at the vehicle's origin measures on a flat road."""
    force = np.array([ego.acceleration_mps2, ego.yaw_rate_rps * ego.speed_mps, GRAVITY_MPS2])
    return ImuSample(ego.pose, force, np.array([0.0, 0.0, ego.yaw_rate_rps]))


def imu_of(message: Any) -> ImuSample:
    """Attitude, specific force and turn rates; the position is zero."""
    q, a, w = message.orientation, message.linear_acceleration, message.angular_velocity
    place = pose_of(_ORIGIN, q)
    return ImuSample(place, np.array([a.x, a.y, a.z]), np.array([w.x, w.y, w.z]))


class _Origin(NamedTuple):
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


_ORIGIN = _Origin()


def gnss(make: Make, fix: Fix, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/NavSatFix, covariance zero."""
    status = make("sensor_msgs/msg/NavSatStatus", status=0, service=1)
    return make(GNSS, header=header(make, stamp_ns, frame), status=status, latitude=float(fix.latitude),
                longitude=float(fix.longitude), altitude=float(fix.altitude), position_covariance=np.zeros(9),
                position_covariance_type=0)


def fix_of(message: Any) -> Fix:
    """The place."""
    return Fix(float(message.latitude), float(message.longitude), float(message.altitude))


def named(make: Make, values: Mapping[str, float], stamp_ns: int, frame: str) -> Any:
    """Numbers by name as sensor_msgs/JointState, the one standard message that has both and a stamp."""
    return make(NAMED, header=header(make, stamp_ns, frame), name=list(values),
                position=np.array([float(v) for v in values.values()]), velocity=np.zeros(0), effort=np.zeros(0))


def named_of(message: Any) -> dict[str, float]:
    """The numbers by name."""
    return dict(zip(message.name, np.asarray(message.position).tolist(), strict=False))


def control(make: Make, command: Control, stamp_ns: int, frame: str) -> Any:
    """A control as named values in CARLA's sign: steer positive to the RIGHT. +0.25 (left) becomes -0.25."""
    why = {REASON + command.reason: 1.0} if command.reason else {}
    return named(make, {"throttle": command.throttle, "steer": -command.steer, "brake": command.brake, **why}, stamp_ns, frame)


def carla_control(make: Make, command: Control, stamp_ns: int, frame: str) -> Any:
    """carla_msgs/CarlaEgoVehicleControl; steer positive to the RIGHT. The message has no place for the reason."""
    return make(CONTROL, header=header(make, stamp_ns, frame), throttle=float(command.throttle), steer=-float(command.steer),
                brake=float(command.brake), hand_brake=False, reverse=False, gear=0, manual_gear_shift=False)


def control_of(message: Any) -> Control:
    """The command in either message, steer positive LEFT.

    Raises:
        SensorError: named values without throttle, steer and brake.
    """
    reason = ""
    if hasattr(message, "throttle"):
        throttle, steer, brake = message.throttle, message.steer, message.brake
    else:
        values = named_of(message)
        reason = next((name[len(REASON):] for name in values if name.startswith(REASON)), "")
        try:
            throttle, steer, brake = values["throttle"], values["steer"], values["brake"]
        except KeyError as missing:
            raise SensorError("throttle, steer and brake in a control message", f"no {missing}", "publish one of each") from None
    return Control(stamp_of(message), throttle=float(throttle), steer=-float(steer), brake=float(brake), reason=reason)


def transforms(make: Make, mounts: Sequence[Mount], stamp_ns: int, frame: str = "") -> Any:
    """tf2_msgs/TFMessage."""
    return make(TRANSFORMS, transforms=[make(
        "geometry_msgs/msg/TransformStamped", header=header(make, stamp_ns, mount.parent), child_frame_id=mount.child,
        transform=make("geometry_msgs/msg/Transform", translation=vector(make, mount.pose.x, mount.pose.y, mount.pose.z),
                       rotation=quaternion(make, mount.pose))) for mount in mounts])


def mounts_of(message: Any) -> list[Mount]:
    """The transforms in a TFMessage."""
    return [Mount(one.header.frame_id, one.child_frame_id, pose_of(one.transform.translation, one.transform.rotation))
            for one in message.transforms]
