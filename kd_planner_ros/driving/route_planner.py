"""From the route and the car's pose to the navigation goal: the leaderboard's sparse plan and its follower."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal
from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.route import Route
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.geometry.polyline import arc_lengths, yaws_along

SPARSE_STEP_M = 50.0
WRONG_WAY_M = 10.0
"""Distance that a right angle between the car's heading and the route's counts for in the search of the car's place; twice as much
where the car heads against the route."""
_LANE_CHANGES = (Command.CHANGE_LANE_LEFT, Command.CHANGE_LANE_RIGHT)


def sparse_indices(route: Route, step_m: float = SPARSE_STEP_M) -> np.ndarray:
    """Indices [K] of the dense plan's points that agents are given.

    A point is kept when its command is a lane change, when its command differs from the point before it (unless that
    was a lane change), when more than ``step_m`` was passed since the last kept one, and when it is the last.

    Source: leaderboard ``downsample_route``.
    """
    kept: list[int] = []
    steps = np.hypot(*np.diff(route.points, axis=0).T)
    before, passed, last = None, 0.0, len(route.points) - 1
    for i, command in enumerate(route.commands.tolist()):
        if command in _LANE_CHANGES or (command != before and before not in _LANE_CHANGES) or passed > step_m or i == last:
            kept.append(i)
            passed = 0.0
        elif i:
            passed += float(steps[i - 1])
        before = command
    return np.array(kept, dtype=np.int64)


class RoutePlanner:
    """RoutePlanner(4, 50) on the sparse plan: TCP's and InterFuser's navigation while driving. With ``dense`` it follows
    every point of the plan: what InterFuser's waypoints are read from.

    Each step walks at most ``max_m`` along the rest of the plan, so a route that crosses itself stays in order; of the
    points within ``min_m`` of the car the farthest is taken, and all before it are dropped. The first step after a reset
    begins where the car is (``place``): a planner may be started in mid-route. So does a step that finds its target more than
    ``max_m`` behind the car.

    Raises:
        RouteError: the route has fewer than two points, or arrays of unequal length.

    Source: TCP ``team_code/planner.py``; there a follower begins at the start of the route, wherever the car is.
    """

    def __init__(self, route: Route, min_m: float = 4.0, max_m: float = 50.0, dense: bool = False):
        if not 2 <= len(route.points) == len(route.commands):
            raise RouteError("a route of at least two points, one command each",
                             f"{len(route.points)} points and {len(route.commands)} commands in route {route.name!r}",
                             "plan the route again")
        self.min_m, self.max_m = min_m, max_m
        kept = np.arange(len(route.points)) if dense else sparse_indices(route)
        if len(kept) < 2:
            kept = np.array([0, len(route.points) - 1])
        self._points = np.asarray(route.points, float)[kept]
        self._commands = route.commands[kept]
        self._gaps = np.hypot(*np.diff(self._points, axis=0).T)
        self._kept, self._dense = kept, np.asarray(route.points, float)
        self.reset()

    def reset(self) -> None:
        """Forget the place on the route: the next step looks for it."""
        self._first, self._placed = 0, False

    def place(self, ego: EgoState) -> int:
        """Index of the last point of the plan before the car's place: the nearest point of the dense route that fits the car's
        heading. 0 within ``min_m`` of the route's start. Of places that fit equally well, within 1 m, the first."""
        away = self._dense - [ego.pose.x, ego.pose.y]
        turn = 1.0 - np.cos(yaws_along(self._dense) - ego.pose.yaw)
        misfit = np.hypot(away[:, 0], away[:, 1]) + WRONG_WAY_M * turn
        nearest = int(np.flatnonzero(~(misfit > misfit.min() + 1.0))[0])
        if arc_lengths(self._dense)[nearest] <= self.min_m:
            return 0
        before = int(np.searchsorted(self._kept, nearest, side="right")) - 1
        return min(max(before, 0), len(self._points) - 2)

    def ahead(self, count: int) -> np.ndarray:
        """The next points [<= count, 2] of the plan in ``map``, the first of them the last one that was reached."""
        return self._points[self._first:self._first + count]

    def step(self, ego: EgoState) -> NavigationGoal:
        """The next sparse point in ``base_link`` and its command, seen from ``ego``. Call once per tick."""
        if not self._placed:
            self._first = self.place(ego)
            self._placed = bool(np.isfinite([ego.pose.x, ego.pose.y, ego.pose.yaw]).all())
        self._advance(ego)
        if self._target(ego)[0] < -self.max_m:
            self._first = self.place(ego)
            self._advance(ego)
        return NavigationGoal(self._target(ego), Command(int(self._commands[self._first + 1])))

    def _target(self, ego: EgoState) -> np.ndarray:
        return to_base(self._points[self._first + 1], ego.pose)

    def _advance(self, ego: EgoState) -> None:
        here = np.array([ego.pose.x, ego.pose.y])
        drop, farthest, walked = 0, -1.0, 0.0
        for ahead in range(1, len(self._points) - self._first):
            if walked > self.max_m:
                break
            walked += self._gaps[self._first + ahead - 1]
            distance = float(np.hypot(*(self._points[self._first + ahead] - here)))
            if farthest < distance <= self.min_m:
                drop, farthest = ahead, distance
        self._first = min(self._first + drop, len(self._points) - 2)
