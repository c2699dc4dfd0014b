"""Drives the car along a plan: a linear-quadratic tracker on a kinematic bicycle with lagging pedals and steering.

Source: the formulation of navsim v2.2 and nuPlan (velocity and curvature of a reference by regularised least squares, two
one-step LQR problems over a look-ahead of 1 s, a bicycle on the rear axle, all integrated by Euler's rule every 0.1 s), written anew.
The weights, time constants and the look-ahead are theirs; wheelbase and steering lock are our car's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from kd_planner_ros.evaluation.pdm.motion import REAR_M, Motion, rear_of, to_map
from kd_planner_ros.evaluation.pdm.scene import STEP_S, Start
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.world.ego_body import EGO_MAX_STEER_RAD, EGO_WHEELBASE_M

AHEAD_STEPS = 10
SPEED_WEIGHT, ACCELERATION_WEIGHT = 10.0, 1.0
OFFSET_WEIGHT, HEADING_WEIGHT, STEER_RATE_WEIGHT = 1.0, 10.0, 1.0
JERK_PENALTY, BEND_RATE_PENALTY, BEND_PENALTY = 1e-4, 1e-2, 1e-10
STANDING_MPS, STANDING_GAIN = 0.2, 0.5
ACCELERATION_LAG_S, STEER_LAG_S = 0.2, 0.05


def simulate(plans: np.ndarray, starts: Sequence[Start]) -> list[Motion]:
    """The drives of cars that begin at ``starts`` [B] and follow ``plans`` [B, T + 1, 3], poses of the centre in ``base_link`` of each
    start, one every ``STEP_S``, T >= 2. The drives are in ``map``.

    Each car is simulated in its own ``base_link``, so a rigid motion of the whole scene changes nothing but the map's numbers.
    """
    plans = np.asarray(plans, float)
    states = _first(starts)
    reference = np.concatenate([rear_of(plans), plans[..., 2:]], axis=-1)
    speeds, bends = profiles(reference)
    rows = [states]
    for step in range(plans.shape[1] - 1):
        rows.append(_advance(rows[-1], *_commands(rows[-1], reference[:, step], speeds, bends, step)))
    return [_motion(track, start) for track, start in zip(np.stack(rows, axis=1), starts, strict=True)]


def _first(starts: Sequence[Start]) -> np.ndarray:
    """States [B, 7] of the rear axle: x, y, yaw, speed, acceleration, steering angle, yaw rate."""
    rows = []
    for one in starts:
        steer = math.atan2(EGO_WHEELBASE_M * one.yaw_rate_rps, one.speed_mps) if one.speed_mps > STANDING_MPS else 0.0
        limited = min(max(steer, -EGO_MAX_STEER_RAD), EGO_MAX_STEER_RAD)
        rows.append([-REAR_M, 0.0, 0.0, one.speed_mps, one.acceleration_mps2, limited, one.yaw_rate_rps])
    return np.array(rows, float).reshape(-1, 7)


def _motion(states: np.ndarray, start: Start) -> Motion:
    """The drive of one car from its states [T + 1, 7] in its own frame."""
    yaws = states[:, 2]
    centres = states[:, :2] + REAR_M * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    poses = to_map(np.concatenate([centres, yaws[:, None]], axis=1), start.pose)
    return Motion(poses, states[:, 3], states[:, 4], states[:, 6])


def profiles(reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speed and bend (1/m) at the beginning of each of the T stretches of ``reference`` [B, T + 1, 3], each [B, T].

    Speeds v minimise sum (d - v dt)^2 + 1e-4 sum (change of acceleration)^2, d the way of a stretch along its heading. Bends k minimise
    sum (turn - k v dt)^2 + 1e-2 sum (rate of k)^2.
    """
    steps = np.diff(reference, axis=1)
    yaws = reference[:, :-1, 2]
    along = steps[..., 0] * np.cos(yaws) + steps[..., 1] * np.sin(yaws)
    speeds = along @ _speed_fit(along.shape[1]).T
    turns = wrap_angle(steps[..., 2])
    count = turns.shape[1]
    unit = np.tri(count) * STEP_S
    unit[:, 0] = 1.0  # bend at the beginning, then its rates
    matrix = unit[None] * (speeds * STEP_S)[:, :, None]
    penalty = np.full(count, BEND_RATE_PENALTY)
    penalty[0] = BEND_PENALTY
    normal = np.einsum("bij,bik->bjk", matrix, matrix) + np.diag(penalty)
    found = np.linalg.solve(normal, np.einsum("bij,bi->bj", matrix, turns)[..., None])[..., 0]
    return speeds, found @ unit.T


