"""Which of a plan's candidates is followed: the best one, or the next best that passes when it fails. Open to every planner that has some.

A candidate passes if its trajectory is plausible (``check_trajectory``), and if on it the car keeps away from the road users that the
planner detects. Source of the distance ahead: Shalev-Shwartz et al., "On a Formal Model of Safe and Scalable Self-driving Cars" (RSS,
2017), definition 1: the distance at which a car that brakes after its reaction time does not reach one that brakes before it. To the
side a constant margin counts, around where each road user will be: their definition 6 needs lanes, for in a bend everyone comes across.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.outputs import Detections
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.driving.supervisor import Limits, Reason, check_trajectory
from kd_planner_ros.geometry.boxes import overlap


@dataclass(frozen=True)
class GateSettings:
    """Metres, seconds, m/s and m/s^2.

    Attributes:
        least_probability: detections below it do not count.
        length_m, width_m: of the car.
        margin_m: two boxes nearer than this touch. aside_m: a road user with less room than this beside the car's way is in it.
        horizon_s, step_s: how far, and how finely, a candidate is followed.
        reaction_s, gain_mps2, brake_mps2: the car gains speed for so long before it brakes.
        other_brake_mps2: how hard a road user ahead may brake.
        collision_s: least time until the car would reach a road user ahead at its speed.
        response_mps2: a candidate that slows down by this may be nearer than these distances, for it is the answer to them.
        standing_mps: a slower car stands.
    """

    least_probability: float = 0.5
    length_m: float = 4.9
    width_m: float = 2.12
    margin_m: float = 0.1
    aside_m: float = 0.3
    horizon_s: float = 3.0
    step_s: float = 0.25
    reaction_s: float = 0.3
    gain_mps2: float = 1.0
    brake_mps2: float = 6.0
    other_brake_mps2: float = 8.0
    collision_s: float = 1.0
    response_mps2: float = 2.0
    standing_mps: float = 0.5


class CandidateGate:
    """Chooses once for each plan."""

    def __init__(self, settings: GateSettings = GateSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget the last choice."""
        self._last: tuple[Plan, Plan, str] | None = None

    def choose(self, plan: Plan, ego: EgoState, limits: Limits) -> tuple[Plan, str]:
        """(the plan to follow, what is wrong with the best candidate).

        The plan is ``plan`` itself where nothing is wrong, where it has no candidates with scores, or where none of them passes; else
        ``plan`` with the trajectory of the next best candidate, without the control branch's wish. Candidates with a score below 0, or
        one that is not finite, are never followed.
        """
        if plan.candidates is None or plan.scores is None or not np.isfinite(ego.speed_mps):
            return plan, ""
        if self._last is None or self._last[0] is not plan:
            self._last = (plan, *self._choose(plan, ego, limits))
        return self._last[1:]

    def _choose(self, plan: Plan, ego: EgoState, limits: Limits) -> tuple[Plan, str]:
        fault = self._fault(plan, ego, limits)
        if not fault or plan.candidates is None or plan.scores is None:
            return plan, fault
        candidates, scores = np.asarray(plan.candidates, float), np.asarray(plan.scores, float)
        usable = np.flatnonzero(np.isfinite(scores) & (scores >= 0.0))
        for index in usable[np.argsort(-scores[usable], kind="stable")]:
            trajectory = Trajectory(plan.trajectory.stamp_ns, candidates[index], plan.trajectory.times_s)
            other = replace(plan, trajectory=trajectory, control=None)
            if not np.array_equal(candidates[index], plan.trajectory.points) and not self._fault(other, ego, limits):
                return other, fault
        return plan, fault

    def _fault(self, plan: Plan, ego: EgoState, limits: Limits) -> str:
        if fault := check_trajectory(plan, ego.speed_mps, limits):
            return fault
        return Reason.PLAN_UNSAFE if plan.detections is not None and unsafe(plan, plan.detections, ego.speed_mps, self.settings) else ""


def unsafe(plan: Plan, detections: Detections, speed_mps: float, settings: GateSettings = GateSettings()) -> bool:
    """Whether a car of ``speed_mps`` that follows the trajectory of ``plan`` touches one of ``detections``, or comes nearer to one ahead
    in its way than is safe without slowing down. Road users behind the car, and boxes that it stands in already, do not count."""
    times = _times(plan.trajectory, detections, settings)
    own, pace = _own_way(plan.trajectory, times)
    others = _ways(detections, times, settings)
    if not len(others):
        return False
    size = np.array([settings.length_m, settings.width_m]) + 2.0 * settings.margin_m
    boxes = np.concatenate([own, np.broadcast_to(size, (len(own), 2))], -1)
    touched = overlap(boxes[None], others[..., :5])
    counts = ~touched[:, 0] & (others[:, 0, 0] > -settings.length_m / 2.0)
    answered = pace <= np.maximum(speed_mps - settings.response_mps2 * times, settings.standing_mps)
    near = _too_near(own, pace, others, settings) & ~answered[None]
    return bool(((touched | near)[:, 1:] & counts[:, None]).any())


