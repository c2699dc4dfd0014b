"""Plans, ego states and routes made up for tests: hand-made, in base_link or on a map of nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.route import Route
from kd_planner_ros.geometry.polyline import resample, yaws_along

TICK_S, TICK_NS = 0.05, 50_000_000
TIMES = np.array([0.5, 1.0, 1.5, 2.0])
STRAIGHT = ((2, 0), (4, 0), (6, 0), (8, 0))
"""4 m/s straight ahead at TIMES."""


def goal(target=(20.0, 0.0), command: Command = Command.LANE_FOLLOW) -> NavigationGoal:
    """A target point in base_link, metres."""
    return NavigationGoal(np.array(target, float), command)


def plan(points=STRAIGHT, stamp_ns: int = 0, times=TIMES, target=(20.0, 0.0), **more) -> Plan:
    """A plan through ``points`` (base_link, metres) at ``times`` seconds after ``stamp_ns``; ``more`` are other fields of Plan."""
    where = more.pop("goal", None) or goal(target)
    return Plan(stamp_ns, Trajectory(stamp_ns, np.array(points, float), np.array(times)), where, **more)


def straight(speed_mps: float, times=TIMES, **more) -> Plan:
    """A plan straight ahead at ``speed_mps``."""
    return plan([(speed_mps * t, 0.0) for t in times], times=times, **more)


def ego(speed_mps: float = 4.0, stamp_ns: int = 0, **pose) -> EgoState:
    """A car on the pose of these coordinates."""
    return EgoState(stamp_ns, Pose(**pose), speed_mps)


def users(*rows, forecasts=None, probability: float = 0.9) -> Detections:
    """Cars 4 m long and 2 m wide at (x, y) with velocity (vx, vy), along x while they stand; ``forecasts`` [N, M, T, 2] at TIMES are
    equally likely."""
    found = np.zeros(len(rows), DETECTION_DTYPE)
    for row, (x, y, vx, vy) in zip(found, rows, strict=True):
        row["x"], row["y"], row["vx"], row["vy"], row["length"], row["width"], row["probability"] = x, y, vx, vy, 4.0, 2.0, probability
    if forecasts is None:
        return Detections(found)
    ways = np.asarray(forecasts, np.float32)
    return Detections(found, ways, np.full(ways.shape[:2], 1.0 / ways.shape[1], np.float32), TIMES)


def make_route(*corners, commands: Callable[[np.ndarray], np.ndarray] | None = None) -> Route:
    """A route through ``corners`` (map, metres; by default 150 m along x), a point each metre. ``commands`` makes the commands of its
    points [N, 2]; without it LANE_FOLLOW is the command of all."""
    points = resample(np.array(corners or ((0, 0), (150, 0)), float), 1.0)
    kinds = np.full(len(points), Command.LANE_FOLLOW, np.int8) if commands is None else commands(points)
    return Route("r", "hand", points, yaws_along(points), kinds, points[[0, -1]])
