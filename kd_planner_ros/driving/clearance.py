"""Whether a car that follows a trajectory keeps away from the road users that its planner detects.

Source: Shalev-Shwartz et al., "On a Formal Model of Safe and Scalable Self-driving Cars" (RSS, 2017): safe distances ahead (definition 1:
a car that brakes after its reaction time does not reach one that brakes before it) and to the side (definition 6: two cars that gain
speed towards each other for the reaction time, and then lose it, keep a margin). Only who is nearer than both is dangerous.

The lane that these definitions need is the trajectory itself: distances and speeds are measured along and across it, so those who drive
round the same bend do not come across. Beyond its end the lane is unknown, and the margin alone counts to the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.outputs import Detections
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.geometry.boxes import overlap
from kd_planner_ros.geometry.polyline import project

STILL_M = 0.2
"""A step shorter than this has no direction."""
REACH_M = 200.0
"""So far the lane goes on straight at either end."""
BEND_M, BEND_STEP_M, SHARPEST_RAD, BENDS = 20.0, 2.0, 2.0, 3
"""Beyond the trajectory's end the lane bends for so long, in such steps, by so much at most, as the last so many steps do."""


@dataclass(frozen=True)
class GateSettings:
    """Metres, seconds, m/s and m/s^2. Those to the side are ad-rss-lib's, except the reaction time and the margin.

    Attributes:
        least_probability: detections below it do not count.
        car: its box.
        margin_m: two boxes nearer than this touch. aside_m: the margin to the side.
        horizon_s, step_s: how far, and how finely, a candidate is followed.
        reaction_s, gain_mps2, brake_mps2: the car gains speed for so long before it brakes.
        other_brake_mps2: how hard a road user ahead may brake.
        aside_gain_mps2, aside_brake_mps2: how fast cars gain and lose speed to the side of where they head.
        other_least_brake_mps2: how hard a road user that heads across the car's way brakes at least.
        collision_s: least time until the car would reach a road user ahead at its speed.
        response_mps2: a candidate that slows down by this may be nearer than these distances, for it is the answer to them.
        standing_mps: a slower car stands.
    """

    least_probability: float = 0.5
    car: Car = Car()
    margin_m: float = 0.1
    aside_m: float = 0.3
    horizon_s: float = 3.0
    step_s: float = 0.25
    reaction_s: float = 0.3
    gain_mps2: float = 1.0
    brake_mps2: float = 6.0
    other_brake_mps2: float = 8.0
    aside_gain_mps2: float = 0.2
    aside_brake_mps2: float = 0.8
    other_least_brake_mps2: float = 4.0
    collision_s: float = 1.0
    response_mps2: float = 2.0
    standing_mps: float = 0.5


def unsafe(plan: Plan, detections: Detections, speed_mps: float, settings: GateSettings = GateSettings()) -> bool:
    """Whether a car of ``speed_mps`` that follows the trajectory of ``plan`` touches one of ``detections``, or comes nearer to one ahead
    or beside than is safe without slowing down. Road users behind the car, and boxes that it stands in already, do not count."""
    times = _times(plan.trajectory, detections, settings)
    own, pace = _own_way(plan.trajectory, times)
    others = _ways(detections, times, settings)
    if not len(others):
        return False
    car = settings.car
    boxes = car.boxes(own)
    boxes[:, 3:] += 2.0 * settings.margin_m
    touched = overlap(boxes[None], others[..., :5])
    counts = ~touched[:, 0] & (others[:, 0, 0] > car.ahead_m - car.length_m / 2.0)
    answered = pace <= np.maximum(speed_mps - settings.response_mps2 * times, settings.standing_mps)
    near = _too_near(_beside(plan.trajectory, own, others, settings), pace, settings) & ~answered[None]
    return bool(((touched | near)[:, 1:] & counts[:, None]).any())


def safe_distance(speed: np.ndarray, other: np.ndarray, settings: GateSettings = GateSettings()) -> np.ndarray:
    """The distance to a road user ahead that drives at ``other`` m/s the same way (below 0: towards the car), metres."""
    reached = speed + settings.reaction_s * settings.gain_mps2
    own = speed * settings.reaction_s + 0.5 * settings.gain_mps2 * settings.reaction_s ** 2 + reached ** 2 / (2.0 * settings.brake_mps2)
    return np.maximum(own - np.sign(other) * other ** 2 / (2.0 * settings.other_brake_mps2), 0.0)


def safe_distance_aside(own: np.ndarray, other: np.ndarray, other_brake: np.ndarray | float | None = None,
                        settings: GateSettings = GateSettings()) -> np.ndarray:
    """The distance to the side of a road user, metres, where both come towards each other at ``own`` and ``other`` m/s (below 0: away).

    Args:
        other_brake: how fast the other loses that speed, m/s^2; ``aside_brake_mps2`` unless given.
    """
    brake = settings.aside_brake_mps2 if other_brake is None else other_brake
    closer = _sideways(own, settings.aside_brake_mps2, settings) + _sideways(other, brake, settings)
    return settings.aside_m + np.maximum(closer, 0.0)


