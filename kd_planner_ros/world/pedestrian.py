"""A pedestrian who steps out from behind a parked van in front of the ego."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.ego import Command, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M
from kd_planner_ros.world.encounters import Encounter, Moment
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.walkers import pedestrian_row

AHEAD_M = (22.0, 40.0)  # where along the route it waits when the ego comes near
REACH_S = 2.8  # it sets out when the ego is this far away in time
LEAST_REACH_M = 9.0
REACTION_S, FIRM_BRAKE_MPS2, SPARE_M = 0.5, 6.0, 1.0  # who brakes like this can still stop before it
SIDE_ROOM_M = 0.6  # how close it comes to the side of a car that stands in its way
PARKED = (4.9, 1.9, 2.0)
STOP_OTHERS_M = 22.0
GONE_BEHIND_M = 30.0


class StepOut(Encounter):
    """Stands hidden at the kerb, walks across when the ego is near, and goes on its way on the other side.

    SUMO does not know this walker: vehicles bearing down on it are made to stop from here.
    """

    passive = False

    def __init__(self, index: LaneIndex, rng: np.random.Generator):
        self._index = index
        self._speed = float(rng.uniform(1.2, 2.2))
        self._ahead = float(rng.uniform(*AHEAD_M))
        self._seeds = rng.integers(2**32, size=2)
        self._walked, self._held = -1.0, set()

    def begin(self, moment: Moment) -> bool:
        row = int(np.searchsorted(moment.arc, moment.arc[moment.near] + self._ahead))
        if row + 12 >= len(moment.arc) or moment.scene.ego.speed_mps < 2.0:
            return False
        stretch = slice(max(0, row - 12), row + 12)
        yaws = moment.route.yaws[stretch]
        if (moment.route.commands[stretch] != Command.LANE_FOLLOW).any() or np.ptp(np.unwrap(yaws)) > 0.25:
            return False
        return self._place(moment, moment.route.points[row], float(moment.route.yaws[row]))

    def _place(self, moment: Moment, at: np.ndarray, yaw: float) -> bool:
        hit = self._index.nearest(*at, yaw)
        if hit is None or hit.lane.junction:
            return False
        along, right = np.array([math.cos(yaw), math.sin(yaw)]), np.array([math.sin(yaw), -math.cos(yaw)])
        edge = 0.5 * hit.lane.width
        parked = at - along * 3.6 + right * (edge + 0.5 * PARKED[1] + 0.15)
        start = at + right * (edge + 0.5 * PARKED[1])
        corners = [parked + a * 2.5 * along + b * 0.8 * right for a in (-1, 1) for b in (-1, 1)]
        if any(self._index.outside_by(*corner) < 0.0 for corner in corners):
            return False
        far_side = [d for d in np.arange(edge, 24.0, 0.5) if self._index.outside_by(*(at - right * d)) > 0.3]
        self._start, self._across, self._yaw = start, -right, yaw
        self._length = (far_side[0] if far_side else 12.0) + 1.0 + edge + 0.5 * PARKED[1]
        self._walker = pedestrian_row(moment.traffic.new_id(), int(self._seeds[0]))
        self._parked = _parked_row(moment.traffic.new_id(), int(self._seeds[1]), parked, yaw)
        self._show(0.0)
        return True

    def step(self, moment: Moment, dt_s: float) -> None:
        pose, speed = moment.scene.ego.pose, moment.scene.ego.speed_mps
        gap = (self._start[0] - pose.x) * math.cos(self._yaw) + (self._start[1] - pose.y) * math.sin(self._yaw)
        least = 0.5 * EGO_LENGTH_M + SPARE_M + REACTION_S * speed + speed**2 / (2.0 * FIRM_BRAKE_MPS2)
        if self._walked < 0.0 and least < gap < max(LEAST_REACH_M, REACH_S * speed) and self._road_is_quiet(moment):
            self._walked = 0.0
        if 0.0 <= self._walked < self._length and speed < 0.5 and self._at_the_side_of(pose):
            self._show(0.0)
        elif 0.0 <= self._walked < self._length:
            self._walked += self._speed * dt_s
            self._show(self._speed)
            self._hold_others(moment)
        elif self._walked >= self._length:
            self._show(0.0)
            self._release(moment)
        self.passive = self._walked >= self._length or gap < -3.0
        if gap < -GONE_BEHIND_M:
            self._release(moment)
            self.over = True

    def _at_the_side_of(self, pose: Pose) -> bool:
        """Whether its next steps would take it into a car standing at ``pose``."""
        x, y = self._start + self._across * (self._walked + 0.2) - (pose.x, pose.y)
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        along, aside = abs(x * c + y * s), abs(y * c - x * s)
        return along < 0.5 * EGO_LENGTH_M + 0.3 and aside < 0.5 * EGO_WIDTH_M + SIDE_ROOM_M

    def _show(self, speed: float) -> None:
        x, y = self._start + self._across * max(0.0, self._walked)
        walker = self._walker
        walker["x"], walker["y"], walker["yaw"] = x, y, math.atan2(self._across[1], self._across[0])
        walker["vx"], walker["vy"] = self._across * speed
        self.rows = (walker.copy(), self._parked)

    def _approaching(self, moment: Moment, within_m: float) -> list[tuple[str, float, float]]:
        """Vehicles that would run into the walker's path: name, distance and speed."""
        found = []
        for row in moment.vehicles:
            speed = math.hypot(row["vx"], row["vy"])
            c, s = math.cos(row["yaw"]), math.sin(row["yaw"])
            middle = self._start + self._across * 0.5 * self._length
            ahead = (middle[0] - row["x"]) * c + (middle[1] - row["y"]) * s
            beside = abs((middle[1] - row["y"]) * c - (middle[0] - row["x"]) * s)
            if -1.0 < ahead - 0.5 * row["length"] < within_m and beside < 0.5 * self._length + 0.5:
                found.append((f"v{row['id']}", ahead - 0.5 * float(row["length"]), speed))
        return found

    def _road_is_quiet(self, moment: Moment) -> bool:
        """Nobody but the ego too near to stop at 4 m/s^2."""
        return all(gap > 3.0 + speed**2 / 8.0 for _, gap, speed in self._approaching(moment, 40.0))

    def _hold_others(self, moment: Moment) -> None:
        for name, gap, _ in self._approaching(moment, STOP_OTHERS_M):
            if name not in self._held and gap > 1.0:
                moment.traffic.sumo.vehicle.slowDown(name, 0.0, 1.5)
                self._held.add(name)

    def _release(self, moment: Moment) -> None:
        for name in sorted(self._held):
            if name in moment.traffic.known:
                moment.traffic.sumo.vehicle.setSpeed(name, -1.0)
        self._held.clear()


def _parked_row(number: int, seed: int, at: np.ndarray, yaw: float) -> np.ndarray:
    row = np.zeros((), ACTOR_DTYPE)
    row["id"], row["kind"], row["seed"] = number, ActorKind.CAR, seed
    row["x"], row["y"], row["yaw"] = at[0], at[1], math.remainder(yaw, 2.0 * math.pi)
    row["length"], row["width"], row["height"] = PARKED
    return row
