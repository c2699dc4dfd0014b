"""Scripted trouble along the route, on top of SUMO's flow: who is met where follows from the seed alone.

About every 120 m, and before some junctions, a window opens; the first scenario in it that finds its actors starts. A
pedestrian needs nobody, so it is the last resort. A route whose file lists scenarios meets those at their trigger points, and no
others.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SceneState
from kd_planner_ros.world.encounters import Brake, CutIn, Encounter, Moment, OncomingTurn, RedLightRunner
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.pedestrian import StepOut
from kd_planner_ros.world.route_scenarios import MET, NOT_MET, PLAYED, AskedScenario, asked_scenarios
from kd_planner_ros.world.traffic import Traffic

FIRST_M, SPACING_M = (25.0, 60.0), (90.0, 150.0)
WINDOW_M = 70.0
PEDESTRIAN_AFTER_M = 25.0  # into the window, unless the seed puts the pedestrian first
KEEP_FROM_GOAL_M = 25.0
JUNCTION_M, JUNCTION_CHANCE = 35.0, 0.6


class Scenarios:
    """The scenarios of one drive at a time."""

    def __init__(self, road: RoadMap):
        self.road, self.index = road, LaneIndex(road)

    def start(self, route: Route, seed: int, traffic: Traffic) -> None:
        """Plans windows along ``route`` from ``seed``."""
        rng = np.random.default_rng([seed, 0x7363656E])
        self.route, self.traffic = route, traffic
        self._arc, self._near = route.arc_m, 0
        self._windows: list[tuple[float, float, list[Encounter]]] = []  # opens, closes, what may happen
        self.names: list[str] = []  # what has started, for reports
        self.asked = asked_scenarios(route)
        self._by_encounter: dict[Encounter, AskedScenario] = {}
        self._running: list[Encounter] = []
        if route.scenarios is None:
            self._draw(rng)
        else:
            self._take_from_file(rng)

    def _take_from_file(self, rng: np.random.Generator) -> None:
        for asked in self.asked:
            if asked.status == NOT_MET:
                encounter = PLAYED[asked.scenario.kind][1](self.index, rng)
                encounter.set_up(asked.scenario)
                self._by_encounter[encounter] = asked
                self._windows.append((asked.arc_m, asked.arc_m + WINDOW_M, [encounter]))

    def _draw(self, rng: np.random.Generator) -> None:
        route = self.route
        at = float(rng.uniform(*FIRST_M))
        while at < self._arc[-1] - KEEP_FROM_GOAL_M:
            pool: list[Encounter] = [Brake(), CutIn(), StepOut(self.index, rng)]
            self._windows.append((at, at + WINDOW_M, [pool[i] for i in rng.permutation(len(pool))]))
            at += float(rng.uniform(*SPACING_M))
        straight = route.commands == Command.STRAIGHT
        for row in np.flatnonzero(straight[1:] & ~straight[:-1]):
            if rng.random() < JUNCTION_CHANCE:
                pool = [OncomingTurn(), RedLightRunner()]
                order = [pool[i] for i in rng.permutation(len(pool))]
                self._windows.append((self._arc[row] - JUNCTION_M, self._arc[row], order))

    def step(self, scene: SceneState, dt_s: float) -> None:
        """Starts what is due and moves what runs; ``scene`` is the truth before this tick."""
        moment = self._moment(scene)
        for encounter in self._running:
            encounter.step(moment, dt_s)
        self._running = [encounter for encounter in self._running if not encounter.over]
        here = self._arc[self._near]
        self._windows = [window for window in self._windows if here <= window[1]]
        if any(not encounter.passive for encounter in self._running):
            return
        for window in self._windows:
            if window[0] <= here and self._begin(window, moment, here):
                self._windows.remove(window)
                return

    def _begin(self, window: tuple[float, float, list[Encounter]], moment: Moment, here: float) -> bool:
        for place, encounter in enumerate(window[2]):
            early = isinstance(encounter, StepOut) and place > 0 and here < window[0] + PEDESTRIAN_AFTER_M
            if not early and encounter.begin(moment):
                self._running.append(encounter)
                self.names.append(type(encounter).__name__)
                if encounter in self._by_encounter:
                    self._by_encounter[encounter].status = MET
                return True
        return False

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