def _sideways(speed: np.ndarray, brake: np.ndarray | float, settings: GateSettings) -> np.ndarray:
    """How far a car goes that gains speed for the reaction time and then loses it all, metres."""
    reached = speed + settings.reaction_s * settings.aside_gain_mps2
    return settings.reaction_s * (speed + reached) / 2.0 + np.sign(reached) * reached ** 2 / (2.0 * brake)


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
        heading = float(np.arctan2(steps[row, 1], steps[row, 0])) if length > STILL_M else heading
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


class _Beside(NamedTuple):
    """Road users in the car's lane, each [N, S]: ``gap`` ahead between the boxes and ``gap_aside`` between them, metres, below 0 where
    they overlap in that direction; ``ahead``: whether no end of the car has passed them; ``speed`` along the lane and ``closing`` towards
    it, m/s; ``brake``: how fast each loses the latter, m/s^2; ``known``: whether the lane is known there."""

    gap: np.ndarray
    gap_aside: np.ndarray
    ahead: np.ndarray
    speed: np.ndarray
    closing: np.ndarray
    brake: np.ndarray
    known: np.ndarray


def _beside(trajectory: Trajectory, own: np.ndarray, others: np.ndarray, settings: GateSettings) -> _Beside:
    """``others`` [N, S, 7] in the lane of the car, which is at ``own`` [S, 3] on ``trajectory``."""
    lane, end = _lane(trajectory)
    foot = project(others[..., :2].reshape(-1, 2), lane)
    shape, directions = others.shape[:2], _directions(lane)
    share = foot.fraction[:, None]
    ahead = (1.0 - share) * directions[foot.segment] + share * directions[foot.segment + 1]
    ahead = (ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)).reshape(*shape, 2)
    along = foot.arc_m.reshape(shape) - project(own[:, :2], lane).arc_m - settings.car.ahead_m
    across = foot.offset_m.reshape(shape)
    heading = np.stack([np.cos(others[..., 2]), np.sin(others[..., 2])], -1)
    straight, turned = np.abs(_dot(heading, ahead)), np.abs(_left_of(ahead, heading))
    reach = (others[..., 3] * straight + others[..., 4] * turned + settings.car.length_m) / 2.0
    room = (others[..., 3] * turned + others[..., 4] * straight + settings.car.width_m) / 2.0
    velocity = others[..., 5:]
    return _Beside(along - reach, np.abs(across) - room, along > -reach, _dot(velocity, ahead),
                   -np.sign(across) * _left_of(ahead, velocity),
                   settings.aside_brake_mps2 * straight + settings.other_least_brake_mps2 * turned,
                   (foot.segment < end).reshape(shape))


def _lane(trajectory: Trajectory) -> tuple[np.ndarray, int]:
    """(the line [P, 2] that ``trajectory`` follows, the first of its segments beyond its end). The line begins ``REACH_M`` behind the car,
    goes on for ``BEND_M`` beyond the end as it bends there, and then straight on."""
    points = [np.zeros(2)]
    for point in np.asarray(trajectory.points, float):
        if np.hypot(*(point - points[-1])) > STILL_M:
            points.append(point)
    way = np.array(points)
    steps = np.diff(way, axis=0) if len(way) > 1 else np.array([[1.0, 0.0]])
    headings, lengths = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])), np.hypot(*steps.T)
    last = slice(-BENDS, None)
    middles = np.cumsum(lengths[last]) - lengths[last] / 2.0
    bend = (headings[-1] - headings[last][0]) / (middles[-1] - middles[0]) if len(middles) > 1 else 0.0
    most = SHARPEST_RAD / BEND_M
    count = round(BEND_M / BEND_STEP_M)
    on = headings[-1] + np.clip(bend, -most, most) * (lengths[-1] / 2.0 + BEND_STEP_M * (np.arange(count) + 0.5))
    onward = np.cumsum(np.stack([np.cos(on), np.sin(on)], -1) * np.append(np.full(count - 1, BEND_STEP_M), REACH_M)[:, None], axis=0)
    return np.concatenate([[[-REACH_M, 0.0]], way, way[-1] + onward]), len(way)


def _directions(line: np.ndarray) -> np.ndarray:
    """The direction [P, 2] at each point of ``line``: halfway between those of its two neighbours, of no certain length."""
    steps = np.diff(line, axis=0)
    steps = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    return np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2.0, steps[-1:]])


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(-1)


def _left_of(ahead: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The part of ``vector`` [..., 2] that points to the left of ``ahead`` [..., 2], of length 1."""
    return ahead[..., 0] * vector[..., 1] - ahead[..., 1] * vector[..., 0]


def _too_near(beside: _Beside, pace: np.ndarray, settings: GateSettings) -> np.ndarray:
    """Whether each road user [N] is at each instant [S] nearer than both safe distances; one that the car reaches within
    ``collision_s`` is too near ahead."""
    safe_aside = np.where(beside.known, safe_distance_aside(np.zeros(()), beside.closing, beside.brake, settings), settings.aside_m)
    reached = beside.gap < np.maximum(pace - beside.speed, 1e-6) * settings.collision_s
    return beside.ahead & (beside.gap_aside < safe_aside) & ((beside.gap < safe_distance(pace, beside.speed, settings)) | reached)
