"""The ego as SUMO's traffic knows it: a vehicle that is moved from outside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.world.demand import Demand
from kd_planner_ros.world.ego_body import EGO_LENGTH_M
from kd_planner_ros.world.lane_graph import LaneGraph

EGO = "ego"
WALK_M = 900.0  # length of a random drive through the town
MATCH_M = 12.0  # how far from a lane the ego still counts as on it


class EgoInTraffic:
    """Puts the ego into a running simulation ``sumo`` on the lanes of ``graph`` and moves it there. ``offset`` [2]: SUMO
    coordinates = map coordinates + offset."""

    def __init__(self, sumo: Any, graph: LaneGraph, demand: Demand, offset: np.ndarray):
        self._sumo, self._graph, self._demand, self._offset = sumo, graph, demand, offset

    def appear(self, route: Route, tick: int) -> None:
        """Add the ego on the edges under ``route``; ``tick`` makes the name of its SUMO route unique."""
        self._add(self._edges_of(route), tick)

    def move(self, pose: Pose, tick: int, waiting: bool) -> None:
        """Put the ego at ``pose``.

        Args:
            waiting: the simulation does not have the ego any more; unless it is about to depart, it is added again.

        SUMO wants the middle of the front bumper and a compass angle. Bits 1 + 2: keep the route where it fits, and take
        the position as it is, on the road or off it.
        """
        if waiting and EGO not in self._sumo.simulation.getPendingVehicles():
            self._add([self._graph.lanes[self._graph.near(pose.x, pose.y, 0.0)[0].lane].edge], tick)
        x = pose.x + 0.5 * EGO_LENGTH_M * math.cos(pose.yaw) + self._offset[0]
        y = pose.y + 0.5 * EGO_LENGTH_M * math.sin(pose.yaw) + self._offset[1]
        self._sumo.vehicle.moveToXY(EGO, "", -1, x, y, 90.0 - math.degrees(pose.yaw), 2, MATCH_M)

    def _edges_of(self, route: Route) -> list[str]:
        """The edges under ``route``, and some more: a SUMO vehicle at the end of its route would vanish."""
        edges: list[str] = []
        lanes, lane = self._graph.lanes, ""
        for x, y in route.points[::3]:
            place = self._graph.near(x, y, 0.0)[0]
            if lanes[place.lane].junction or place.distance_m > 2.0:
                continue
            lane = place.lane
            if not edges or edges[-1] != lanes[lane].edge:
                edges.append(lanes[lane].edge)
        if not edges:
            lane = next(name for name, street in lanes.items() if not street.junction)
            edges = [lanes[lane].edge]
        return edges + self._demand.walk(lane, WALK_M, np.random.default_rng(0))[0][1:]

    def _add(self, edges: list[str], tick: int) -> None:
        name = f"ego{tick}"
        for candidate in (edges, edges[:1]):
            try:
                self._sumo.route.add(name + str(len(candidate)), candidate)
                self._sumo.vehicle.add(EGO, name + str(len(candidate)), "ego", depart="now", departSpeed="0")
                break
            except self._sumo.TraCIException:
                continue
        self._sumo.vehicle.setLaneChangeMode(EGO, 0)
        self._sumo.vehicle.setSpeedMode(EGO, 0)
