"""What the CARLA leaderboard would write down about a drive: the infractions, how far it came and how it ended. Facts
only; ``evaluation/score.py`` turns them into a score.

Source: leaderboard 1.0 ``route_scenario.py`` and ``atomic_criteria.py``.
"""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.geometry.polyline import arc_lengths
from kd_planner_ros.world.criteria import (
    STANDING_MPS, Collisions, Deviation, Event, EventKind, OutsideLanes, RedLights, StopSigns, make_event)

BLOCKED_S = 180.0
TIMEOUT_S_PER_M, TIMEOUT_BASE_S = 0.8, 5.0

__all__ = ["Event", "EventKind", "RouteMonitor"]


class RouteMonitor:
    """Watches one drive along ``route``; call ``update`` once per tick with the scene after the tick.

    ``done`` turns true when the route ends; ``status`` is "Started", "Completed" or "Failed - ..." as the leaderboard
    writes it; ``completion`` is the share of the route's length passed, in [0, 1].
    """

    def __init__(self, road: RoadMap, route: Route):
        self.route = route
        self._arc = arc_lengths(route.points)
        self._collisions = Collisions()
        self._lights = RedLights(road)
        self._stops = StopSigns(road)
        self._outside = OutsideLanes(road, route, self._arc)
        self._deviation = Deviation(route, self._arc)
        self.timeout_s = float(int(TIMEOUT_S_PER_M * self._arc[-1] + TIMEOUT_BASE_S))
        self.events: list[Event] = []
        self.done, self.status, self.completion = False, "Started", 0.0
        self._index, self._first_ns, self._moving_ns, self._now_ns = 0, None, 0, 0

    def update(self, scene: SceneState) -> list[Event]:
        """The events of this tick, oldest first; [] once the route has ended."""
        if self.done:
            return []
        ego, self._now_ns = scene.ego, scene.stamp_ns
        if self._first_ns is None:
            self._first_ns = self._moving_ns = scene.stamp_ns
        if abs(ego.speed_mps) >= STANDING_MPS:
            self._moving_ns = scene.stamp_ns
        self._advance(ego.pose.x, ego.pose.y)
        found = self._collisions.update(scene) + self._lights.update(scene) + self._stops.update(scene)
        self._outside.update(scene)
        if self._finish(scene):
            found += self._closing_events(scene)
        self.events += found
        return found

    def _advance(self, x: float, y: float) -> None:
        """Route completion: of this and the next two points, pass those that lie behind the car (dot product)."""
        points, yaws = self.route.points, self.route.yaws
        for index in range(self._index, min(self._index + 3, len(points))):
            ahead = (x - points[index, 0]) * math.cos(yaws[index]) + (y - points[index, 1]) * math.sin(yaws[index])
            if ahead > 0.0:
                self._index = index
        self.completion = float(self._arc[self._index] / self._arc[-1])

    def _finish(self, scene: SceneState) -> bool:
        x, y = scene.ego.pose.x, scene.ego.pose.y
        to_goal = math.hypot(x - self.route.points[-1, 0], y - self.route.points[-1, 1])
        if self.completion > 0.99 and to_goal <= 10.0:
            self.status, self.completion = "Completed", 1.0
        elif self._deviation.update(x, y):
            self.status = "Failed - Agent deviated from the route"
        elif scene.stamp_ns - self._moving_ns > BLOCKED_S * 1e9:
            self.status = "Failed - Agent got blocked"
        elif scene.stamp_ns - self._first_ns > self.timeout_s * 1e9:
            self.status = "Failed - Agent timed out"
        else:
            return False
        self.done = True
        return True

    def _closing_events(self, scene: SceneState) -> list[Event]:
        found = []
        ending = {"deviated": EventKind.ROUTE_DEVIATION, "blocked": EventKind.BLOCKED, "timed": EventKind.TIMEOUT}
        for word, kind in ending.items():
            if word in self.status:
                found.append(make_event(kind, scene, f"Route ended: {self.status.removeprefix('Failed - ')}"))
        if self._outside.share > 0.0:
            found.append(make_event(EventKind.OUTSIDE_LANES, scene,
                                f"Agent went outside its route lanes for {self._outside.outside_m:.1f} m "
                                f"({100 * self._outside.share:.1f} % of the driven route)"))
        return found

    def result(self) -> dict:
        """The facts of the drive so far, JSON-ready: route, town, status, completion [0, 1], lengths in metres (dense
        plan and key points), game time in seconds, share outside the lanes [0, 1] and the list of events."""
        key = np.asarray(self.route.key_points, float)
        return {
            "route": self.route.name, "town": self.route.town, "status": self.status, "completion": self.completion,
            "route_length_m": float(self._arc[-1]), "key_length_m": float(arc_lengths(key)[-1]),
            "duration_game_s": (self._now_ns - (self._first_ns or 0)) / 1e9, "outside_share": self._outside.share,
            "events": [{"kind": e.kind.value, "stamp_s": e.stamp_ns / 1e9, "x": e.x, "y": e.y, "message": e.message,
                        "actor_id": e.actor_id} for e in self.events],
        }
