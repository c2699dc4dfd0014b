"""The ego state and the route of data sets that publish places alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, Pose
from kd_planner_ros.core.route import Route

POINT_M, BEHIND_M = 1.0, 50


def ego_states(stamps_ns: Sequence[int], poses: Sequence[Pose]) -> list[EgoState]:
    """The ego at each of ``poses`` (map frame, z up); speed (m/s, forward), acceleration and yaw rate are differences to the pose before,
    so that a planner is told nothing of what comes. The first state has those of the second, for nothing lies before it.

    Raises:
        ValueError: fewer than two poses, or stamps that do not increase.
    """
    seconds = np.asarray(stamps_ns, np.int64) / 1e9
    if len(poses) < 2 or not (np.diff(seconds) > 0.0).all():
        raise ValueError("two poses or more, with increasing stamps")
    yaws = np.unwrap([pose.yaw for pose in poses])
    steps = _rates(np.array([(pose.x, pose.y) for pose in poses]), seconds)
    middles = (yaws + np.concatenate([yaws[1:2], yaws[:-1]])) / 2.0  # the heading between two poses, not that at the end
    speeds = steps[:, 0] * np.cos(middles) + steps[:, 1] * np.sin(middles)
    return [EgoState(int(stamp), pose, float(speed), yaw_rate_rps=float(turn), acceleration_mps2=float(pull))
            for stamp, pose, speed, pull, turn in zip(stamps_ns, poses, speeds, _rates(speeds, seconds), _rates(yaws, seconds),
                                                      strict=True)]


def way_driven(name: str, town: str, states: Sequence[EgoState], commands: np.ndarray | None = None) -> Route:
    """The way driven as a route: a point about each metre, and 50 m straight on behind its end. ``commands`` [N] hold at the states;
    without them, and behind the end, the command is LANE_FOLLOW."""
    points = np.array([(one.pose.x, one.pose.y) for one in states])
    kept = [0]
    for number in range(1, len(points)):
        if np.hypot(*(points[number] - points[kept[-1]])) >= POINT_M:
            kept.append(number)
    last, yaw = points[kept[-1]], states[kept[-1]].pose.yaw
    straight = last + np.arange(1, BEHIND_M + 1)[:, None] * (math.cos(yaw), math.sin(yaw))
    dense = np.concatenate([points[kept], straight])
    steps = np.diff(dense, axis=0)
    yaws = np.arctan2(steps[:, 1], steps[:, 0])
    told = np.full(len(dense), Command.LANE_FOLLOW, np.int8)
    if commands is not None:
        told[:len(kept)] = commands[kept]
    return Route(name, town, dense, np.append(yaws, yaws[-1]), told, dense[[0, -1]])


def _rates(values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Change a second since the row before; the first row has the second's."""
    steps = np.diff(values, axis=0) / np.diff(seconds).reshape(-1, *[1] * (values.ndim - 1))
    return np.concatenate([steps[:1], steps])
