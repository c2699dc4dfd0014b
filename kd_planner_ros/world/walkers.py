"""People on foot: SUMO's own where the network has pavements, else walkers of ours along the kerbs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc
from kd_planner_ros.world.actor_table import ActorTable
from kd_planner_ros.world.fleet import PEDESTRIAN_LENGTH_M, PEDESTRIAN_WIDTH_M
from kd_planner_ros.world.lane_index import LaneIndex

KERB_M = 1.3  # how far from the road's edge kerb walkers keep
TURN_PER_TICK = 0.2  # radians
KEEP_BACK_M, SHIFT_PER_TICK_M = 1.1, 0.05
STAGES = 8  # walks in a row, so that a person lasts longer than any drive
SHORTEST_KERB_M = 25.0


def make_walkers(road: RoadMap, count: int) -> PavementWalkers | KerbWalkers:
    """The walkers for ``road``: on its pavements if it has any."""
    pavements = any(lane.kind == "sidewalk" and not lane.junction for lane in road.lanes.values())
    return PavementWalkers(road, count) if pavements else KerbWalkers(road, count)


def pedestrian_row(number: int, seed: int) -> np.ndarray:
    """A fresh ACTOR_DTYPE row of a grown-up or a child; the seed says which."""
    row = np.zeros((), ACTOR_DTYPE)
    row["id"], row["kind"], row["seed"] = number, ActorKind.PEDESTRIAN, seed
    row["length"], row["width"] = PEDESTRIAN_LENGTH_M, PEDESTRIAN_WIDTH_M
    row["height"] = 1.25 if seed % 10 == 0 else 1.6 + 0.03 * (seed % 9)
    return row


def _turned(last: float, yaw: float) -> float:
    """Heading that follows SUMO's ``yaw``, which jumps, no faster than a person turns."""
    turn = math.remainder(yaw - last, 2.0 * math.pi)
    return math.remainder(last + max(-TURN_PER_TICK, min(TURN_PER_TICK, turn)), 2.0 * math.pi)


class PavementWalkers:
    """Persons of SUMO: they keep to pavements and crossings, and SUMO's drivers see them."""

    def __init__(self, road: RoadMap, count: int):
        self.road, self.count = road, count
        self._edges = sorted({lane.edge for lane in road.lanes.values()
                              if lane.kind == "sidewalk" and not lane.junction})
        self._crossings = {lane.edge: lane.centre.mean(axis=0) for lane in road.lanes.values()
                           if lane.kind == "crossing"}

    def start(self, sumo: Any, rng: np.random.Generator, new_id: Callable[[], int]) -> None:
        """Sends everyone off on a chain of walks."""
        self._sumo, self._rng, self._new_id = sumo, rng, new_id
        self._rows: dict[str, np.ndarray] = {}
        self.speeds: dict[str, float] = {}
        self._names: tuple[str, ...] = ()  # those of the rows below
        self._yaws: list[float] = []
        self._shifts = np.zeros((0, 2))
        self._table = ActorTable(self.road.offset, front_m=0.0)
        self._variables = (sumo.constants.VAR_POSITION, sumo.constants.VAR_ANGLE, sumo.constants.VAR_SPEED)
        self._places = (sumo.constants.VAR_ROAD_ID, sumo.constants.VAR_NEXT_EDGE)
        self._ticks = 0
        for _ in range(self.count):
            self._send()

    def step(self, dt_s: float) -> None:
        """Replaces those who have arrived, one a second."""
        self._ticks += 1
        if self._ticks % 20 == 0:
            alive = set(self._sumo.person.getIDList())
            for name in [name for name in self._rows if name not in alive]:
                self._rows.pop(name)
                self.speeds.pop(name)
            if len(self._rows) < self.count:
                self._send()

    def clear(self, pose: Pose) -> None:
        """Nobody on a pavement is in the ego's way."""

    def rows(self) -> np.ndarray:
        """ACTOR_DTYPE [N]."""
        results = {n: v for n, v in self._sumo.person.getAllSubscriptionResults().items() if n in self._rows}
        table = self._table.fill(results, self._rows, self._variables)
        if tuple(results) != self._names:
            self._remember(tuple(results), table)
        self._yaws = [_turned(last, yaw) for last, yaw in zip(self._yaws, table["yaw"].tolist(), strict=True)]
        table["yaw"] = self._yaws
        self._keep_back(table, [[place[key] for key in self._places] for place in results.values()])
        table["x"], table["y"] = table["x"] + self._shifts[:, 0], table["y"] + self._shifts[:, 1]
        return table

    def _remember(self, names: tuple[str, ...], table: np.ndarray) -> None:
        """Carries heading and shift of those who stay over to the new order; who is new begins as SUMO has it."""
        before = {name: row for row, name in enumerate(self._names)}
        yaws, shifts = table["yaw"].tolist(), np.zeros((len(names), 2))
        for row, name in enumerate(names):
            if name in before:
                yaws[row], shifts[row] = self._yaws[before[name]], self._shifts[before[name]]
        self._names, self._yaws, self._shifts = names, yaws, shifts

    def _keep_back(self, table: np.ndarray, places: list[list[str]]) -> None:
        """Moves the shifts towards how far walkers are to stand back from where SUMO has them: it lets people wait for
        a crossing on the very line of the lane, where no car could pass. ``places``: edge and next edge of each."""
        goal = np.zeros_like(self._shifts)
        rows = [row for row, (edge, onward) in enumerate(places) if "_w" in edge and onward in self._crossings]
        if rows:
            middles = np.array([self._crossings[places[row][1]] for row in rows])
            away = np.stack([table["x"][rows], table["y"][rows]], axis=1) - middles
            goal[rows] = away * (KEEP_BACK_M / np.maximum(np.hypot(away[:, 0], away[:, 1]), 0.1))[:, None]
        step = goal - self._shifts
        share = np.minimum(1.0, SHIFT_PER_TICK_M / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9))
        self._shifts = self._shifts + step * share[:, None]

    def _send(self) -> None:
        number = self._new_id()
        name, edge = f"p{number}", self._draw()
        person = self._sumo.person
        person.add(name, edge, float(self._rng.uniform(0.0, self._sumo.lane.getLength(edge + "_0"))))
        for _ in range(STAGES):
            goal = self._draw()
            stages = self._sumo.simulation.findIntermodalRoute(edge, goal) if goal != edge else ()
            for stage in stages:
                if stage.edges:
                    person.appendWalkingStage(name, stage.edges, -5.0)
                    edge = stage.edges[-1]
        if edge and person.getRemainingStages(name) < 2:
            person.appendWaitingStage(name, 5.0)
        self.speeds[name] = float(np.clip(self._rng.normal(1.3, 0.2), 0.8, 2.0))
        person.setSpeed(name, self.speeds[name])
        person.subscribe(name, (*self._variables, *self._places))
        self._rows[name] = pedestrian_row(number, int(self._rng.integers(2**32)))

    def _draw(self) -> str:
        return self._edges[int(self._rng.integers(len(self._edges)))]


