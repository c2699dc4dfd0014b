"""Autoware's messages: trajectories and candidates out, control out and in, the vehicle's reports in.

Autoware's frames are ours (``map``, x forward, y left; steering positive LEFT). Its control asks for an acceleration, ours for
pedals: ``MAX_ACCELERATION_MPS2`` at full throttle and ``MAX_DECELERATION_MPS2`` at full brake stand between them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.geometry.frames import from_base
from kd_planner_ros.wire.codec.base import Make, header, planar_pose, stamp_of, time, time_of

TRAJECTORY, CONTROL = "autoware_planning_msgs/msg/Trajectory", "autoware_control_msgs/msg/Control"
CANDIDATES = "autoware_internal_planning_msgs/msg/CandidateTrajectories"
VELOCITY, STEERING = "autoware_vehicle_msgs/msg/VelocityReport", "autoware_vehicle_msgs/msg/SteeringReport"
MAX_ACCELERATION_MPS2, MAX_DECELERATION_MPS2 = 3.0, 8.0
VEHICLE_FRAME = "base_link"
SPEED_AFTER_S = 1.0
"""A control's velocity is the one that its acceleration leads to in this time."""
GENERATOR = "kd_planner_ros"


class Placed(NamedTuple):
    """A plan and the pose in ``map`` of the frame that it was made of."""

    plan: Plan
    ego: Pose


class Motion(NamedTuple):
    """A VelocityReport: m/s and rad/s in ``base_link``."""

    stamp_ns: int
    speed_mps: float
    lateral_mps: float
    yaw_rate_rps: float


def trajectory(make: Make, placed: Placed, stamp_ns: int, frame: str) -> Any:
    """The plan's trajectory as autoware_planning_msgs/Trajectory in ``map``."""
    one = placed.plan.trajectory
    return make(TRAJECTORY, header=header(make, stamp_ns, frame), points=_points(make, one.points, one.times_s, placed.ego))


def candidates(make: Make, placed: Placed, stamp_ns: int, frame: str) -> Any:
    """The plan's candidates, best score first, as autoware_internal_planning_msgs/CandidateTrajectories, which has no scores: those that
    nobody may follow (``core/records.py`` Plan) are left out. The plan's own trajectory where none is left. The generator's id is the same
    in every run."""
    plan = placed.plan
    ways = _followable(plan) or [plan.trajectory.points]
    named = np.frombuffer(uuid5(NAMESPACE_URL, GENERATOR).bytes, np.uint8)
    generator = make("unique_identifier_msgs/msg/UUID", uuid=named)
    found = [make("autoware_internal_planning_msgs/msg/CandidateTrajectory", header=header(make, stamp_ns, frame), generator_id=generator,
                  points=_points(make, way, plan.trajectory.times_s, placed.ego)) for way in ways]
    info = make("autoware_internal_planning_msgs/msg/GeneratorInfo", generator_id=generator,
                generator_name=make("std_msgs/msg/String", data=GENERATOR))
    return make(CANDIDATES, candidate_trajectories=found, generator_info=[info])


def _followable(plan: Plan) -> list[np.ndarray]:
    """The candidates [T, 2] whose numbers are finite and whose score, where they have one, is at least 0, best score first."""
    ways = [] if plan.candidates is None else list(np.asarray(plan.candidates, float))
    scores = np.zeros(len(ways)) if plan.scores is None or len(plan.scores) != len(ways) else np.asarray(plan.scores, float)
    best_first = np.argsort(-scores, kind="stable")
    return [ways[one] for one in best_first if scores[one] >= 0.0 and np.isfinite([scores[one], *ways[one].flat]).all()]


