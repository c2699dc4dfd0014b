"""Routes with one hidden hazard each, drawn from a seed on any map with roadside stations at its junctions.

A place is taken where the map allows it (free kerb, a straight approach, a station near), and then looked at: drawn from the
station's camera and from the car's, at the instants before the meeting. Only where the station sees the hazard at all of them and the
car at none does a route lead there.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.road import Lane, RoadMap
from kd_planner_ros.core.route import Route, RouteScenario
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.geometry.boxes import corners, segments_cross
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc
from kd_planner_ros.world.hidden_hazards import CAR, NOBODY, TRUCK, VAN, WALKER, numbers_of, settings_of
from kd_planner_ros.world.hidden_views import Eyes, Place
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.route_files import RouteSpec
from kd_planner_ros.world.routes import plan_route

HIDDEN = "hidden"
"""What names these routes where a route file may be given."""
KINDS = (WALKER, CAR)
BEFORE_M, AFTER_M = 70.0, 40.0  # length of a route before and after the meeting
NEAR_STATION_M = (6.0, 45.0)
TRIES = 2000


def hidden_routes(road: RoadMap, seed: int, count: int, kinds: tuple[str, ...] = KINDS, nobody: float = 0.0) -> list[Route]:
    """``count`` routes of about 110 m, of ``kinds`` by turns as long as places of each are found; the same map and seed give the same
    routes. At a share ``nobody`` of the places, drawn from the seed, the vehicles are parked and nobody comes.

    Raises:
        RouteError: the map has no stations, or fewer such places than are wanted.
    """
    if not road.stations:
        raise RouteError("a map with roadside stations at its junctions", f"{road.name} without any",
                         "choose another map, or give --stations")
    finder = _Finder(road, np.random.default_rng([seed, 0x68696464]))
    routes: list[Route] = []
    left = list(kinds)
    empty = np.random.default_rng([seed, 0x6E6F626F]).random(count) < nobody
    while len(routes) < count and left:
        kind = left[len(routes) % len(left)]
        place = finder.find(kind)
        if place is None:
            left.remove(kind)
            continue
        name = f"hidden-{seed}-{len(routes)}-{'walker' if kind == WALKER else 'car'}"
        routes.append(finder.route(place, name, bool(empty[len(routes)])))
    if len(routes) < count:
        raise RouteError(f"{count} places for a hidden hazard on {road.name}", f"{len(routes)} found", "ask for fewer, or use a larger map")
    return routes


class _Finder:
    """Draws places until they are good ones."""

    def __init__(self, road: RoadMap, rng: np.random.Generator):
        self.road, self.rng = road, rng
        self.graph, self.index, self._eyes = LaneGraph(road), LaneIndex(road), Eyes(road)
        self._before: dict[str, list[str]] = {}
        for name, onward in self.graph.successors.items():
            for other in onward:
                self._before.setdefault(other, []).append(name)
        self._taken: list[np.ndarray] = []

    def find(self, kind: str) -> Place | None:
        """A place for ``kind``; None where none of TRIES drawn ones is a good one."""
        for _ in range(TRIES):
            place = self._draw(kind)
            if place is not None and self._eyes.fit(place):
                self._taken.append(numbers_of(place.scenario)["at"])
                return place
        return None

    def route(self, place: Place, name: str, nobody: bool) -> Route:
        """The route over ``place``, where ``nobody`` comes or the hazard does."""
        scenario = place.scenario
        if nobody:
            name, scenario = f"{name}-{NOBODY}", replace(scenario, settings=(*scenario.settings, *settings_of(**{NOBODY: 1.0})))
        scenario = replace(scenario, name=name)
        points = [self._walk(place, -BEFORE_M), self._walk(place, -12.0), self._walk(place, AFTER_M)]
        spec = RouteSpec(name, self.road.name, np.array([[*point, 0.0] for point in points]))
        route = plan_route(self.road, spec, self.graph)
        x, y = route.points[0].tolist()
        return replace(route, scenarios=(replace(scenario, x=x, y=y),))

    def _walk(self, place: Place, metres: float) -> np.ndarray:
        """The point [2] so many metres from the place along its lane, and along the first lane before or behind it."""
        lane, arc = place.lane, place.arc_m + metres
        while arc < 0.0 and self._before.get(lane):
            lane = min(self._before[lane])
            arc += self.graph.lengths[lane]
        while arc > self.graph.lengths[lane] and self.graph.successors[lane]:
            arc -= self.graph.lengths[lane]
            lane = min(self.graph.successors[lane], key=lambda name: (self.graph.lanes[name].turn != "s", name))
        return self.graph.at(lane, float(np.clip(arc, 0.0, self.graph.lengths[lane])))

    def _draw(self, kind: str) -> Place | None:
        station = self.road.stations[int(self.rng.integers(len(self.road.stations)))]
        return self._walker(station) if kind == WALKER else self._car(station)

    def _is_new(self, at: np.ndarray) -> bool:
        return all(np.hypot(*(at - other)) > 4.0 for other in self._taken)

    def _walker(self, station: Station) -> Place | None:
        """A straight stretch of lane near the station with room for two vans at its kerb."""
        rng = self.rng
        around = self._lanes_near(station, junction=False)
        if not around:
            return None
        lane = around[int(rng.integers(len(around)))]
        arc = float(rng.uniform(0.0, self.graph.lengths[lane.id]))
        speed, spare = float(rng.uniform(1.5, 2.1)), float(rng.uniform(0.9, 1.6))
        at, yaw = self._at(lane.id, arc)
        away = math.hypot(at[0] - station.pose.x, at[1] - station.pose.y)
        bends = max(abs(wrap_angle(self._at(lane.id, arc + d)[1] - yaw)) for d in (-20.0, -10.0, 8.0))
        if not (NEAR_STATION_M[0] < away < NEAR_STATION_M[1] and 15.0 < arc < self.graph.lengths[lane.id] - 4.0 and bends < 0.12
                and self._is_new(at)):
            return None
        along, right = np.array([math.cos(yaw), math.sin(yaw)]), np.array([math.sin(yaw), -math.cos(yaw)])
        kerb = 0.5 * lane.width + 0.2
        vans = [np.array([*(at - along * (spare + (0.5 + n) * VAN[0] + n) + right * (kerb + 0.5 * VAN[1])), yaw, *VAN]) for n in (0, 1)]
        start = kerb + VAN[1] + 0.5
        if not self._off_road(vans) or self.index.outside_by(*(at + right * start)) < 0.3:
            return None
        far = next((d for d in np.arange(0.5 * lane.width, 24.0, 0.5) if self.index.outside_by(*(at - right * d)) > 0.3), 12.0)
        return self._place(WALKER, station, lane.id, arc, settings_of(
            at=at, yaw=yaw, speed=speed, to=float(far) + 1.0, parked=np.ravel(vans), **{"from": start}))

    def _car(self, station: Station) -> Place | None:
        """Two straight ways over one junction that cross, and room for a truck before the corner where the other comes from."""
        pairs = self._pairs(station)
        if not pairs:
            return None
        mine, other = pairs[int(self.rng.integers(len(pairs)))]
        crossing = _crossing(mine.centre, other.centre)
        if crossing is None or not self._is_new(crossing[2]):
            return None
        arc, other_arc, at = crossing
        yaw = self._at(mine.id, arc)[1]
        approach = self.graph.lanes[min(self._before[other.id])]
        speed, run_m = float(self.rng.uniform(8.0, 12.0)), min(self.graph.lengths[approach.id] - 2.0, 40.0)
        before = _tail(approach.centre, run_m)
        onward = [self.graph.lanes[name].centre[1:] for name in self.graph.successors[other.id][:1]]
        path = np.concatenate([before, other.centre[1:], *onward])
        trucks = self._trucks_before(min(self._before[mine.id])) + self._trucks_beside(approach)
        if not trucks:
            return None
        meet = float(arc_lengths(before)[-1]) + other_arc
        return self._place(CAR, station, mine.id, arc, settings_of(
            at=at, yaw=yaw, speed=speed, meet=meet, path=path, parked=np.ravel(trucks)))

    def _pairs(self, station: Station) -> list[tuple[Lane, Lane]]:
        """Straight lanes over a junction near the station, each with one that crosses it from the right and has an approach."""
        inner = [lane for lane in self._lanes_near(station, junction=True) if lane.turn == "s" and self._before.get(lane.id)]
        found = []
        for mine in inner:
            for other in inner:
                turn = float(wrap_angle(self._at(other.id, 0.0)[1] - self._at(mine.id, 0.0)[1]))
                if mine.junction == other.junction and 1.1 < turn < 2.0 and self.graph.lengths[min(self._before[other.id])] > 25.0:
                    found.append((mine, other))
        return found

    def _trucks_before(self, lane: str) -> list[np.ndarray]:
        """Two trucks at the right kerb of ``lane``, the first near its end; none where there is no room."""
        gap, aside = float(self.rng.uniform(0.0, 2.0)), 0.5 * self.graph.lanes[lane].width + 0.2 + 0.5 * TRUCK[1]
        boxes = []
        for n in (0, 1):
            at, yaw = self._at(lane, self.graph.lengths[lane] - gap - (0.5 + n) * TRUCK[0] - n)
            boxes.append(np.array([*(at + aside * np.array([math.sin(yaw), -math.cos(yaw)])), yaw, *TRUCK]))
        return [box for box in boxes if self._off_road([box])]

    def _trucks_beside(self, lane: Lane) -> list[np.ndarray]:
        """Two trucks at the far left kerb of the street of ``lane``, as near to its end as there is room."""
        length, boxes = self.graph.lengths[lane.id], []
        for back in np.arange(0.5 * TRUCK[0] - 4.0, 0.6 * length, 0.5):
            at, yaw = self._at(lane.id, length - back)
            left = np.array([-math.sin(yaw), math.cos(yaw)])
            kerb = next((d for d in np.arange(1.0, 16.0, 0.25) if self.index.outside_by(*(at + left * d)) > 0.0), None)
            if kerb is None:
                continue
            box = np.array([*(at + left * (kerb + 0.3 + 0.5 * TRUCK[1])), yaw, *TRUCK])
            clear = not boxes or math.hypot(*(box[:2] - boxes[-1][:2])) > TRUCK[0] + 0.8
            if clear and self._off_road([box]):
                boxes.append(box)
            if len(boxes) == 2:
                break
        return boxes

    def _place(self, kind: str, station: Station, lane: str, arc_m: float, settings: tuple[tuple[str, str], ...]) -> Place | None:
        place = Place(lane, arc_m, RouteScenario("", kind, 0.0, 0.0, settings), station)
        if not any(self._in_view(camera, numbers_of(place.scenario)["at"]) for camera in station.cameras):
            return None
        begin, at = self._walk(place, -BEFORE_M), numbers_of(place.scenario)["at"]
        end = self._walk(place, AFTER_M)
        straight = min(math.hypot(*(begin - at)), 2.0 * math.hypot(*(end - at)))
        return place if straight > 0.6 * BEFORE_M else None

    @staticmethod
    def _in_view(camera: CameraSpec, at: np.ndarray) -> bool:
        """Whether the camera looks towards ``at``, with 8 degrees to spare at its right and left edge."""
        off = wrap_angle(math.atan2(at[1] - camera.pose.y, at[0] - camera.pose.x) - camera.pose.yaw)
        return abs(float(off)) < math.radians(0.5 * camera.fov_deg - 8.0)

    def _lanes_near(self, station: Station, junction: bool) -> list[Lane]:
        foot = np.array([station.pose.x, station.pose.y])
        return [lane for lane in self.graph.lanes.values() if bool(lane.junction) == junction and (junction or lane.index <= 1)
                and np.hypot(*(lane.centre - foot).T).min() < NEAR_STATION_M[1]]

    def _at(self, lane: str, arc_m: float) -> tuple[np.ndarray, float]:
        """Point [2] and heading of ``lane`` at ``arc_m``."""
        arc = float(np.clip(arc_m, 0.0, self.graph.lengths[lane] - 0.5))
        point, ahead = self.graph.at(lane, arc), self.graph.at(lane, arc + 0.5)
        return point, math.atan2(*(ahead - point)[::-1])

    def _off_road(self, boxes: list[np.ndarray]) -> bool:
        return all(self.index.outside_by(*corner) > 0.0 for box in boxes for corner in corners(box))


def _crossing(mine: np.ndarray, other: np.ndarray) -> tuple[float, float, np.ndarray] | None:
    """Where two lines [N, 2] cross: arc lengths on both and the point [2]; None where they do not."""
    hit = np.argwhere(segments_cross(mine[:-1, None], mine[1:, None], other[None, :-1], other[None, 1:]))
    if not len(hit):
        return None
    i, j = hit[0]
    matrix = np.stack([mine[i + 1] - mine[i], other[j] - other[j + 1]], axis=1)
    if abs(np.linalg.det(matrix)) < 1e-6:
        return None
    a, b = np.linalg.solve(matrix, other[j] - mine[i])
    arc, other_arc = arc_lengths(mine), arc_lengths(other)
    return (float(arc[i] + a * (arc[i + 1] - arc[i])), float(other_arc[j] + b * (other_arc[j + 1] - other_arc[j])),
            mine[i] + a * (mine[i + 1] - mine[i]))


def _tail(line: np.ndarray, length_m: float) -> np.ndarray:
    """The last ``length_m`` of ``line`` [N, 2]."""
    arc = arc_lengths(line)
    start = arc[-1] - length_m
    return np.concatenate([at_arc(line, arc, np.array([start])), line[arc > start + 0.1]])
