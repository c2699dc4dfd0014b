"""The navigation goals along a recorded drive."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.route import Route
from kd_planner_ros.core.timeline import Timeline
from kd_planner_ros.driving.route_planner import RoutePlanner


def follow(route: Route, timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Target points [N, 2] and commands [N] along ``timeline``: RoutePlanner stepped every tick, exactly as when driving."""
    planner = RoutePlanner(route)
    goals = [planner.step(timeline.ego_state(row)) for row in range(len(timeline.ego.stamps))]
    targets = np.array([goal.target_point for goal in goals], float).reshape(-1, 2)
    return targets, np.array([int(goal.command) for goal in goals], np.int8)
