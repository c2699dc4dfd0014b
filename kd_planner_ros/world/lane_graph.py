"""Lanes as a graph for route search: successors, lane changes, and the lanes near a point."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.road import Lane, RoadMap
from kd_planner_ros.geometry.polyline import arc_lengths

CHANGE_COST_M = 15.0
DETOUR_M = 250.0
CHANGE_ROOM_M = 12.0  # a lane change needs at least this much of the lane


@dataclass(frozen=True)
class LanePoint:
    """A place on a lane: ``arc_m`` along its centre line, ``distance_m`` from the point that was asked for."""

    lane: str
    arc_m: float
    distance_m: float


@dataclass(frozen=True)
class Leg:
    """A stretch of a route on one lane, from arc to arc. ``change`` is -1 / +1 if it is entered by a lane change to
    the right / left from the leg before, 0 if from the lane's start; the change may begin 6 m before ``start_m`` and
    is to be over at ``by_m``."""

    lane: str
    start_m: float
    end_m: float
    change: int = 0
    by_m: float = 0.0


class LaneGraph:
    """Search structure over the driving lanes of ``road``."""

    def __init__(self, road: RoadMap):
        self.lanes: dict[str, Lane] = {k: v for k, v in road.lanes.items() if v.kind == "driving"}
        self.arcs = {name: arc_lengths(lane.centre) for name, lane in self.lanes.items()}
        self.lengths = {name: float(arc[-1]) for name, arc in self.arcs.items()}
        self.successors = {name: tuple(s for s in lane.successors if s in self.lanes)
                           for name, lane in self.lanes.items()}
        by_place = {(lane.edge, lane.index): name for name, lane in self.lanes.items() if not lane.junction}
        self.beside = {name: tuple((step, by_place[lane.edge, lane.index + step]) for step in (1, -1)
                                   if not lane.junction and (lane.edge, lane.index + step) in by_place)
                       for name, lane in self.lanes.items()}
        names = list(self.lanes)
        self._names = np.array(names, object)
        self._start = np.concatenate([self.lanes[n].centre[:-1] for n in names])
        self._along = np.concatenate([np.diff(self.lanes[n].centre, axis=0) for n in names])
        self._arc = np.concatenate([self.arcs[n][:-1] for n in names])
        self._lane = np.repeat(np.arange(len(names)), [len(self.lanes[n].centre) - 1 for n in names])
        self._length_sq = np.maximum((self._along**2).sum(1), 1e-9)

    def at(self, lane: str, arc_m: float) -> np.ndarray:
        """The point [2] of ``map`` at ``arc_m`` along the centre of ``lane``."""
        arcs, centre = self.arcs[lane], self.lanes[lane].centre
        return np.array([np.interp(arc_m, arcs, centre[:, 0]), np.interp(arc_m, arcs, centre[:, 1])])

    def near(self, x: float, y: float, slack_m: float) -> list[LanePoint]:
        """The nearest place on every lane not more than ``slack_m`` farther from (x, y) than the nearest lane;
        nearest first."""
        rel = np.array([x, y]) - self._start
        fraction = np.clip((rel * self._along).sum(1) / self._length_sq, 0.0, 1.0)
        distance = np.linalg.norm(rel - fraction[:, None] * self._along, axis=1)
        arc = self._arc + fraction * np.sqrt(self._length_sq)
        close = np.flatnonzero(distance <= distance.min() + slack_m)
        found: dict[str, LanePoint] = {}
        for row in close[np.argsort(distance[close], kind="stable")]:
            name = self._names[self._lane[row]]
            found.setdefault(name, LanePoint(name, float(arc[row]), float(distance[row])))
        return list(found.values())

    def search(self, starts: list[tuple[float, LanePoint]],
               goals: list[LanePoint]) -> dict[int, tuple[float, list[Leg]]]:
        """Cheapest ways from any of ``starts`` (cost so far, place) to each of ``goals``: goal row -> (cost, legs).

        Dijkstra over lane entries; cost is metres driven plus 15 m a lane change. Goals out of reach, or 250 m farther
        than the nearest, are missing.
        """
        # a label: (lane, entered at its start?); its cost counts to the lane's virtual start
        labels: dict[tuple[str, bool], tuple[float, float, tuple | None, int]] = {}
        heap: list[tuple[float, int, tuple]] = []
        for cost, place in starts:
            heapq.heappush(heap, (cost - place.arc_m, len(heap), ((place.lane, False), place.arc_m, None, 0)))
        count, wanted, enough = len(heap), {goal.lane: goal.arc_m for goal in goals}, np.inf
        while heap:
            cost, _, (key, arc, parent, change) = heapq.heappop(heap)
            if key in labels:
                continue
            if cost > enough:
                break
            labels[key] = (cost, arc, parent, change)
            if arc <= wanted.get(key[0], -1.0) + 1e-6:
                enough = min(enough, cost + wanted[key[0]] + DETOUR_M)
            lane, length = key[0], self.lengths[key[0]]
            onward = [(cost + length, (after, True), 0.0, 0) for after in self.successors[lane]]
            room = length - arc
            if room >= CHANGE_ROOM_M:
                onward += [(cost + CHANGE_COST_M, (other, key[1]),
                            min(arc + 0.5 * CHANGE_ROOM_M, self.lengths[other]), step)
                           for step, other in self.beside[lane]]
            for new_cost, new_key, new_arc, step in onward:
                if new_key not in labels:
                    count += 1
                    heapq.heappush(heap, (new_cost, count, (new_key, new_arc, key, step)))
        return self._answers(labels, goals)

    def _answers(self, labels: dict, goals: list[LanePoint]) -> dict[int, tuple[float, list[Leg]]]:
        answers = {}
        for row, goal in enumerate(goals):
            options = [(labels[key][0] + goal.arc_m, key) for key in ((goal.lane, True), (goal.lane, False))
                       if key in labels and labels[key][1] <= goal.arc_m + 1e-6]
            if options:
                cost, key = min(options)
                answers[row] = (cost, self._legs(labels, key, goal.arc_m))
        return answers

    def _legs(self, labels: dict, key: tuple, end_m: float) -> list[Leg]:
        legs: list[Leg] = []
        while key is not None:
            _, arc, parent, change = labels[key]
            legs.append(Leg(key[0], arc, end_m, change, end_m))
            end_m = arc if change else (self.lengths[parent[0]] if parent else 0.0)
            key = parent
        return legs[::-1]
