"""Encounters with SUMO's own vehicles: a leader that brakes hard, a cut-in, an oncoming turn across, a red-light
runner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.route import Route, RouteScenario
from kd_planner_ros.core.scene import INDICATOR_LEFT, INDICATOR_RIGHT, LightState, SceneState
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.world.traffic import Traffic, is_vehicle

NORMAL_MODE = 31  # SUMO's speed modes: all checks on
NO_YIELD_MODE = 1 + 2 + 4 + 16 + 32  # keeps its distance and stops at red, but yields to nobody
RED_RUN_MODE = 1 + 2 + 4 + 32  # keeps its distance only
NORMAL_LANE_MODE, OBEY_LANE_MODE = 1621, 512
JUNCTION_AHEAD_M = (8.0, 32.0)
_IN_JUNCTION = np.isin(np.arange(256).astype(np.int8), (Command.LEFT, Command.RIGHT, Command.STRAIGHT))  # by command


@dataclass(frozen=True)
class Moment:
    """What an encounter may look at: the truth, the traffic, and where on the route the ego is."""

    scene: SceneState
    traffic: Traffic
    route: Route
    near: int
    arc: np.ndarray

    @cached_property
    def relative(self) -> np.ndarray:
        """Vehicles as seen from the ego [N, 3]: metres ahead, metres left, heading difference in radians."""
        pose, actors = self.scene.ego.pose, self.vehicles
        dx, dy = actors["x"].astype(float) - pose.x, actors["y"].astype(float) - pose.y
        c, s = np.cos(pose.yaw), np.sin(pose.yaw)
        return np.stack([dx * c + dy * s, dy * c - dx * s, wrap_angle(actors["yaw"].astype(float) - pose.yaw)], axis=1)

    @cached_property
    def vehicles(self) -> np.ndarray:
        """Rows of SUMO's vehicles."""
        actors = self.scene.actors[is_vehicle(self.scene.actors)]
        known = self.traffic.known
        return actors[np.array([f"v{number}" in known for number in actors["id"].tolist()], bool)]

    def junction_ahead_m(self, command: Command) -> float | None:
        """Distance along the route to the next junction if the ego takes it by ``command``."""
        row = self._junction_row
        return float(self.arc[row] - self.arc[self.near]) if row >= 0 and self.route.commands[row] == command else None

    @cached_property
    def _junction_row(self) -> int:
        """The route's first point inside the next junction, -1 if none of the next 45 is."""
        rows = np.flatnonzero(_IN_JUNCTION[self.route.commands[self.near:self.near + 45]])
        return self.near + int(rows[0]) if len(rows) else -1


class Encounter:
    """Base: ``begin`` looks for its actors and says whether it started; ``step`` goes on; ``over`` when done.

    ``rows`` are actors of its own; a ``passive`` one lingers without keeping others from starting.
    """

    over = False
    passive = False
    rows: tuple[np.ndarray, ...] = ()

    def set_up(self, scenario: RouteScenario) -> None:
        """Take what ``scenario`` of a route's file sets; by default nothing."""

    def begin(self, moment: Moment) -> bool:
        raise NotImplementedError

    def step(self, moment: Moment, dt_s: float) -> None:
        raise NotImplementedError


class _OneVehicle(Encounter):
    """An encounter that takes over one vehicle for ``hold_s`` and then gives it back."""

    hold_s = 5.0

    def begin(self, moment: Moment) -> bool:
        row = self.find(moment)
        if row is None:
            return False
        self.name, self.left_s = f"v{moment.vehicles['id'][row]}", self.hold_s
        moment.traffic.guard.exempt.add(self.name)
        self.act(moment, row)
        return True

    def step(self, moment: Moment, dt_s: float) -> None:
        self.left_s -= dt_s
        self.over = self.left_s <= 0.0 or self.name not in moment.traffic.known
        if self.over:
            moment.traffic.guard.exempt.discard(self.name)
        if self.over and self.name in moment.traffic.known:
            moment.traffic.sumo.vehicle.setSpeedMode(self.name, NORMAL_MODE)
            moment.traffic.sumo.vehicle.setLaneChangeMode(self.name, NORMAL_LANE_MODE)
            moment.traffic.sumo.vehicle.setSpeed(self.name, -1.0)

    def find(self, moment: Moment) -> int | None:
        raise NotImplementedError

    def act(self, moment: Moment, row: int) -> None:
        raise NotImplementedError


def _first(mask: np.ndarray, order: np.ndarray) -> int | None:
    """The row where ``mask`` holds with the least ``order``."""
    rows = np.flatnonzero(mask)
    return int(rows[order[rows].argmin()]) if len(rows) else None


