"""Plans for others, as standard messages: for RViz and Foxglove (Path; markers: ``plan_markers.py``), for controllers of another
make (MultiDOFJointTrajectory). Our own controller reads the tables of ``wire/codec/plans.py``.
"""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import PoseStamped, Quaternion, Transform, Twist, Vector3
from nav_msgs.msg import Path
from std_msgs.msg import Header
from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.records import Control, Trajectory
from kd_planner_ros.geometry.frames import from_base
from kd_planner_ros.ros.adapters.optional import message_type
from kd_planner_ros.ros.messages import make
from kd_planner_ros.ros.stamps import to_duration, to_stamp
from kd_planner_ros.wire.codec.base import MAP_FRAME, planar_pose


def headings(points: np.ndarray) -> np.ndarray:
    """Driving direction [T] at points [T, 2], the first seen from the origin; a step under 1 cm keeps the last one."""
    steps = np.diff(np.concatenate([np.zeros((1, 2)), points]), axis=0)
    out, last = np.zeros(len(points)), 0.0
    for i, (x, y) in enumerate(steps.tolist()):
        last = math.atan2(y, x) if math.hypot(x, y) > 0.01 else last
        out[i] = last
    return out


def trajectory_to_path(trajectory: Trajectory, ego: Pose) -> Path:
    """The trajectory in ``map``; every pose is stamped with the time of arrival there."""
    path = Path(header=Header(stamp=to_stamp(trajectory.stamp_ns), frame_id=MAP_FRAME))
    points, yaws = from_base(trajectory.points, ego), headings(trajectory.points) + ego.yaw
    for (x, y), yaw, time_s in zip(points.tolist(), yaws.tolist(), trajectory.times_s.tolist(), strict=True):
        arrival = to_stamp(trajectory.stamp_ns + round(time_s * 1e9))
        path.poses.append(PoseStamped(header=Header(stamp=arrival, frame_id=MAP_FRAME), pose=planar_pose(make, x, y, yaw)))
    return path


def trajectory_to_joints(trajectory: Trajectory, frame_id: str) -> MultiDOFJointTrajectory:
    """The trajectory in the vehicle frame at its stamp; velocities are differences of points."""
    message = MultiDOFJointTrajectory(header=Header(stamp=to_stamp(trajectory.stamp_ns), frame_id=frame_id),
                                      joint_names=[frame_id])
    points, times = np.asarray(trajectory.points, float), np.asarray(trajectory.times_s, float)
    spans = np.diff(np.concatenate([[0.0], times]))
    speeds = np.diff(np.concatenate([np.zeros((1, 2)), points]), axis=0) / np.maximum(spans, 1e-3)[:, None]
    for (x, y), yaw, (vx, vy), time_s in zip(points.tolist(), headings(points).tolist(), speeds.tolist(),
                                             times.tolist(), strict=True):
        rotation = Quaternion(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
        message.points.append(MultiDOFJointTrajectoryPoint(
            transforms=[Transform(translation=Vector3(x=x, y=y, z=0.0), rotation=rotation)],
            velocities=[Twist(linear=Vector3(x=vx, y=vy, z=0.0))], time_from_start=to_duration(time_s)))
    return message


def steering_type():
    """ackermann_msgs/AckermannDriveStamped, or None where it is not installed."""
    return message_type("ackermann_msgs", "AckermannDriveStamped")


def steering_to_msg(kind, control: Control, speed_mps: float, max_steer_rad: float, frame_id: str):
    """The steering angle in radians, positive LEFT, and the speed held now, as ``kind``."""
    message = kind(header=Header(stamp=to_stamp(control.stamp_ns), frame_id=frame_id))
    message.drive.steering_angle = float(control.steer * max_steer_rad)
    message.drive.speed = float(speed_mps)
    return message