def safe_distance(speed: np.ndarray, other: np.ndarray, settings: GateSettings = GateSettings()) -> np.ndarray:
    """The distance to a road user ahead that drives at ``other`` m/s the same way (below 0: towards the car), metres."""
    reached = speed + settings.reaction_s * settings.gain_mps2
    own = speed * settings.reaction_s + 0.5 * settings.gain_mps2 * settings.reaction_s ** 2 + reached ** 2 / (2.0 * settings.brake_mps2)
    return np.maximum(own - np.sign(other) * other ** 2 / (2.0 * settings.other_brake_mps2), 0.0)


def _times(trajectory: Trajectory, detections: Detections, settings: GateSettings) -> np.ndarray:
    """Instants [S] that are looked at, seconds, 0 first: none beyond the trajectory or the forecasts."""
    last = min(settings.horizon_s, float(trajectory.times_s[-1]))
    if detections.forecast_times_s is not None and len(detections.forecast_times_s):
        last = min(last, float(detections.forecast_times_s[-1]))
    return np.arange(0.0, last + 1e-9, settings.step_s)


def _own_way(trajectory: Trajectory, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places and headings [S, 3] of the car on its way, its speed [S])."""
    known = np.concatenate([[0.0], np.asarray(trajectory.times_s, float)])
    way = np.concatenate([np.zeros((1, 2)), np.asarray(trajectory.points, float)])
    keep = np.concatenate([[True], np.diff(known) > 0.0])
    known, way = known[keep], way[keep]
    steps = np.diff(way, axis=0)
    lengths = np.hypot(*steps.T)
    headings, heading = np.zeros(len(steps)), 0.0
    for row, length in enumerate(lengths):
        heading = float(np.arctan2(steps[row, 1], steps[row, 0])) if length > 0.2 else heading
        headings[row] = heading
    segment = np.clip(np.searchsorted(known, times, side="right") - 1, 0, len(steps) - 1)
    places = np.stack([np.interp(times, known, way[:, axis]) for axis in (0, 1)], -1)
    return np.concatenate([places, headings[segment, None]], -1), (lengths / np.diff(known))[segment]


def _ways(detections: Detections, times: np.ndarray, settings: GateSettings) -> np.ndarray:
    """[N, S, 7] of the road users that count: place, heading, length, width, and velocity, on the likeliest forecast or at their speed."""
    rows = detections.rows
    chosen = np.flatnonzero((rows["probability"] >= settings.least_probability) & np.isfinite(rows["x"]) & np.isfinite(rows["y"]))
    found = np.zeros((len(chosen), len(times), 7))
    for number, row in enumerate(chosen):
        one = rows[row]
        velocity = np.nan_to_num(np.array([one["vx"], one["vy"]], float))
        places = np.array([one["x"], one["y"]]) + times[:, None] * velocity
        velocities = np.broadcast_to(velocity, places.shape)
        forecast = _likeliest(detections, int(row))
        if forecast is not None and detections.forecast_times_s is not None:
            known = np.concatenate([[0.0], detections.forecast_times_s])
            way = np.concatenate([[[one["x"], one["y"]]], forecast])
            places = np.stack([np.interp(times, known, way[:, axis]) for axis in (0, 1)], -1)
            velocities = np.gradient(places, times, axis=0) if len(times) > 1 else velocities
        moving = np.hypot(*velocities.T) > settings.standing_mps
        found[number, :, :2], found[number, :, 5:] = places, velocities
        found[number, :, 2] = np.where(moving, np.arctan2(velocities[:, 1], velocities[:, 0]), one["yaw"])
        found[number, :, 3:5] = one["length"], one["width"]
    return found


def _likeliest(detections: Detections, row: int) -> np.ndarray | None:
    """The likeliest forecast [T, 2] of road user ``row``; None where there is none, or one that is not finite."""
    found = detections.likeliest(row)
    return found if found is not None and np.isfinite(found).all() else None


def _too_near(own: np.ndarray, pace: np.ndarray, others: np.ndarray, settings: GateSettings) -> np.ndarray:
    """Whether each road user [N] is at each instant [S] ahead in the car's way and nearer than ``safe_distance``, or reached too soon."""
    ahead, left = np.cos(own[:, 2]), np.sin(own[:, 2])
    dx, dy = others[..., 0] - own[:, 0], others[..., 1] - own[:, 1]
    along, across = dx * ahead + dy * left, dy * ahead - dx * left
    turn = np.abs(np.stack([np.cos(others[..., 2] - own[:, 2]), np.sin(others[..., 2] - own[:, 2])]))
    reach = (others[..., 3] * turn[0] + others[..., 4] * turn[1] + settings.length_m) / 2.0
    room = (others[..., 3] * turn[1] + others[..., 4] * turn[0] + settings.width_m) / 2.0
    gap, speed = along - reach, others[..., 5] * ahead + others[..., 6] * left
    inside = (along > 0.0) & (np.abs(across) - room < settings.aside_m)
    closing = np.maximum(pace - speed, 1e-6)
    return inside & ((gap < safe_distance(pace, speed, settings)) | (gap / closing < settings.collision_s))
