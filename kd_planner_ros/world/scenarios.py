"""Scripted trouble along the route, on top of SUMO's flow: who is met where follows from the seed alone.

About every 120 m a window opens; within it the first scenario that finds its actors starts. A pedestrian needs nobody, so
it is the last resort.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SceneState
from kd_planner_ros.world.encounters import Brake, CutIn, Encounter, Moment, OncomingTurn, RedLightRunner
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.pedestrian import StepOut
from kd_planner_ros.world.traffic import Traffic

FIRST_M, SPACING_M = (25.0, 60.0), (90.0, 150.0)
WINDOW_M = 70.0
PEDESTRIAN_AFTER_M = 25.0  # into the window, unless the seed puts the pedestrian first
KEEP_FROM_GOAL_M = 25.0


class Scenarios:
    """The scenarios of one drive at a time."""

    def __init__(self, road: RoadMap):
        self.road, self.index = road, LaneIndex(road)

    def start(self, route: Route, seed: int, traffic: Traffic) -> None:
        """Plans windows along ``route`` from ``seed``."""
        rng = np.random.default_rng([seed, 0x7363656E])
        self.route, self.traffic = route, traffic
        self._arc, self._near = route.arc_m, 0
        self._windows: list[tuple[float, list[Encounter]]] = []
        self.names: list[str] = []  # what has started, for reports
        self._running: list[Encounter] = []
        at = float(rng.uniform(*FIRST_M))
        while at < self._arc[-1] - KEEP_FROM_GOAL_M:
            pool: list[Encounter] = [Brake(), CutIn(), OncomingTurn(), RedLightRunner(), StepOut(self.index, rng)]
            self._windows.append((at, [pool[i] for i in rng.permutation(len(pool))]))
            at += float(rng.uniform(*SPACING_M))

    def step(self, scene: SceneState, dt_s: float) -> None:
        """Starts what is due and moves what runs; ``scene`` is the truth before this tick."""
        moment = self._moment(scene)
        for encounter in self._running:
            encounter.step(moment, dt_s)
        self._running = [encounter for encounter in self._running if not encounter.over]
        here = self._arc[self._near]
        while self._windows and here > self._windows[0][0] + WINDOW_M:
            self._windows.pop(0)
        if not self._windows or here < self._windows[0][0] or any(not e.passive for e in self._running):
            return
        at, pool = self._windows[0]
        for place, encounter in enumerate(pool):
            early = isinstance(encounter, StepOut) and place > 0 and here < at + PEDESTRIAN_AFTER_M
            if not early and encounter.begin(moment):
                self._running.append(encounter)
                self.names.append(type(encounter).__name__)
                self._windows.pop(0)
                return

    def add_actors(self, actors: np.ndarray) -> np.ndarray:
        """``actors`` with the scenarios' own, in the order of ids."""
        rows = [row for encounter in self._running for row in encounter.rows]
        if not rows:
            return actors
        table = np.concatenate([actors, np.array(rows, ACTOR_DTYPE)])
        return table[np.argsort(table["id"], kind="stable")]

    def _moment(self, scene: SceneState) -> Moment:
        pose = scene.ego.pose
        window = self.route.points[self._near:self._near + 12]
        self._near += int(np.hypot(window[:, 0] - pose.x, window[:, 1] - pose.y).argmin())
        return Moment(scene, self.traffic, self.route, self._near, self._arc)
