"""Open-loop metrics: how far planned positions lie from where the recorded car went, whether a plan would touch a
recorded actor, and how far its steering is from the recorded driver's. Pure functions on arrays.

Open-loop error is not driving quality; it belongs next to a closed-loop score, never alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.core.timeline import LONGEST_GAP_NS
from kd_planner_ros.geometry.boxes import overlap_one
from kd_planner_ros.geometry.frames import rotation_2d

HORIZONS_S = (0.5, 1.0, 1.5, 2.0)
HALF_TICK_NS = 25_000_000
SAME_TIME_NS = 60_000_000
"""Recorded actors count for a time at most this far from their stamp."""


@dataclass(frozen=True)
class Recorded:
    """What a recording says happened, in ``map``; row order is time order.

    ``stamps_ns`` int64 [N]; ``poses`` [N, 3] (x, y, yaw) of the ego; ``steers`` [N] of its driver, share of full lock,
    positive left, NaN where unknown. ``actors``: at each of ``actor_stamps_ns`` int64 [A] the boxes [M, 5] (x, y, yaw,
    length, width) of all others, and in ``kinds`` [M] what each is (ActorKind); A may be 0. ``car``: the ego's box.
    """

    stamps_ns: np.ndarray
    poses: np.ndarray
    steers: np.ndarray
    actor_stamps_ns: np.ndarray
    actors: Sequence[np.ndarray]
    kinds: Sequence[np.ndarray] = ()
    car: Car = Car()

    def actor_row(self, stamp_ns: int) -> int | None:
        """The index in ``actors`` nearest to ``stamp_ns``, at most ``SAME_TIME_NS`` away; None where there is none."""
        if len(self.actors) == 0:
            return None
        nearest = int(np.abs(self.actor_stamps_ns - stamp_ns).argmin())
        return nearest if abs(int(self.actor_stamps_ns[nearest]) - stamp_ns) <= SAME_TIME_NS else None

    def row(self, stamp_ns: int) -> int | None:
        """The row at ``stamp_ns``, at most half a tick of 20 Hz away; None where there is none."""
        if len(self.stamps_ns) == 0:
            return None
        nearest = int(np.abs(self.stamps_ns - stamp_ns).argmin())
        return nearest if abs(int(self.stamps_ns[nearest]) - stamp_ns) <= HALF_TICK_NS else None


def positions_at(recorded: Recorded, stamps_ns: np.ndarray) -> np.ndarray:
    """Where the ego was [K, 2] in ``map`` at ``stamps_ns`` [K]: linear between records; NaN outside or in a gap."""
    stamps_ns = np.asarray(stamps_ns, np.int64)
    after = np.searchsorted(recorded.stamps_ns, stamps_ns, side="left")
    last = len(recorded.stamps_ns) - 1
    inside = (after <= last) & ((after > 0) | (stamps_ns == recorded.stamps_ns[0]))
    after, before = np.clip(after, 0, last), np.clip(after - 1, 0, last)
    gap = recorded.stamps_ns[after] - recorded.stamps_ns[before]
    exact = recorded.stamps_ns[after] == stamps_ns
    share = np.where(gap > 0, (stamps_ns - recorded.stamps_ns[before]) / np.maximum(gap, 1), 1.0)[:, None]
    between = recorded.poses[before, :2] * (1 - share) + recorded.poses[after, :2] * share
    found = np.where(exact[:, None], recorded.poses[after, :2], between)
    return np.where((inside & (exact | (gap <= LONGEST_GAP_NS)))[:, None], found, np.nan)


def planned_poses(plan: Trajectory, pose: np.ndarray, horizons_s: Sequence[float] = HORIZONS_S) -> np.ndarray:
    """Where ``plan`` wants the car [K, 3] (x, y, yaw) in ``map`` at ``horizons_s`` [K]; NaN beyond its last time.

    ``pose`` [3] is the car's at the plan's stamp. Positions are linear between waypoints, from the car itself at
    time 0; the heading is that of the stretch that leads there, and the car's own where it hardly moves (< 0.1 m).
    """
    times = np.concatenate([[0.0], plan.times_s])
    points = np.vstack([[0.0, 0.0], np.asarray(plan.points, float).reshape(-1, 2)])
    found = np.full((len(horizons_s), 3), np.nan)
    for row, horizon in enumerate(horizons_s):
        if horizon > times[-1] + 1e-6:
            continue
        here = np.array([np.interp(horizon, times, points[:, axis]) for axis in (0, 1)])
        stretch = here - points[max(int(np.searchsorted(times, horizon - 1e-6)) - 1, 0)]
        heading = np.arctan2(stretch[1], stretch[0]) if np.hypot(*stretch) > 0.1 else 0.0
        found[row] = *(rotation_2d(pose[2]) @ here + pose[:2]), pose[2] + heading
    return found


def score_plans(plans: Sequence[Trajectory], steers: Sequence[float | None], recorded: Recorded,
                horizons_s: Sequence[float] = HORIZONS_S, candidates: Sequence[np.ndarray | None] = ()) -> dict:
    """Open-loop figures of ``plans``, JSON-ready.

    Args:
        plans: trajectories; those whose stamp has no row in ``recorded`` are left out and counted as ``unmatched``.
        steers: the steering each plan led to, share of full lock, positive left; None where there is none.
        horizons_s: increasing times after the stamp; a plan that ends earlier does not count at that horizon.
        candidates: of each plan the alternatives [K, T, 2] at the trajectory's own times, None where it has none.

    Returns:
        ``l2_m`` {horizon: mean distance in metres at that time}, ``collision_rate`` {horizon: share of plans whose
        car box touches a recorded actor at that time or an earlier horizon}, ``l2_mean_m``, ``steer_mae`` (share of
        full lock) over ``steered`` plans, ``plans``, ``unmatched``, and ``counted`` {horizon: [plans behind l2, plans behind collisions]}.
        ``min_ade_m``: mean over ``min_ade_plans`` plans of the best candidate's mean distance (``min_ade``). A figure without a
        single plan behind it is None.

    Source: ST-P3 / UniAD open-loop protocol in the form of values AT each horizon, not averages up to it.
    """
    several = candidates or [None] * len(plans)
    matched = [(plan, steer, others, row) for plan, steer, others in zip(plans, steers, several, strict=True)
               if (row := recorded.row(int(plan.stamp_ns))) is not None]
    distances = np.full((len(matched), len(horizons_s)), np.nan)
    hits = np.full((len(matched), len(horizons_s)), np.nan)
    offsets = np.round(np.asarray(horizons_s) * 1e9).astype(np.int64)
    for index, (plan, _, _, row) in enumerate(matched):
        wanted = planned_poses(plan, recorded.poses[row], horizons_s)
        stamps = int(plan.stamp_ns) + offsets
        distances[index] = np.linalg.norm(wanted[:, :2] - positions_at(recorded, stamps), axis=1)
        hits[index] = _hits(wanted, stamps, recorded)
    best = np.array([min_ade(plan, others, recorded, row) for plan, _, others, row in matched if others is not None], float)
    hits = np.where(np.isfinite(hits), np.fmax.accumulate(np.nan_to_num(hits), axis=1), np.nan)
    errors = [abs(steer - recorded.steers[row]) for _, steer, _, row in matched
              if steer is not None and np.isfinite(recorded.steers[row])]
    counts = {"plans": len(plans), "unmatched": len(plans) - len(matched), "steered": len(errors),
              "min_ade_plans": int(np.isfinite(best).sum())}
    return _report(counts, distances, hits, horizons_s) | {"steer_mae": _mean(np.asarray(errors, float)), "min_ade_m": _mean(best)}


def _report(counts: dict[str, int], distances: np.ndarray, hits: np.ndarray, horizons_s: Sequence[float]) -> dict:
    """``counts`` and the figures at each of ``horizons_s`` [K] of ``distances`` and ``hits`` [plans, K]."""
    names = [f"{horizon:g}" for horizon in horizons_s]
    l2 = [_mean(distances[:, k]) for k in range(len(names))]
    return {
        **counts, "l2_m": dict(zip(names, l2, strict=True)),
        "l2_mean_m": _mean(np.array([value for value in l2 if value is not None])),
        "collision_rate": {name: _mean(hits[:, k]) for k, name in enumerate(names)},
        "counted": {name: [int(np.isfinite(distances[:, k]).sum()), int(np.isfinite(hits[:, k]).sum())]
                    for k, name in enumerate(names)}}


def min_ade(plan: Trajectory, candidates: np.ndarray, recorded: Recorded, row: int) -> float:
    """The smallest mean distance in metres of the candidates [K, T, 2] (``base_link``, at the plan's ``times_s``) to where the car
    went, over those of the times at which that is known; NaN where none is. ``row`` is the recorded row of the plan's stamp.

    Source: minADE of the Argoverse and nuScenes prediction benchmarks.
    """
    candidates = np.asarray(candidates, float).reshape(len(candidates), -1, 2)
    x, y, yaw = recorded.poses[row]
    went = positions_at(recorded, int(plan.stamp_ns) + np.round(np.asarray(plan.times_s) * 1e9).astype(np.int64))
    errors = np.linalg.norm(candidates @ rotation_2d(yaw).T + (x, y) - went, axis=2)
    known = np.isfinite(went).all(1)
    return float(errors[:, known].mean(1).min()) if known.any() and len(errors) else math.nan


def _hits(wanted: np.ndarray, stamps_ns: np.ndarray, recorded: Recorded) -> np.ndarray:
    """1 or 0 [K] whether the car's box at ``wanted`` [K, 3] touches an actor; NaN where no actors were recorded then."""
    found = np.full(len(wanted), np.nan)
    for k, (pose, stamp) in enumerate(zip(wanted, stamps_ns, strict=True)):
        nearest = recorded.actor_row(int(stamp))
        if nearest is not None and np.isfinite(pose).all():
            others = np.asarray(recorded.actors[nearest], float).reshape(-1, 5)
            found[k] = float(len(others) > 0 and overlap_one(recorded.car.boxes(pose), others).any())
    return found


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