@lru_cache(maxsize=16)
def _speed_fit(count: int) -> np.ndarray:
    """Matrix [count, count] from the ways of the stretches to their speeds."""
    unit = np.tri(count, k=-1) * STEP_S
    unit = np.concatenate([np.ones((count, 1)), unit[:, :-1]], axis=1)  # speed at the beginning, then accelerations
    change = np.zeros((max(count - 2, 0), count))
    for row in range(len(change)):
        change[row, row + 1:row + 3] = -1.0, 1.0
    matrix = unit * STEP_S
    return unit @ np.linalg.solve(matrix.T @ matrix + JERK_PENALTY * change.T @ change, matrix.T)


def _commands(states: np.ndarray, reference: np.ndarray, speeds: np.ndarray, bends: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The acceleration and the steering rate [B] that the tracker asks for at ``step``."""
    last = speeds.shape[1] - 1
    wanted, speed = speeds[:, min(step + AHEAD_STEPS, last)], states[:, 3]
    ahead_s = AHEAD_STEPS * STEP_S
    acceleration = -ahead_s * SPEED_WEIGHT * (speed - wanted) / (ahead_s**2 * SPEED_WEIGHT + ACCELERATION_WEIGHT)
    upcoming = bends[:, np.minimum(step + np.arange(AHEAD_STEPS), last)]
    rate = _steer_rate(states, reference, acceleration, upcoming)
    standing = (wanted <= STANDING_MPS) & (speed <= STANDING_MPS)
    return np.where(standing, STANDING_GAIN * (wanted - speed), acceleration), np.where(standing, 0.0, rate)


def _steer_rate(states: np.ndarray, reference: np.ndarray, acceleration: np.ndarray, bends: np.ndarray) -> np.ndarray:
    """The steering rate [B], held over the look-ahead, that weighs offset and heading error at its end against itself.

    The linear lateral model is run twice: from the present errors without steering rate, and from nothing at a rate of 1.
    """
    away, yaw = states[:, :2] - reference[:, :2], reference[:, 2]
    offset = away[:, 1] * np.cos(yaw) - away[:, 0] * np.sin(yaw)
    heading, steer, speed = wrap_angle(states[:, 2] - yaw), states[:, 5].copy(), states[:, 3].copy()
    unit_offset = unit_heading = unit_steer = np.zeros(len(states))
    for ahead in range(AHEAD_STEPS):
        way = speed * STEP_S
        offset, heading = offset + way * heading, heading + way * (steer / EGO_WHEELBASE_M - bends[:, ahead])
        unit_offset, unit_heading = unit_offset + way * unit_heading, unit_heading + way * unit_steer / EGO_WHEELBASE_M
        unit_steer = unit_steer + STEP_S
        speed = speed + acceleration * STEP_S
    pull = OFFSET_WEIGHT * unit_offset * offset + HEADING_WEIGHT * unit_heading * wrap_angle(heading)
    return -pull / (OFFSET_WEIGHT * unit_offset**2 + HEADING_WEIGHT * unit_heading**2 + STEER_RATE_WEIGHT)


def _advance(states: np.ndarray, acceleration: np.ndarray, steer_rate: np.ndarray) -> np.ndarray:
    """The states one step later."""
    x, y, yaw, speed, before, steer, _ = states.T
    pushed = before + STEP_S / (STEP_S + ACCELERATION_LAG_S) * (acceleration - before)
    turned = steer + STEP_S / (STEP_S + STEER_LAG_S) * STEP_S * steer_rate
    turned = np.clip(turned, -EGO_MAX_STEER_RAD, EGO_MAX_STEER_RAD)
    faster = speed + STEP_S * pushed
    return np.stack([x + STEP_S * speed * np.cos(yaw), y + STEP_S * speed * np.sin(yaw),
                     yaw + STEP_S * speed * np.tan(steer) / EGO_WHEELBASE_M, faster, pushed, turned,
                     faster * np.tan(turned) / EGO_WHEELBASE_M], axis=1)
