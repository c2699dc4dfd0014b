"""The leaderboard's single criteria, each watching one drive: collisions, red lights, stop signs, lanes, deviation.
``events.RouteMonitor`` holds them together.

Source: leaderboard 1.0 ``atomic_criteria.py``. Where we differ: the wrong-way test looks at the
heading of the nearest lane alone, and only obstacles of the actor table count as layout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ActorKind, LightState, SceneState
from kd_planner_ros.geometry.boxes import overlap_one, segments_cross
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, ego_box
from kd_planner_ros.world.lane_index import LaneIndex

STANDING_MPS = 0.1
OUTSIDE_MARGIN_M = 1.3
STOP_ZONE_M = 8.0
"""A stop sign counts as kept when the car stood with its centre at most this far before the stop line."""


class EventKind(str, Enum):
    """Value = the leaderboard's name in its statistics file."""

    COLLISION_LAYOUT = "collisions_layout"
    COLLISION_PEDESTRIAN = "collisions_pedestrian"
    COLLISION_VEHICLE = "collisions_vehicle"
    RED_LIGHT = "red_light"
    STOP_SIGN = "stop_infraction"
    OUTSIDE_LANES = "outside_route_lanes"
    ROUTE_DEVIATION = "route_dev"
    TIMEOUT = "route_timeout"
    BLOCKED = "vehicle_blocked"


@dataclass(frozen=True)
class Event:
    """One entry of the record: where (``map``, metres) and when it happened, and a sentence for the reader."""

    kind: EventKind
    stamp_ns: int
    x: float
    y: float
    message: str
    actor_id: int = -1


def make_event(kind: EventKind, scene: SceneState, message: str, actor_id: int = -1) -> Event:
    """An event at the ego's place and time."""
    return Event(kind, scene.stamp_ns, float(scene.ego.pose.x), float(scene.ego.pose.y), message, actor_id)


class Collisions:
    """Contacts of the ego's box, each counted once: not the same actor within 5 s, not within 3 m of a counted one
    (which is forgotten beyond 5 m)."""

    SAME_ACTOR_S, SAME_PLACE_M, FORGET_M = 5.0, 3.0, 5.0

    def __init__(self) -> None:
        self._last_id, self._last_ns = -1, 0
        self._places: list[tuple[float, float]] = []

    def update(self, scene: SceneState) -> list[Event]:
        x, y, actors = scene.ego.pose.x, scene.ego.pose.y, scene.actors
        self._places = [p for p in self._places if math.hypot(p[0] - x, p[1] - y) <= self.FORGET_M]
        near = np.flatnonzero((np.abs(actors["x"] - x) < 15.0) & (np.abs(actors["y"] - y) < 15.0))
        if len(near) == 0:
            return []
        table = np.stack([actors[f][near] for f in ("x", "y", "yaw", "length", "width")], axis=1).astype(float)
        hits = near[overlap_one(ego_box(scene.ego.pose), table)]
        return [event for row in hits if (event := self._count(scene, actors[row])) is not None]

    def _count(self, scene: SceneState, actor: np.void) -> Event | None:
        x, y, identity = scene.ego.pose.x, scene.ego.pose.y, int(actor["id"])
        if identity == self._last_id and scene.stamp_ns - self._last_ns <= self.SAME_ACTOR_S * 1e9:
            return None
        if any(math.hypot(p[0] - x, p[1] - y) <= self.SAME_PLACE_M for p in self._places):
            return None
        self._last_id, self._last_ns = identity, scene.stamp_ns
        self._places.append((x, y))
        what = ActorKind(int(actor["kind"]))
        kind = {ActorKind.PEDESTRIAN: EventKind.COLLISION_PEDESTRIAN, ActorKind.STATIC: EventKind.COLLISION_LAYOUT}.get(
            what, EventKind.COLLISION_VEHICLE)
        message = f"Agent collided against object with type={what.name.lower()} and id={identity}"
        return make_event(kind, scene, f"{message} at (x={x:.1f}, y={y:.1f})", identity)


class RedLights:
    """The rear of the car crosses the stop line of a lane whose light is red; one light counts once in a row."""

    NEAR_M, LINE_SHARE = 15.0, 0.8

    def __init__(self, road: RoadMap) -> None:
        self._edges = [road.lanes[s.lane].edge if s.lane in road.lanes else s.lane for s in road.signals]
        self._yaws = np.array([_end_yaw(road, s.lane, s.yaw + math.pi) for s in road.signals])
        self._lines = np.array([s.stop_line for s in road.signals], float).reshape(-1, 2, 2)
        self._middles = self._lines.mean(axis=1)
        self._last = ""

    def update(self, scene: SceneState) -> list[Event]:
        if len(self._edges) == 0:
            return []
        pose = scene.ego.pose
        ahead = np.array([math.cos(pose.yaw), math.sin(pose.yaw)])
        here = np.array([pose.x, pose.y])
        rel = self._middles - here
        near = np.flatnonzero((np.abs(rel[:, 0]) < self.NEAR_M) & (np.abs(rel[:, 1]) < self.NEAR_M)
                              & (scene.signals["state"] == LightState.RED) & (np.cos(self._yaws - pose.yaw) > 0.0))
        if len(near) == 0:
            return []
        close, far = here - 0.4 * EGO_LENGTH_M * ahead, here - (0.5 * EGO_LENGTH_M + 1.0) * ahead
        half = (self._lines[near, 1] - self._middles[near]) * self.LINE_SHARE
        crossed = near[segments_cross(close[None], far[None], self._middles[near] - half, self._middles[near] + half)]
        found = []
        for row in crossed:
            if self._edges[row] != self._last:
                self._last = self._edges[row]
                found.append(make_event(EventKind.RED_LIGHT, scene, f"Agent ran a red light {row} at (x={pose.x:.1f}, "
                                                                f"y={pose.y:.1f})", int(row)))
        return found


