"""From waypoints to poses every ``STEP_S``, and the drive of a simulated car."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.evaluation.pdm.scene import STEP_S
from kd_planner_ros.geometry.frames import rotation_2d, wrap_angle
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WHEELBASE_M, EGO_WIDTH_M

REAR_M = EGO_WHEELBASE_M / 2.0
"""From the car's centre back to its rear axle, metres (``world/ego.py``)."""
REACH_S = 1e-6


@dataclass(frozen=True)
class Motion:
    """The car over T + 1 instants: ``poses`` [T + 1, 3] (x, y, yaw) of its centre, ``speeds`` [T + 1] of its rear axle in m/s,
    ``accelerations`` [T + 1] along x in m/s2, ``yaw_rates`` [T + 1] in rad/s."""

    poses: np.ndarray
    speeds: np.ndarray
    accelerations: np.ndarray
    yaw_rates: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """The car's footprint at each instant [T + 1, 5]."""
        return boxes_at(self.poses)

    @property
    def rear_axles(self) -> np.ndarray:
        """Where the rear axle is at each instant [T + 1, 2]."""
        return rear_of(self.poses)


def boxes_at(poses: np.ndarray) -> np.ndarray:
    """The footprint [T, 5] of a car whose centre has ``poses`` [T, 3]."""
    return np.concatenate([poses, np.broadcast_to((EGO_LENGTH_M, EGO_WIDTH_M), (len(poses), 2))], axis=1)


def rear_of(poses: np.ndarray) -> np.ndarray:
    """The rear axle's place [..., 2] of a car whose centre has ``poses`` [..., 3]."""
    return poses[..., :2] - REAR_M * np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)


def reaches(plan: Trajectory, steps: int) -> bool:
    """Whether ``plan`` says where the car is to be after ``steps`` steps."""
    return len(plan.times_s) > 0 and float(plan.times_s[-1]) >= steps * STEP_S - REACH_S and bool(np.isfinite(plan.points).all())


def extended(plan: Trajectory, steps: int) -> Trajectory:
    """``plan`` with a waypoint after ``steps`` steps, in the direction and at the speed of its last stretch."""
    if reaches(plan, steps):
        return plan
    times, points = _nodes(plan)
    last = (points[-1] - points[-2]) / (times[-1] - times[-2])
    end_s = steps * STEP_S
    return Trajectory(plan.stamp_ns, np.vstack([points[1:], points[-1] + last * (end_s - times[-1])]), np.append(times[1:], end_s))


def poses_of(plan: Trajectory, steps: int) -> np.ndarray:
    """Where ``plan`` wants the car's centre [steps + 1, 3] (x, y, yaw) in ``base_link`` at every step, from the car itself on.

    Positions are linear between waypoints. The heading is the one that a car's body takes when its centre is led along them while the
    rear axle rolls without slipping; a stretch that leads backwards leaves it as it is. A plan of 2 m/s straight ahead: (0, 0, 0),
    (0.2, 0, 0), ...
    """
    times, points = _nodes(plan)
    at = STEP_S * np.arange(steps + 1)
    places = np.stack([np.interp(at, times, points[:, 0]), np.interp(at, times, points[:, 1])], axis=1)
    return np.concatenate([places, _led(places)[:, None]], axis=1)


def _led(places: np.ndarray) -> np.ndarray:
    """Headings [T + 1] from 0 on of a body whose centre is led along ``places`` [T + 1, 2] in straight steps: on each the tangent of half
    the angle between the step and the heading shrinks by exp(-length / REAR_M)."""
    yaws = np.zeros(len(places))
    for row, step in enumerate(np.diff(places, axis=0)):
        length = math.hypot(*step)
        off = math.remainder(math.atan2(step[1], step[0]) - yaws[row], 2.0 * math.pi) if length > 0.0 else 0.0
        turned = off - 2.0 * math.atan(math.tan(off / 2.0) * math.exp(-length / REAR_M)) if abs(off) < math.pi / 2.0 else 0.0
        yaws[row + 1] = yaws[row] + turned
    return yaws


def _nodes(plan: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """The plan's times [K + 1] and points [K + 1, 2] with the car itself at time 0 before them."""
    return np.append(0.0, np.asarray(plan.times_s, float)), np.vstack([np.zeros((1, 2)), np.asarray(plan.points, float).reshape(-1, 2)])


def to_map(poses: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Poses [T, 3] in ``base_link`` of a car at ``pose`` [3] as poses in ``map``; yaws stay continuous."""
    return np.concatenate([poses[:, :2] @ rotation_2d(pose[2]).T + pose[:2], poses[:, 2:] + pose[2]], axis=1)


def from_map(poses: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The inverse of ``to_map``; yaws begin in [-pi, pi) and stay continuous."""
    yaws = np.unwrap(poses[:, 2]) - pose[2]
    yaws = yaws + (float(wrap_angle(yaws[0])) - yaws[0]) if len(yaws) else yaws
    return np.concatenate([(poses[:, :2] - pose[:2]) @ rotation_2d(pose[2]), yaws[:, None]], axis=1)