class KerbWalkers:
    """Walkers of ours, to and fro beside the outer lanes of a network that has no pavements."""

    def __init__(self, road: RoadMap, count: int):
        self.road, self.count = road, count
        self.speeds: dict[str, float] = {}  # none of them are SUMO's
        self._paths = _kerbs(road)
        if not self._paths:
            return
        counts = np.array([len(points) for points, _ in self._paths])
        self._first = np.cumsum(counts) - counts  # rows of each path in one long list of points
        self._last = self._first + counts - 2
        self._points = np.concatenate([points for points, _ in self._paths])
        self._base = np.cumsum([0.0] + [arcs[-1] + 1.0 for _, arcs in self._paths[:-1]])
        self._arcs = np.concatenate([base + arcs for base, (_, arcs) in zip(self._base, self._paths, strict=True)])

    def start(self, sumo: Any, rng: np.random.Generator, new_id: Callable[[], int]) -> None:
        """Places everyone."""
        count = self.count if self._paths else 0
        lengths = np.array([path[1][-1] for path in self._paths])
        self._path = rng.choice(len(self._paths), count, p=lengths / lengths.sum()) if count else np.zeros(0, int)
        self._far = lengths[self._path] if count else np.zeros(0)
        self._arc = rng.uniform(0.0, 1.0, count) * self._far
        self._speed = np.clip(rng.normal(1.3, 0.2, count), 0.8, 2.0) * rng.choice([-1.0, 1.0], count)
        rows = [pedestrian_row(new_id(), int(rng.integers(2**32))) for _ in range(count)]
        self._table = np.array(rows, ACTOR_DTYPE) if rows else np.zeros(0, ACTOR_DTYPE)

    def step(self, dt_s: float) -> None:
        """Walks on; turns round at the path's end."""
        self._arc = self._arc + self._speed * dt_s
        over = (self._arc < 0.0) | (self._arc > self._far)
        self._speed = np.where(over, -self._speed, self._speed)
        self._arc = np.clip(self._arc, 0.0, self._far)

    def clear(self, pose: Pose) -> None:
        """Nobody on a kerb is in the ego's way."""

    def rows(self) -> np.ndarray:
        """ACTOR_DTYPE [N]."""
        table = self._table.copy()
        if not len(table):
            return table
        along = self._base[self._path] + self._arc
        first = np.clip(np.searchsorted(self._arcs, along, side="right") - 1,
                        self._first[self._path], self._last[self._path])
        step = self._points[first + 1] - self._points[first]
        share = (along - self._arcs[first]) / (self._arcs[first + 1] - self._arcs[first])
        c, s = (step * np.sign(self._speed)[:, None] / np.linalg.norm(step, axis=1, keepdims=True)).T
        table["x"], table["y"] = (self._points[first] + share[:, None] * step).T
        table["yaw"] = np.arctan2(s, c)
        table["vx"], table["vy"] = abs(self._speed) * c, abs(self._speed) * s
        return table


def _kerbs(road: RoadMap) -> list[tuple[np.ndarray, np.ndarray]]:
    """Walkable lines (points [N, 2], arc lengths [N]) right of the outermost lanes, clear of every lane for cars."""
    index, found = LaneIndex(road), []
    for lane in road.lanes.values():
        if lane.junction or lane.index or lane.kind not in ("driving", "shoulder"):
            continue
        arcs = arc_lengths(lane.centre)
        if arcs[-1] < SHORTEST_KERB_M:
            continue
        inner = at_arc(lane.centre, arcs, np.arange(3.0, arcs[-1] - 3.0, 2.0))
        along = np.gradient(inner, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        line = inner + np.stack([along[:, 1], -along[:, 0]], axis=1) * (0.5 * lane.width + KERB_M)
        if all(index.outside_by(x, y) > 0.5 * KERB_M for x, y in line):
            found.append((line, arc_lengths(line)))
    return found