class StopSigns:
    """The car's centre passes a stop line on the signed lane without having stood in the zone before it."""

    def __init__(self, road: RoadMap) -> None:
        self._sites = road.stops
        self._middles = np.array([s.stop_line.mean(axis=0) for s in road.stops], float).reshape(-1, 2)
        self._half = np.array([np.hypot(*(s.stop_line[1] - s.stop_line[0])) / 2.0 for s in road.stops])
        self._yaws = np.array([_end_yaw(road, s.lane, s.yaw + math.pi) for s in road.stops])
        self._entered, self._kept = -1, False

    def update(self, scene: SceneState) -> list[Event]:
        if len(self._sites) == 0:
            return []
        pose = scene.ego.pose
        rel_x, rel_y = self._middles[:, 0] - pose.x, self._middles[:, 1] - pose.y
        before = rel_x * np.cos(self._yaws) + rel_y * np.sin(self._yaws)
        aside = np.abs(rel_y * np.cos(self._yaws) - rel_x * np.sin(self._yaws))
        inside = (np.abs(before) < STOP_ZONE_M) & (aside < self._half) & (np.cos(self._yaws - pose.yaw) > 0.5)
        rows = np.flatnonzero(inside & (before > 0.0))
        found = []
        if self._entered >= 0 and inside[self._entered] and before[self._entered] <= 0.0:
            if not self._kept:
                row = self._entered
                found.append(make_event(EventKind.STOP_SIGN, scene, f"Agent ran a stop with id={self._sites[row].id} at "
                                                                f"(x={pose.x:.1f}, y={pose.y:.1f})", row))
            self._entered = -1
        if len(rows):
            if self._entered != rows[0]:
                self._entered, self._kept = int(rows[0]), False
            self._kept |= abs(scene.ego.speed_mps) < STANDING_MPS
        elif self._entered >= 0 and not inside[self._entered]:
            self._entered = -1
        return found


class OutsideLanes:
    """Share of the driven route with the centre more than 1.3 m outside every driving lane, or against the traffic."""

    WINDOW, WRONG_WAY_COS = 10, math.cos(math.radians(120.0))

    def __init__(self, road: RoadMap, route: Route, arc_m: np.ndarray) -> None:
        self._lanes, self._junctions = LaneIndex(road), road.junctions
        self._points, self._yaws, self._arc = route.points, route.yaws, arc_m
        self._index, self.driven_m, self.outside_m = 0, 0.0, 0.0

    @property
    def share(self) -> float:
        """Distance outside divided by distance driven, both along the route; in [0, 1]."""
        return self.outside_m / self.driven_m if self.driven_m > 0.0 else 0.0

    def is_outside(self, x: float, y: float, yaw: float) -> bool:
        """Whether a car with its centre at (x, y) is off the driving lanes or in a lane against its heading."""
        if self._lanes.outside_by(x, y) > OUTSIDE_MARGIN_M:
            return True
        hit = self._lanes.nearest(x, y)
        return hit is None or (not hit.lane.junction and math.cos(hit.yaw - yaw) < self.WRONG_WAY_COS)

    def update(self, scene: SceneState) -> None:
        x, y = scene.ego.pose.x, scene.ego.pose.y
        first = self._index
        window = slice(first + 1, first + 1 + self.WINDOW)
        dx, dy = x - self._points[window, 0], y - self._points[window, 1]
        passed = np.flatnonzero(dx * np.cos(self._yaws[window]) + dy * np.sin(self._yaws[window]) > 0.0)
        # A point counts only while near it: the route may turn back beside itself within the window.
        passed = passed[np.hypot(dx[passed], dy[passed]) < 15.0] if len(passed) else passed
        if len(passed) == 0:
            return
        self._index = first + 1 + int(passed[-1])
        distance = float(self._arc[self._index] - self._arc[first])
        self.driven_m += distance
        if self.is_outside(x, y, scene.ego.pose.yaw):
            self.outside_m += distance


class Deviation:
    """True when none of the next five points is within 30 m, or 30 % of the route was passed more than 15 m away."""

    WINDOW, MAX_M, SAFE_M, MAX_SHARE = 5, 30.0, 15.0, 0.30

    def __init__(self, route: Route, arc_m: np.ndarray) -> None:
        self._points, self._arc = route.points, arc_m
        self._index, self._away_m, self._safe = 0, 0.0, True

    def update(self, x: float, y: float) -> bool:
        window = self._points[self._index:self._index + self.WINDOW + 1]
        distance = np.hypot(window[:, 0] - x, window[:, 1] - y)
        nearest = int(distance.argmin())
        self._safe = bool(distance[nearest] < self.SAFE_M)
        if nearest and not self._safe:
            self._away_m += float(self._arc[self._index + nearest] - self._arc[self._index])
        self._index += nearest
        return bool(distance[nearest] > self.MAX_M or self._away_m > self.MAX_SHARE * self._arc[-1])


def _end_yaw(road: RoadMap, lane_id: str, otherwise: float) -> float:
    """Driving direction at the end of a lane, radians."""
    lane = road.lanes.get(lane_id)
    if lane is None or len(lane.centre) < 2:
        return otherwise
    step = lane.centre[-1] - lane.centre[-2]
    return math.atan2(step[1], step[0])
