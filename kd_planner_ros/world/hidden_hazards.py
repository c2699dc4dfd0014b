"""Hazards that the car cannot see in time, and a roadside station can: a walker between parked vans, a car behind a corner.

Each is played from the settings of a route's scenario (``hidden_routes.py`` draws such routes). Both begin when the car would meet
them at its present speed, and neither looks at the car once it is under way: a car that brakes early lets them pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.route import RouteScenario
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind, LightState
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M
from kd_planner_ros.world.encounters import Encounter, Moment
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.walkers import pedestrian_row

WALKER, CAR = "HiddenWalker", "HiddenCar"
VAN, TRUCK, SEDAN = (5.4, 2.0, 2.4), (8.0, 2.5, 3.3), (4.5, 1.85, 1.45)
NEEDED: Mapping[str, Mapping[str, int]] = {
    WALKER: {"at": 2, "yaw": 1, "speed": 1, "from": 1, "to": 1, "parked": -6},
    CAR: {"at": 2, "yaw": 1, "speed": 1, "meet": 1, "path": -2, "parked": -6}}
"""Settings of each kind and how many numbers each holds; below zero: a multiple of so many. ``at``: the meeting (``map``, metres);
``yaw``: the car's heading there; ``speed`` of the hazard; ``from``, ``to``: metres that the walker walks before and behind the middle of
the lane; ``meet``: metres along ``path`` [N, 2] to the meeting; ``parked``: x, y, yaw, length, width, height of each vehicle."""
NOBODY = "nobody"
"""Setting of a place where the vehicles are parked and nobody comes: what is parked must not foretell a hazard."""
LEAST_MPS = 3.0  # a slower car is waiting for something: the hazard waits as well
MEET_M = 0.6  # where across its front the car meets the walker
ADAPT_UNTIL_S, ADAPT = 1.2, 0.2  # until then before the meeting the hidden car keeps its appointment, within this share of its speed
GONE_M = 30.0
SIDE_M = 0.4
MOVES_MPS, GAIN_MPS2, SLOW_MPS, LANE_M = 0.5, 1.5, 4.5, 1.6  # a car that moves off gains so much, up to a speed at which it may keep to it


def settings_of(**values: float | Sequence[float]) -> tuple[tuple[str, str], ...]:
    """Numbers as the settings of a scenario."""
    return tuple((name, " ".join(f"{one:.3f}" for one in np.ravel(np.asarray(value, float)))) for name, value in values.items())


def numbers_of(scenario: RouteScenario) -> Mapping[str, np.ndarray]:
    """What ``settings_of`` was given, each as a flat array.

    Raises:
        RouteError: the scenario lacks a setting that its kind needs, or one is not that many finite numbers.
    """
    found = {}
    for name, count in NEEDED[scenario.kind].items():
        text = dict(scenario.settings).get(name, "")
        try:
            values = np.array(text.split(), float)
        except ValueError:
            values = np.full(1, np.nan)
        fits = len(values) == count if count > 0 else len(values) > 0 and len(values) % -count == 0
        if not fits or not np.isfinite(values).all():
            wanted = f"{count} numbers" if count > 0 else f"a multiple of {-count} numbers"
            raise RouteError(f"{wanted} as '{name}' of scenario {scenario.name} ({scenario.kind})", repr(text) if text else "none",
                             "correct the route file")
        found[name] = values
    return found


def arrival_s(gap_m: float, speed_mps: float) -> float:
    """Seconds in which a car drives ``gap_m``: at its speed, or at SLOW_MPS as soon as it has gained that."""
    top = max(speed_mps, SLOW_MPS)
    gaining_s = (top - speed_mps) / GAIN_MPS2
    gaining_m = 0.5 * (top + speed_mps) * gaining_s
    if gap_m < gaining_m:
        return (math.sqrt(speed_mps**2 + 2.0 * GAIN_MPS2 * gap_m) - speed_mps) / GAIN_MPS2
    return gaining_s + (gap_m - gaining_m) / top


def may_go(moment: Moment, gap_m: float) -> bool:
    """Whether every signal of the car's lane within the next ``gap_m`` is green."""
    signals, pose = moment.scene.signals, moment.scene.ego.pose
    x, y = (0.5 * (signals[f"stop_{axis}0"] + signals[f"stop_{axis}1"]) - at for axis, at in (("x", pose.x), ("y", pose.y)))
    ahead = x * math.cos(pose.yaw) + y * math.sin(pose.yaw)
    left = y * math.cos(pose.yaw) - x * math.sin(pose.yaw)
    mine = (np.abs(left) < LANE_M) & (ahead > 0.0) & (ahead < gap_m + 0.5 * EGO_LENGTH_M)
    return bool((signals["state"][mine] == LightState.GREEN).all())


def parked_rows(numbers: Mapping[str, np.ndarray], first_id: int, seed: int) -> list[np.ndarray]:
    """Rows of the parked vehicles: ``parked`` holds x, y, yaw, length, width, height of each."""
    return [vehicle_row(first_id + place, seed + place, one) for place, one in enumerate(numbers["parked"].reshape(-1, 6))]


def vehicle_row(number: int, seed: int, box: np.ndarray) -> np.ndarray:
    """A standing ACTOR_DTYPE row of the vehicle with ``box`` = x, y, yaw, length, width, height."""
    row = np.zeros((), ACTOR_DTYPE)
    row["id"], row["seed"] = number, seed
    row["kind"] = ActorKind.TRUCK if box[5] > 3.0 else ActorKind.CAR
    row["x"], row["y"], row["yaw"], row["length"], row["width"], row["height"] = box
    return row


