"""The rule-based driver with privileged state: it records the training data and bounds what a student can reach."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import LightState, SceneState
from kd_planner_ros.world import hazards as hz
from kd_planner_ros.world.actor_view import ActorView, near
from kd_planner_ros.world.drive_path import CRUISE_MPS, DrivePath, Gate
from kd_planner_ros.world.ego import COASTING_PER_S, DRAG_PER_M, MAX_BRAKE_MPS2, MAX_DRIVE_MPS2, ROLLING_MPS2, STEER_SHARE
from kd_planner_ros.world.ego_body import EGO_MAX_STEER_RAD, EGO_WHEELBASE_M
from kd_planner_ros.world.forecast import Forecaster
from kd_planner_ros.world.hazards import HALF_LENGTH_M, Hazard
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.planning_states import LIGHT_RANGE_M, label_states, light_state

SIGHT_M = 75.0
STOP_BEFORE_LINE_M = 1.2
LIGHT_BRAKING_MPS2 = 1.8
YELLOW_BRAKING_MPS2 = 3.0
STOPPED_MPS = 0.08
STOP_SIGN_HOLD_TICKS = 10
ACCEL_RISE_PER_TICK, ESCAPE_MPS2 = 0.25, 2.5
WARNINGS, WARNING_TIME_S = 3, 1.5
"""A conflict farther in the future than this must be forecast three ticks in a row before it is answered."""
_STEER_SHARE = tuple(map(np.array, zip(*STEER_SHARE, strict=True)))
PATIENCE_TICKS = (200, 700)
"""After so many ticks of standing for others' predicted ways the expert looks less far ahead, so that two drivers who
wait for each other do not do so for ever."""


@dataclass(frozen=True)
class ExpertDecision:
    """What the expert does this tick and why. ``states``: the eight planning states by ``STATE_NAMES``, in that order."""

    control: Control
    states: dict[str, int]
    target_speed_mps: float
    hazards: tuple[Hazard, ...]


class Expert:
    """Follows ``route`` on ``road``: pure pursuit along the line, and the most progressive speed without a conflict.

    Call ``step`` once per 20 Hz tick. ``legacy_light`` labels lights as PlanKD's collector did. ``gap_s``: seconds that it leaves
    between itself and whoever crosses its way (post-encroachment time), beside its margins in metres. Deterministic: the same
    scenes give the same decisions.
    """

    def __init__(self, road: RoadMap, route: Route, legacy_light: bool = False, cruise_mps: float = CRUISE_MPS,
                 gap_s: float = 0.0):
        self.path = DrivePath(road, route, cruise_mps)
        self.index = LaneIndex(road)
        self.legacy_light, self.cruise_mps, self.gap_s = legacy_light, cruise_mps, gap_s
        self._forecaster = Forecaster(road, self.index, hz.TIMES_S)
        self.reset()

    def reset(self) -> None:
        """Back to the start of the route."""
        self._arc, self._accel = 0.0, 0.0
        self._tick = self._waited = self._warned = 0
        self._stood: dict[float, int] = {}
        self._forecaster.reset()

    def step(self, scene: SceneState) -> ExpertDecision:
        """The decision for the scene after this tick."""
        ego = scene.ego
        self._arc, offset = self.path.locate(ego.pose.x, ego.pose.y, self._arc)
        found: list[Hazard] = []
        accel = self._cruise_accel(ego.speed_mps)
        for limit, hazard in self._gate_limits(scene):
            accel = min(accel, limit)
            found += [hazard] if hazard else []
        every = near(scene.actors, ego.pose.x, ego.pose.y, SIGHT_M)
        actors = self._ahead(ego, every)
        limit, lead, followed = hz.lead_limit(self.path, self._arc, ego.speed_mps, self.cruise_mps, actors)
        if lead is not None and limit < accel:
            found.append(lead)
        accel = min(accel, limit)
        accel, conflict = self._avoid(scene, actors.take(~followed), accel, offset, bool(found))
        if conflict is not None:
            found.append(conflict)
        accel = self._accel = min(accel, max(self._accel, -0.6) + ACCEL_RISE_PER_TICK)
        control = self._control(ego, accel)
        target = max(0.0, min(self._limit_mps(), ego.speed_mps + accel)) if accel > -2.5 else 0.0
        return ExpertDecision(control, self._states(scene, every, control), target, tuple(found))

    # Speed

    def _limit_mps(self) -> float:
        return float(np.interp(self._arc + 1.0, self.path.arc_m, self.path.limit_mps))

    def _cruise_accel(self, speed_mps: float) -> float:
        return max(-3.0, min(1.8, 1.5 * (self._limit_mps() - speed_mps)))

    def _gate_limits(self, scene: SceneState):
        """(acceleration limit, hazard) of each stop line ahead that holds the ego now."""
        speed, front = scene.ego.speed_mps, self._arc + HALF_LENGTH_M
        for gate in self.path.gates:
            distance = gate.arc_m - front
            if distance < -1.0:
                continue
            if distance > LIGHT_RANGE_M:
                break
            if gate.kind == "signal":
                if self._must_stop_for(int(scene.signals["state"][gate.row]), distance, speed):
                    yield _stop_accel(distance - STOP_BEFORE_LINE_M, speed), Hazard("signal", distance)
            elif not self._stop_sign_done(gate, distance, speed):
                yield _stop_accel(distance - STOP_BEFORE_LINE_M, speed), Hazard("stop", distance)

    def _must_stop_for(self, colour: int, distance_m: float, speed_mps: float) -> bool:
        needed = speed_mps**2 / (2.0 * max(distance_m, 0.1))
        if colour == LightState.RED:
            return distance_m > -0.5 or speed_mps < 0.5
        return colour == LightState.YELLOW and distance_m > 0.0 and needed <= YELLOW_BRAKING_MPS2

    def _stop_sign_done(self, gate: Gate, distance_m: float, speed_mps: float) -> bool:
        if distance_m < 4.0 and speed_mps < STOPPED_MPS:
            self._stood[gate.arc_m] = self._stood.get(gate.arc_m, 0) + 1
        return self._stood.get(gate.arc_m, 0) >= STOP_SIGN_HOLD_TICKS

    # Others

    def _ahead(self, ego: EgoState, actors: ActorView) -> ActorView:
        """Those of ``actors`` that do not follow in the ego's own lane."""
        dx, dy = actors.x - ego.pose.x, actors.y - ego.pose.y
        c, s = math.cos(ego.pose.yaw), math.sin(ego.pose.yaw)
        follows = ((dx * c + dy * s < 1.0 - HALF_LENGTH_M - 0.5 * actors.length) & (np.abs(dy * c - dx * s) < 1.6)
                   & (np.cos(actors.yaw - ego.pose.yaw) > 0.8))
        return actors.take(~follows)

    def _avoid(self, scene: SceneState, actors: ActorView, accel: float, offset: float,
               held: bool) -> tuple[float, Hazard | None]:
        """The acceleration closest to ``accel`` whose forecast meets nobody, and who was in the way."""
        speed = scene.ego.speed_mps
        self._waited = self._waited + 1 if speed < 0.2 and not held else 0
        self._tick += 1
        if self._warned == 0 and self._tick % 2:
            return accel, None  # all was clear a tick ago: looking at 10 Hz saves half the time
        actors = actors.take(hz.reachable(actors, self.path, self._arc, speed))
        if len(actors.x) == 0:
            self._warned = 0
            return accel, None
        others = self._forecaster.boxes(actors, scene.signals, scene.stamp_ns / 1e9)
        others[..., 3] += 2.0 * self.gap_s * actors.speed  # where each is within that time, before and after
        pedestrian = actors.pedestrian
        choices = np.array([accel] + [a for a in (0.4, -0.6, -1.5, -3.0, -5.0, -8.0) if a < accel - 0.2]
                           + [accel if held else ESCAPE_MPS2])
        poses, _ = hz.roll_out(self.path, self._arc, offset, speed, choices, self._limit_mps())
        hit = hz.conflicts(poses[:1], others, pedestrian, self._margin())
        hit = self._excuse(hit, poses[:1], others)
        self._warned = self._warned + 1 if hit.any() else 0
        if not hit.any():
            return accel, None
        instant, actor = np.argwhere(hit[0])[0]
        if self._warned < WARNINGS and hz.TIMES_S[instant] > WARNING_TIME_S:
            return accel, None
        hit = self._excuse(hz.conflicts(poses, others, pedestrian, self._margin()), poses, others)
        first = np.where(hit.any(axis=2), hz.TIMES_S[None], np.inf).min(axis=1)
        clear = np.flatnonzero(np.isinf(first))
        # The last choice, out of the way fast, is only for want of a better one.
        best = int(clear[0]) if len(clear) else len(first) - 2 - int(first[-2::-1].argmax())
        kind = "pedestrian" if pedestrian[actor] else "crossing"
        distance = float(np.hypot(others[instant, actor, 0] - scene.ego.pose.x, others[instant, actor, 1] - scene.ego.pose.y))
        return float(choices[best]), Hazard(kind, distance, int(actors.id[actor]))

    def _margin(self) -> float:
        return 1.0 if self._waited < PATIENCE_TICKS[0] else 0.5

    def _excuse(self, hit: np.ndarray, poses: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Takes out contacts that are not the ego's to avoid: from behind (unless it is about to change lanes), and,
        when it has waited long, those far in the future."""
        if not self._about_to_change_lane():
            hit = hit & ~hz.behind(poses, others)
        if self._waited >= PATIENCE_TICKS[0]:
            horizon = 2.5 if self._waited < PATIENCE_TICKS[1] else 1.5
            hit = hit & (hz.TIMES_S <= horizon)[None, :, None]
        return hit

    def _about_to_change_lane(self) -> bool:
        return any(start - 10.0 < self._arc < start + 5.0 for start, _ in self.path.changes)

    # Control

    def _control(self, ego: EgoState, accel: float) -> Control:
        throttle, brake = pedals(accel, ego.speed_mps)
        return Control(ego.stamp_ns, throttle, self._steer(ego), brake)

    def _steer(self, ego: EgoState) -> float:
        """Pure pursuit of the rear axle, in [-1, 1], left positive.

        Source: Coulter, "Implementation of the pure pursuit path tracking algorithm", CMU-RI-TR-92-01.
        """
        rear = np.array([ego.pose.x, ego.pose.y]) - 0.5 * EGO_WHEELBASE_M * np.array(
            [math.cos(ego.pose.yaw), math.sin(ego.pose.yaw)])
        reach = max(2.8, min(6.0, 0.55 * ego.speed_mps + 1.2))
        aim = self.path.at(np.array(self._arc + reach))
        angle = math.atan2(aim[1] - rear[1], aim[0] - rear[0]) - ego.pose.yaw
        distance = float(np.hypot(*(aim[:2] - rear)))
        wheel = math.atan2(2.0 * EGO_WHEELBASE_M * math.sin(angle), distance)
        steer = wheel / (EGO_MAX_STEER_RAD * float(np.interp(ego.speed_mps, *_STEER_SHARE)))
        return max(-1.0, min(1.0, steer))

    # Labels

    def _states(self, scene: SceneState, actors: ActorView, control: Control) -> dict[str, int]:
        front, distance, colour, stop = self._arc + HALF_LENGTH_M, None, LightState.OFF, False
        for gate in self.path.gates:
            ahead = gate.arc_m - front
            if ahead > LIGHT_RANGE_M or ahead < -1.0:
                continue
            if gate.kind == "signal" and distance is None:
                distance, colour = ahead, int(scene.signals["state"][gate.row])
            stop |= gate.kind == "stop" and ahead < 20.0 and self._stood.get(gate.arc_m, 0) < 1
        changing = any(start - 5.0 < self._arc < end + 5.0 for start, end in self.path.changes)
        here = self.index.nearest(scene.ego.pose.x, scene.ego.pose.y, scene.ego.pose.yaw)
        return label_states(scene.ego, actors, self.index, here, light_state(distance, colour, self.legacy_light), stop, changing, control)


def _stop_accel(distance_m: float, speed_mps: float) -> float:
    """Acceleration that brings the car to rest ``distance_m`` ahead: none too early, firm enough when it is due."""
    if distance_m <= 0.1:
        return -3.0
    reachable = math.sqrt(2.0 * LIGHT_BRAKING_MPS2 * distance_m)
    if speed_mps > 0.92 * reachable:
        return -max(speed_mps**2 / (2.0 * distance_m), 0.5)
    return 1.5 * (reachable - speed_mps)


def pedals(accel_mps2: float, speed_mps: float) -> tuple[float, float]:
    """Throttle in [0, 0.75] and brake in [0, 1] that give ``accel_mps2`` at ``speed_mps`` in steady state."""
    if speed_mps < 0.3 and accel_mps2 < 0.1:
        return 0.0, 0.6
    needed = accel_mps2 + ROLLING_MPS2 + COASTING_PER_S * speed_mps + DRAG_PER_M * speed_mps**2
    if needed >= -0.15:
        return max(0.0, min(0.75, needed / MAX_DRIVE_MPS2)), 0.0
    return 0.0, max(0.0, min(1.0, -needed / MAX_BRAKE_MPS2))
