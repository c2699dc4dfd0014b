"""Keeps SUMO's vehicles and walkers from running into an ego that stands where SUMO did not expect it.

SUMO thinks in lanes and rights of way: the ego, placed by coordinates, is seen well on a lane but badly inside a
junction or between lanes. Here each vehicle near the ego looks along its own lanes as far as it needs to stop, and
stops if the ego is there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.geometry.boxes import overlap
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M

NEAR_M, NEAR_WALKER_M = 26.0, 12.0
EASY_BRAKE_MPS2 = 3.5
REACTION_M, SIDE_ROOM_M, AHEAD_ROOM_M = 1.2, 0.25, 0.4
SAMPLE_M = 0.8
WALKER_LOOK_S, WALKER_STEP_M, WALKER_ROOM_M = 0.8, 0.5, 0.25
STANDING_MPS = 0.5
GIVE_UP_TICKS = 160


class Guard:
    """One drive's watch over everyone near the ego. ``exempt`` names vehicles that scenarios have taken over."""

    def __init__(self, road: RoadMap, sumo: Any):
        self._road, self._sumo = road, sumo
        self._arcs: dict[str, np.ndarray] = {}
        self._held: set[str] = set()
        self._frozen: dict[str, int] = {}  # ticks
        self.exempt: set[str] = set()

    def step(self, ego: EgoState, actors: np.ndarray, known: Collection[str], persons: Mapping[str, float]) -> None:
        """Holds and frees; ``persons`` are the walkers SUMO moves, with their own speeds in m/s."""
        far = np.hypot(actors["x"] - ego.pose.x, actors["y"] - ego.pose.y)
        held = set()
        for row in actors[(far < NEAR_M) & _may_meet(actors, far, ego)]:
            name = f"v{row['id']}"
            if name in known and name not in self.exempt and self._blocked(name, row, ego):
                held.add(name)
        for name in sorted(held - self._held):
            self._sumo.vehicle.setSpeed(name, 0.0)
        for name in sorted(self._held - held):
            if name in known and name not in self.exempt:
                self._sumo.vehicle.setSpeed(name, -1.0)
        self._held = held
        self._watch_walkers(ego, actors[(far < NEAR_WALKER_M) & (actors["kind"] == ActorKind.PEDESTRIAN)], persons)

    def _blocked(self, name: str, row: np.void, ego: EgoState) -> bool:
        """Whether the ego is, or is about to be, in what the vehicle sweeps before it could stop."""
        speed = math.hypot(row["vx"], row["vy"])
        reach = REACTION_M + 0.4 * speed + speed**2 / (2.0 * EASY_BRAKE_MPS2)
        bodies = 0.5 * (float(row["length"]) + EGO_LENGTH_M + EGO_WIDTH_M)
        away = math.hypot(row["x"] - ego.pose.x, row["y"] - ego.pose.y)
        if away > bodies + reach + abs(ego.speed_mps) * reach / max(speed, 2.0):
            return False
        path = self._path(name, reach + SAMPLE_M)
        if path is None:
            return False
        arcs = arc_lengths(path)
        ahead = np.arange(0.5 * SAMPLE_M, min(reach, arcs[-1] - 0.1), SAMPLE_M)
        if not len(ahead):
            return False
        here, onward = at_arc(path, arcs, np.stack([ahead, ahead + 0.1]))
        yaws = np.arctan2(onward[:, 1] - here[:, 1], onward[:, 0] - here[:, 0])
        swept = np.column_stack([here, yaws, np.full(len(ahead), SAMPLE_M + AHEAD_ROOM_M),
                                 np.full(len(ahead), float(row["width"]) + 2.0 * SIDE_ROOM_M)])
        return bool(overlap(swept, _ego_boxes(ego, ahead / max(speed, 2.0))).any())

    def _path(self, name: str, metres: float) -> np.ndarray | None:
        """The vehicle's way from its front bumper on, at least ``metres`` long if its lanes are known that far."""
        lane = self._sumo.vehicle.getLaneID(name)
        if lane not in self._road.lanes:
            return None
        at = self._sumo.vehicle.getLanePosition(name)
        links = None
        pieces, length = [], 0.0
        while lane in self._road.lanes and length < metres:
            centre, arcs = self._road.lanes[lane].centre, self._arcs_of(lane)
            rest = centre[arcs > at + 0.05]
            pieces += [at_arc(centre, arcs, np.array([at])), rest]
            length, at = length + max(arcs[-1] - at, 0.0), 0.0
            if self._road.lanes[lane].junction:
                onward = self._road.lanes[lane].successors
                lane = onward[0] if onward else ""
            else:
                links = list(self._sumo.vehicle.getNextLinks(name)) if links is None else links
                lane = _via(links.pop(0)) if links else ""
        path = np.concatenate(pieces)
        keep = np.concatenate([[True], np.hypot(*np.diff(path, axis=0).T) > 0.02])
        return path[keep] if keep.sum() > 1 else None

    def _arcs_of(self, lane: str) -> np.ndarray:
        if lane not in self._arcs:
            self._arcs[lane] = arc_lengths(self._road.lanes[lane].centre)
        return self._arcs[lane]

    def _watch_walkers(self, ego: EgoState, rows: np.ndarray, persons: Mapping[str, float]) -> None:
        """A walker does not step into the road right before a moving ego, nor walk into the side of a standing one."""
        frozen: dict[str, int] = {}
        for row in rows:
            name = f"p{row['id']}"
            if name in persons and (self._steps_out(name, ego) or _walks_into(row, ego)):
                frozen[name] = self._frozen.get(name, 0) + 1
        for name in sorted(set(frozen) - set(self._frozen)):
            self._sumo.person.setSpeed(name, 0.01)
        for name in sorted(set(self._frozen) - set(frozen)):
            if name in persons:
                self._sumo.person.setSpeed(name, persons[name])
        for name in sorted(name for name, ticks in frozen.items() if ticks > GIVE_UP_TICKS):
            self._sumo.person.removeStages(name)  # it and the ego wait for each other
            frozen.pop(name)
        self._frozen = frozen

    def _steps_out(self, name: str, ego: EgoState) -> bool:
        """Whether a walker waits at a crossing while the ego moves past."""
        if abs(ego.speed_mps) < STANDING_MPS:
            return False
        return "_w" in self._sumo.person.getRoadID(name) and "_c" in self._sumo.person.getNextEdge(name)