class _Hidden(Encounter):
    """What both have in common: parked vehicles that stand from the start, and one actor that sets out."""

    def __init__(self, index: LaneIndex, rng: np.random.Generator):
        self._seeds = rng.integers(2**31, size=2)
        self._went_m = -1.0

    def set_up(self, scenario: RouteScenario) -> None:
        """Take place, times and speeds from the scenario's settings."""
        self._numbers = numbers_of(scenario)
        self._speed = float(self._numbers["speed"][0])
        self._nobody = NOBODY in dict(scenario.settings)

    def _park(self, moment: Moment) -> None:
        count = len(self._numbers["parked"]) // 6
        number = [moment.traffic.new_id() for _ in range(count + 1)]
        self._parked = tuple(parked_rows(self._numbers, number[0], int(self._seeds[1])))
        self._id = number[-1]

    def step(self, moment: Moment, dt_s: float) -> None:
        gap = self._ego_gap_m(moment, self._at, self._yaw)
        if not self._nobody:
            self._move(moment, gap, dt_s)
        self.over = gap < -GONE_M

    def _move(self, moment: Moment, gap_m: float, dt_s: float) -> None:
        """One step of the hazard, ``gap_m`` from the car's front to the meeting."""
        raise NotImplementedError

    def _ego_gap_m(self, moment: Moment, at: np.ndarray, yaw: float) -> float:
        """Metres from the car's front to the point ``at`` along ``yaw``."""
        pose = moment.scene.ego.pose
        return float((at[0] - pose.x) * math.cos(yaw) + (at[1] - pose.y) * math.sin(yaw)) - 0.5 * EGO_LENGTH_M


class HiddenWalker(_Hidden):
    """Stands behind a parked van and walks across the street without looking."""

    def begin(self, moment: Moment) -> bool:
        n = self._numbers
        self._at, self._yaw, self._from_m, self._to_m = n["at"], float(n["yaw"][0]), float(n["from"][0]), float(n["to"][0])
        self._right = np.array([math.sin(self._yaw), -math.cos(self._yaw)])
        self._park(moment)
        self._row = pedestrian_row(self._id, int(self._seeds[0]))
        self.rows = self._parked
        if not self._nobody:
            self._show(False)
        return True

    def _move(self, moment: Moment, gap_m: float, dt_s: float) -> None:
        speed = moment.scene.ego.speed_mps
        if self._went_m < 0.0 and speed > LEAST_MPS and 0.0 < gap_m <= speed * (self._from_m - MEET_M) / self._speed:
            self._went_m = 0.0
        walking = 0.0 <= self._went_m < self._from_m + self._to_m and not self._waits_at_the_side(gap_m)
        if walking:
            self._went_m += self._speed * dt_s
        self._show(walking)

    def _waits_at_the_side(self, gap_m: float) -> bool:
        """Whether the next step would be into the side of the car, which fills the place in front."""
        beside = self._from_m - self._went_m - 0.5 * EGO_WIDTH_M
        return -EGO_LENGTH_M - SIDE_M < gap_m < 0.0 and 0.0 < beside < SIDE_M

    def _show(self, walking: bool) -> None:
        aside = self._from_m - max(0.0, self._went_m)
        self._row["x"], self._row["y"] = self._at + self._right * aside
        self._row["yaw"] = math.atan2(-self._right[1], -self._right[0])
        self._row["vx"], self._row["vy"] = -self._right * (self._speed if walking else 0.0)
        self.rows = (self._row.copy(), *self._parked)


class HiddenCar(_Hidden):
    """Comes out of a side street behind a parked truck, gives way to nobody, and does not stop at red. It sets out when the car has a
    green light, or none."""

    def begin(self, moment: Moment) -> bool:
        n = self._numbers
        self._at, self._yaw, self._meet_m = n["at"], float(n["yaw"][0]), float(n["meet"][0])
        self._path = n["path"].reshape(-1, 2)
        self._arc_m = arc_lengths(self._path)
        self._park(moment)
        self.rows = self._parked
        return True

    def _move(self, moment: Moment, gap_m: float, dt_s: float) -> None:
        speed, front_m = moment.scene.ego.speed_mps, self._meet_m - 0.5 * SEDAN[0]
        late = gap_m > 0.0 and speed > MOVES_MPS and arrival_s(gap_m, speed) <= front_m / self._speed
        if self._went_m < 0.0 and late and may_go(moment, gap_m):
            self._went_m = 0.0
        if self._went_m >= 0.0:
            now_mps = self._appointment_mps(front_m - self._went_m, gap_m, speed)
            self._went_m += now_mps * dt_s
            self._show(now_mps)

    def _appointment_mps(self, left_m: float, gap_m: float, ego_mps: float) -> float:
        """The speed that keeps the appointment while there is time, the one that was set out with afterwards."""
        if left_m < ADAPT_UNTIL_S * self._speed or gap_m <= 0.0 or ego_mps < MOVES_MPS:
            return self._speed
        return float(np.clip(left_m / arrival_s(gap_m, ego_mps), (1.0 - ADAPT) * self._speed, (1.0 + ADAPT) * self._speed))

    def _show(self, speed_mps: float) -> None:
        if self._went_m > self._arc_m[-1] - 1.0:
            self.rows = self._parked
            return
        place, ahead = at_arc(self._path, self._arc_m, np.array([self._went_m, self._went_m + 1.0]))
        yaw = math.atan2(*(ahead - place)[::-1])
        row = vehicle_row(self._id, int(self._seeds[0]), np.array([*place, yaw, *SEDAN]))
        row["vx"], row["vy"] = speed_mps * math.cos(yaw), speed_mps * math.sin(yaw)
        self.rows = (row, *self._parked)