def _points(make: Make, points: np.ndarray, times_s: np.ndarray, ego: Pose) -> list[Any]:
    """Points [T, 2] of ``base_link`` at ``times_s`` [T]; headings and speeds are those of the steps that lead there."""
    points, times = np.asarray(points, float), np.asarray(times_s, float)
    steps = np.diff(np.concatenate([np.zeros((1, 2)), points]), axis=0)
    speeds = np.hypot(steps[:, 0], steps[:, 1]) / np.maximum(np.diff(np.concatenate([[0.0], times])), 1e-3)
    gains = np.diff(speeds, append=speeds[-1:]) / np.maximum(np.diff(times, append=times[-1:] + 1.0), 1e-3)
    out, yaw = [], ego.yaw
    for (x, y), step, time_s, speed, gain in zip(from_base(points, ego), steps, times, speeds, gains, strict=True):
        if np.hypot(*step) > 0.01:  # a standing car keeps its heading
            yaw = ego.yaw + math.atan2(step[1], step[0])
        span_ns = round(float(time_s) * 1e9)
        duration = make("builtin_interfaces/msg/Duration", sec=span_ns // 10**9, nanosec=span_ns % 10**9)
        out.append(make("autoware_planning_msgs/msg/TrajectoryPoint", time_from_start=duration, pose=planar_pose(make, x, y, yaw),
                        longitudinal_velocity_mps=float(speed), lateral_velocity_mps=0.0, acceleration_mps2=float(gain),
                        heading_rate_rps=0.0, front_wheel_angle_rad=0.0, rear_wheel_angle_rad=0.0))
    return out


def control(make: Make, command: Control, speed_mps: float, max_steer_rad: float) -> Any:
    """``command`` as autoware_control_msgs/Control for a car that drives ``speed_mps`` now and steers ``max_steer_rad`` at full lock.
    One that brakes asks for standstill: it may be the last one, and a speed above zero would be held."""
    now, none = time(make, command.stamp_ns), time(make, 0)
    wanted = command.throttle * MAX_ACCELERATION_MPS2 if command.brake <= 0.0 else -command.brake * MAX_DECELERATION_MPS2
    speed = max(0.0, speed_mps + wanted * SPEED_AFTER_S) if command.brake <= 0.0 and math.isfinite(speed_mps) else 0.0
    lateral = make("autoware_control_msgs/msg/Lateral", stamp=now, control_time=none,
                   steering_tire_angle=float(command.steer * max_steer_rad), steering_tire_rotation_rate=0.0,
                   is_defined_steering_tire_rotation_rate=False)
    longitudinal = make("autoware_control_msgs/msg/Longitudinal", stamp=now, control_time=none, velocity=float(speed),
                        acceleration=float(wanted), jerk=0.0, is_defined_acceleration=True, is_defined_jerk=False)
    return make(CONTROL, stamp=now, control_time=none, lateral=lateral, longitudinal=longitudinal)


def control_of(message: Any, max_steer_rad: float) -> Control:
    """Pedals and steering of an autoware_control_msgs/Control.

    Raises:
        SensorError: a number that is not finite.
    """
    angle, wanted = float(message.lateral.steering_tire_angle), float(message.longitudinal.acceleration)
    _require(f"steering {angle} and acceleration {wanted}", angle, wanted)
    return Control(time_of(message.stamp), min(max(wanted / MAX_ACCELERATION_MPS2, 0.0), 1.0), min(max(angle / max_steer_rad, -1.0), 1.0),
                   min(max(-wanted / MAX_DECELERATION_MPS2, 0.0), 1.0))


def velocity_of(message: Any) -> Motion:
    """The motion in an autoware_vehicle_msgs/VelocityReport.

    Raises:
        SensorError: a number that is not finite, or velocities in another frame than the vehicle's.
    """
    frame = message.header.frame_id.lstrip("/")
    if frame not in ("", VEHICLE_FRAME):
        raise SensorError(f"a VelocityReport in {VEHICLE_FRAME}", f"one in {frame!r}", "check the node that published it")
    found = Motion(stamp_of(message), float(message.longitudinal_velocity), float(message.lateral_velocity), float(message.heading_rate))
    _require(f"{found.speed_mps}, {found.lateral_mps} and {found.yaw_rate_rps}", *found[1:])
    return found


def steering_of(message: Any) -> float:
    """The angle of the wheels in an autoware_vehicle_msgs/SteeringReport, rad, positive LEFT.

    Raises:
        SensorError: it is not finite.
    """
    _require(f"a steering angle of {message.steering_tire_angle}", float(message.steering_tire_angle))
    return float(message.steering_tire_angle)


def _require(got: str, *numbers: float) -> None:
    if not all(map(math.isfinite, numbers)):
        raise SensorError("finite numbers in Autoware's messages", got, "check the node that published them")