def _may_meet(actors: np.ndarray, away: np.ndarray, ego: EgoState) -> np.ndarray:
    """Mask [N] of those who could be held by the ego at distance ``away`` [N]: ``_blocked``'s own first question, asked
    of all at once and a little generously."""
    speed = np.hypot(actors["vx"], actors["vy"])
    reach = REACTION_M + 0.4 * speed + speed**2 / (2.0 * EASY_BRAKE_MPS2)
    bodies = 0.5 * (actors["length"] + EGO_LENGTH_M + EGO_WIDTH_M)
    return away <= bodies + reach + abs(ego.speed_mps) * reach / np.maximum(speed, 2.0) + 0.01


def _walks_into(row: np.void, ego: EgoState) -> bool:
    step = max(WALKER_STEP_M, WALKER_LOOK_S * math.hypot(row["vx"], row["vy"]))
    ahead = np.linspace(0.0, step, 4)[1:]
    boxes = np.column_stack([row["x"] + ahead * math.cos(row["yaw"]), row["y"] + ahead * math.sin(row["yaw"]),
                             np.full(3, row["yaw"]), np.full((3, 2), row["width"] + WALKER_ROOM_M)])
    return bool(overlap(boxes, _ego_boxes(ego, np.zeros(1))).any())


def _via(link: tuple) -> str:
    """The lane a link of SUMO's getNextLinks leads onto: the inner lane if there is one."""
    return link[4] or link[0]


def _ego_boxes(ego: EgoState, times_s: np.ndarray) -> np.ndarray:
    """Where the ego is at ``times_s`` [T] if it goes straight on: boxes [T, 5]; a slow ego counts as standing."""
    speed = ego.speed_mps if abs(ego.speed_mps) > STANDING_MPS else 0.0
    boxes = np.empty((len(times_s), 5))
    boxes[:, 0] = ego.pose.x + speed * times_s * math.cos(ego.pose.yaw)
    boxes[:, 1] = ego.pose.y + speed * times_s * math.sin(ego.pose.yaw)
    boxes[:, 2:] = ego.pose.yaw, EGO_LENGTH_M, EGO_WIDTH_M
    return boxes
