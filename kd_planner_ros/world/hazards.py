"""What can make the ego brake: the vehicle ahead (car following), and paths that would meet (prediction)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.geometry.boxes import overlap
from kd_planner_ros.world.actor_view import ActorView
from kd_planner_ros.world.drive_path import STEP_M, DrivePath
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M

HALF_LENGTH_M, HALF_WIDTH_M = 0.5 * EGO_LENGTH_M, 0.5 * EGO_WIDTH_M
TIMES_S = np.arange(1, 19) * 0.3
"""Instants of the forecast [T]."""

GAP_M, HEADWAY_S, COMFORT_MPS2, ACCEL_MPS2 = 2.5, 1.1, 2.0, 2.0
LOOK_AHEAD_M = 45.0


@dataclass(frozen=True)
class Hazard:
    """Why the ego slows down: ``kind`` is lead | crossing | pedestrian | signal | stop; distance to its place in metres
    along the route; ``actor_id`` -1 for lights and signs."""

    kind: str
    distance_m: float
    actor_id: int = -1


def reachable(actors: ActorView, path: DrivePath, arc_m: float, speed_mps: float) -> np.ndarray:
    """Mask [K] of the actors that could meet the ego on its way within the forecast, or stand in it further ahead."""
    points = path.points[int(arc_m / STEP_M):int((arc_m + max(speed_mps, 5.0) * TIMES_S[-1] + 12.0) / STEP_M):8]
    gap_sq = ((actors.x[:, None] - points[:, 0]) ** 2 + (actors.y[:, None] - points[:, 1]) ** 2).min(axis=1)
    return gap_sq < (np.minimum(actors.speed, 16.0) * TIMES_S[-1] + 8.0 + 0.5 * actors.length) ** 2


def lead_limit(path: DrivePath, arc_m: float, speed_mps: float, cruise_mps: float,
               actors: ActorView) -> tuple[float, Hazard | None, np.ndarray]:
    """Acceleration of the Intelligent Driver Model behind the nearest actor in the ego's swept corridor, that actor, and
    a mask [K] of the actors this rule takes care of: those in the corridor that stand or go the same way.

    Actors that cross it quickly are left to the forecast.
    """
    if len(actors.x) == 0:
        return np.inf, None, np.zeros(0, bool)
    first = max(0, int(arc_m / STEP_M))
    stretch = slice(first, min(first + int(LOOK_AHEAD_M / STEP_M), len(path.points)), 2)
    points, yaws, arcs = path.points[stretch], path.yaws[stretch], path.arc_m[stretch]
    dx, dy = actors.x[:, None] - points[:, 0], actors.y[:, None] - points[:, 1]
    c, s = np.cos(yaws), np.sin(yaws)
    along, aside = dx * c + dy * s, np.abs(dy * c - dx * s)
    turn = actors.yaw[:, None] - yaws
    cos_turn = np.cos(turn)
    cos, sin = np.abs(cos_turn), np.abs(np.sin(turn))
    long_half = 0.5 * (actors.length[:, None] * cos + actors.width[:, None] * sin)
    wide_half = 0.5 * (actors.length[:, None] * sin + actors.width[:, None] * cos)
    forward = actors.vx[:, None] * c + actors.vy[:, None] * s
    sideways = np.abs(actors.vy[:, None] * c - actors.vx[:, None] * s)
    inside = (np.abs(along) < 0.6) & (aside < HALF_WIDTH_M + wide_half + 0.25) & ((sideways < 1.0) | (forward > sideways))
    # The nearest path point may lie within the actor's own length: its rear is what counts.
    gap = np.where(inside, arcs - arc_m - HALF_LENGTH_M - long_half, np.inf)
    gap[:, arcs - arc_m < 0.5] = np.inf
    followed = (np.isfinite(gap) & ((cos_turn > 0.7) | (actors.speed[:, None] < 0.3))).any(axis=1)
    nearest = np.unravel_index(int(gap.argmin()), gap.shape)
    distance = float(gap[nearest])
    if not np.isfinite(distance):
        return np.inf, None, followed
    limit = follow(distance, speed_mps, max(float(forward[nearest]), 0.0), cruise_mps)
    kind = "pedestrian" if actors.pedestrian[nearest[0]] else "lead"
    return limit, Hazard(kind, distance, int(actors.id[nearest[0]])), followed


def follow(gap_m: float, speed_mps: float, lead_mps: float, cruise_mps: float) -> float:
    """Acceleration in m/s^2 of the Intelligent Driver Model ``gap_m`` behind a leader that goes at ``lead_mps``.

    Source: Treiber, Hennecke, Helbing, Phys. Rev. E 62 (2000) 1805, eq. 3.
    """
    if gap_m <= 0.3:
        return -8.0
    closing = speed_mps - lead_mps
    wanted = GAP_M + max(0.0, speed_mps * HEADWAY_S + speed_mps * closing / (2.0 * np.sqrt(ACCEL_MPS2 * COMFORT_MPS2)))
    return float(ACCEL_MPS2 * (1.0 - (speed_mps / cruise_mps) ** 4 - (wanted / gap_m) ** 2))


def roll_out(path: DrivePath, arc_m: float, offset_m: float, speed_mps: float, accel_mps2: np.ndarray,
             top_mps: float) -> tuple[np.ndarray, np.ndarray]:
    """Ego poses [C, T, 3] and speeds [C, T] along the route at constant accelerations ``accel_mps2`` [C], between
    standing and ``top_mps``; the present lateral offset fades over 2 s."""
    a, t = np.asarray(accel_mps2, float)[:, None], TIMES_S[None]
    until = np.where(a < 0.0, speed_mps / np.maximum(-a, 1e-6), np.maximum(top_mps - speed_mps, 0.0) / np.maximum(a, 1e-6))
    under = np.minimum(t, until)
    final = np.clip(speed_mps + a * until, 0.0, max(top_mps, speed_mps))
    distance = speed_mps * under + 0.5 * a * under**2 + (t - under) * np.where(a < 0.0, 0.0, final)
    pose = path.at(arc_m + distance)
    fade = offset_m * np.clip(1.0 - t / 2.0, 0.0, 1.0)
    pose[..., 0] -= np.sin(pose[..., 2]) * fade
    pose[..., 1] += np.cos(pose[..., 2]) * fade
    return pose, np.clip(speed_mps + a * t, 0.0, max(top_mps, speed_mps))


def conflicts(ego: np.ndarray, others: np.ndarray, pedestrian: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """Whether the ego's poses ``ego`` [C, T, 3] meet the forecast boxes ``others`` [T, K, 5]: bool [C, T, K].

    Both sides are widened, and more so later; ``pedestrian`` [K] get 0.8 m around them. ``margin`` scales the widening.
    """
    box = np.empty((*ego.shape[:2], 1, 5))
    box[..., :3] = ego[:, :, None]
    box[..., 3], box[..., 4] = EGO_LENGTH_M + 0.8 * margin, EGO_WIDTH_M + 0.3 * margin
    wide = others.copy()
    grow = margin * TIMES_S[:, None]
    wide[..., 3] += np.where(pedestrian, 1.0 * margin, 0.4 * grow)
    wide[..., 4] += np.where(pedestrian, 1.0 * margin, 0.1 * margin + 0.05 * grow)
    return overlap(box, wide[None])


def behind(ego: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a box of ``others`` [T, K, 5] lies behind the ego's middle and points the same way: bool [C, T, K].

    Such a contact is a rear-end one, and the follower's to avoid.
    """
    dx, dy = others[None, ..., 0] - ego[..., None, 0], others[None, ..., 1] - ego[..., None, 1]
    yaw = ego[..., None, 2]
    return ((dx * np.cos(yaw) + dy * np.sin(yaw) < -1.0) & (np.cos(others[None, ..., 2] - yaw) > 0.8))