class Brake(_OneVehicle):
    """The vehicle ahead stops within 1.5 s, stands, and drives on."""

    hold_s = 4.5

    def find(self, moment: Moment) -> int | None:
        ahead, left, turn = moment.relative.T
        speed = np.hypot(moment.vehicles["vx"], moment.vehicles["vy"])
        mask = (ahead > 7.0) & (ahead < 25.0) & (abs(left) < 1.2) & (abs(turn) < 0.3) & (speed > 3.0)
        return _first(mask, ahead) if moment.scene.ego.speed_mps > 3.0 else None

    def act(self, moment: Moment, row: int) -> None:
        moment.traffic.sumo.vehicle.slowDown(self.name, 0.0, 1.5)

    def step(self, moment: Moment, dt_s: float) -> None:
        if self.left_s <= 3.0 < self.left_s + dt_s and self.name in moment.traffic.known:
            moment.traffic.sumo.vehicle.setSpeed(self.name, 0.0)
        super().step(moment, dt_s)


class CutIn(_OneVehicle):
    """A vehicle in the next lane moves over right in front of the ego and slows down."""

    def find(self, moment: Moment) -> int | None:
        ahead, left, turn = moment.relative.T
        speed = np.hypot(moment.vehicles["vx"], moment.vehicles["vy"])
        beside = (abs(left) > 2.4) & (abs(left) < 4.6) & (abs(turn) < 0.2)
        mask = beside & (speed > 3.0) & (ahead > 5.5) & (ahead < 16.0)
        return _first(mask, ahead) if moment.scene.ego.speed_mps > 3.0 else None

    def act(self, moment: Moment, row: int) -> None:
        vehicle = moment.traffic.sumo.vehicle
        to_the_left = moment.relative[row, 1] < 0.0
        lane = vehicle.getLaneIndex(self.name) + (1 if to_the_left else -1)
        if lane < 0:
            return
        vehicle.setLaneChangeMode(self.name, OBEY_LANE_MODE)
        vehicle.changeLane(self.name, lane, self.hold_s)
        vehicle.slowDown(self.name, max(2.0, 0.75 * moment.scene.ego.speed_mps), 2.0)


class OncomingTurn(_OneVehicle):
    """An oncoming vehicle turns left across the ego's way, although the ego comes straight on."""

    def find(self, moment: Moment) -> int | None:
        gap = moment.junction_ahead_m(Command.STRAIGHT)
        if gap is None or not JUNCTION_AHEAD_M[0] < gap < JUNCTION_AHEAD_M[1]:
            return None
        ahead, left, turn = moment.relative.T
        mask = (ahead > gap) & (ahead < gap + 45.0) & (left > 0.5) & (left < 12.0) & (abs(turn) > 2.6)
        return _first(mask & ((moment.vehicles["lights"] & INDICATOR_LEFT) > 0), ahead)

    def act(self, moment: Moment, row: int) -> None:
        moment.traffic.sumo.vehicle.setSpeedMode(self.name, NO_YIELD_MODE)


class RedLightRunner(_OneVehicle):
    """A vehicle from the side crosses against its red light while the ego has green."""

    speed_mps = 8.0

    def find(self, moment: Moment) -> int | None:
        gap = moment.junction_ahead_m(Command.STRAIGHT)
        if gap is None or not JUNCTION_AHEAD_M[0] < gap < JUNCTION_AHEAD_M[1] or not self._green(moment, gap):
            return None
        ahead, left, turn = moment.relative.T
        crossing = abs(abs(turn) - np.pi / 2) < 0.5
        coming = (left * turn < 0.0) & (abs(left) > 8.0) & (abs(left) < 32.0)  # from the right it heads left
        mask = crossing & coming & (ahead > gap - 2.0) & (ahead < gap + 30.0)
        return _first(mask & ((moment.vehicles["lights"] & (INDICATOR_LEFT | INDICATOR_RIGHT)) == 0), abs(left))

    def act(self, moment: Moment, row: int) -> None:
        moment.traffic.sumo.vehicle.setSpeedMode(self.name, RED_RUN_MODE)
        moment.traffic.sumo.vehicle.setSpeed(self.name, self.speed_mps)

    @staticmethod
    def _green(moment: Moment, gap: float) -> bool:
        """Whether the ego's own signal at the stop line ``gap`` metres ahead is green."""
        signals, pose = moment.scene.signals, moment.scene.ego.pose
        x = 0.5 * (signals["stop_x0"] + signals["stop_x1"]) - pose.x
        y = 0.5 * (signals["stop_y0"] + signals["stop_y1"]) - pose.y
        ahead = x * np.cos(pose.yaw) + y * np.sin(pose.yaw)
        left = y * np.cos(pose.yaw) - x * np.sin(pose.yaw)
        mine = (abs(left) < 1.6) & (abs(ahead - gap) < 6.0)
        return bool(mine.any() and (signals["state"][mine] == LightState.GREEN).all())
