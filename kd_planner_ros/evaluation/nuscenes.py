"""Open-loop L2 and collision rate as nuScenes' tables have them, by the VAD and by the UniAD convention. Pure functions on arrays.

Both start from the same numbers at 0.5, 1.0 ... 3.0 s. VAD (and ST-P3) gives for k seconds the mean of the steps up to k, UniAD the value
at k; UniAD counts collisions with vehicles alone, VAD with pedestrians too. Figures of the two are never to be mixed.

Source: SparseDrive's ``planning_eval.py``, which DistillDrive uses: polygons in place of the rasters of UniAD and VAD, the car's heading
from its trajectory, steps at which the recorded car itself collides left out. Car and boxes are those of the recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.evaluation.metrics import Recorded, positions_at
from kd_planner_ros.geometry.boxes import overlap_one
from kd_planner_ros.geometry.frames import rotation_2d

STEPS_S = 0.5 * np.arange(1, 7)
SECONDS = ("1", "2", "3")
REACH_S = 1e-6
STILL_M = 0.5
"""A trajectory that goes less far keeps the heading of its beginning."""
STEP_M = 1e-6
"""A step shorter than this has no direction."""
TURN_M = 2.0
"""A recorded car that is so far aside after 3 s turned (nuScenes' command)."""
VEHICLES = (ActorKind.CAR, ActorKind.TRUCK, ActorKind.BUS, ActorKind.MOTORCYCLE, ActorKind.BICYCLE)
TURNS = ("straight", "left", "right")


@dataclass(frozen=True)
class Steps:
    """N plans at the six ``STEPS_S``.

    ``errors`` [N, 6]: distance to the recorded car in metres; ``touches`` and ``touches_vehicle`` [N, 6]: 1 where the planned car touches
    a road user or object, or a vehicle, else 0. NaN where a plan ends earlier, nothing was recorded, or the recorded car touches one too.
    ``turns`` [N]: index in ``TURNS``. ``skipped``: plans without 3 s of recorded future.
    """

    errors: np.ndarray
    touches: np.ndarray
    touches_vehicle: np.ndarray
    turns: np.ndarray
    skipped: int = 0


def steps_of(plans: Sequence[Trajectory], recorded: Recorded) -> Steps:
    """What becomes of ``plans`` of the recorded car beside ``recorded``; those whose stamp has no row there are left out."""
    rows, skipped = [], 0
    for plan in plans:
        row = recorded.row(int(plan.stamp_ns))
        if row is None:
            continue
        stamps = int(plan.stamp_ns) + np.round(STEPS_S * 1e9).astype(np.int64)
        went = positions_at(recorded, stamps)
        if not np.isfinite(went).all():
            skipped += 1
            continue
        rows.append(_one(plan, went, stamps, recorded, recorded.poses[row], recorded.car))
    errors, touches, vehicles, turns = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Steps(*(np.array(one, float).reshape(-1, len(STEPS_S)) for one in (errors, touches, vehicles)), np.array(turns, int), skipped)


def _one(plan: Trajectory, went: np.ndarray, stamps: np.ndarray, recorded: Recorded, pose: np.ndarray, car: Car) -> tuple[Any, ...]:
    wanted = planned_places(plan) @ rotation_2d(pose[2]).T + pose[:2]
    hits, own = (_touches(places, pose, stamps, recorded, car) for places in (wanted, went))
    counted = [np.where(one == 1.0, np.nan, hit) for hit, one in zip(hits, own, strict=True)]
    aside = float(((went[-1] - pose[:2]) @ rotation_2d(pose[2]))[1])
    return np.linalg.norm(wanted - went, axis=1), *counted, 0 if abs(aside) < TURN_M else 1 if aside > 0.0 else 2


def planned_places(plan: Trajectory) -> np.ndarray:
    """Where ``plan`` wants the car [6, 2] in ``base_link`` at ``STEPS_S``, linear between waypoints; NaN beyond its last."""
    times, points = np.append(0.0, plan.times_s), np.vstack([[0.0, 0.0], np.asarray(plan.points, float).reshape(-1, 2)])
    found = np.stack([np.interp(STEPS_S, times, points[:, axis]) for axis in (0, 1)], axis=1)
    found[times[-1] + REACH_S < STEPS_S] = np.nan
    return found


def headings(places: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Heading [T] at each of ``places`` [T, 2] of a car that starts at ``pose`` [3]: central differences; that of the place before
    where they are shorter than ``STEP_M``, and that of ``pose`` where the known part goes less than ``STILL_M``. NaN beyond the last
    known place."""
    known = np.isfinite(places).all(axis=1)
    way = np.vstack([pose[:2], places[known]])
    found = np.full(len(places), np.nan)
    if len(way) < 2:
        return found
    step = np.gradient(way, axis=0)[1:]
    still = np.hypot(*(way[-1] - way[0])) < STILL_M
    moves = np.append(True, (np.hypot(*step.T) >= STEP_M) & (not still))
    ways = np.append(pose[2], np.arctan2(step[:, 1], step[:, 0]))
    found[known] = ways[np.maximum.accumulate(np.where(moves, np.arange(len(ways)), 0))][1:]
    return found


def _touches(places: np.ndarray, pose: np.ndarray, stamps: np.ndarray, recorded: Recorded, car: Car) -> tuple[np.ndarray, np.ndarray]:
    """(any, vehicles) 1 or 0 [6] whether ``car`` at ``places`` [6, 2] touches one; NaN where nothing is known."""
    found = np.full((2, len(places)), np.nan)
    for step, (place, yaw, stamp) in enumerate(zip(places, headings(places, pose), stamps.tolist(), strict=True)):
        row = recorded.actor_row(stamp)
        if row is None or not np.isfinite(place).all():
            continue
        others = np.asarray(recorded.actors[row], float).reshape(-1, 5)
        hit = overlap_one(car.boxes(np.array([*place, yaw])), others) if len(others) else np.zeros(0, bool)
        found[:, step] = hit.any(), hit[np.isin(recorded.kinds[row], VEHICLES)].any() if recorded.kinds else np.nan
    return found[0], found[1]


def figures(parts: Sequence[Steps]) -> dict[str, Any]:
    """The figures over all plans of ``parts``, JSON-ready.

    Returns:
        ``vad`` and ``uniad``, each with ``l2_m`` and ``collision_percent`` {"1", "2", "3", "avg"}, None where no plan reaches;
        ``plans`` {"1", "2", "3"} that reach so far; ``skipped``; ``by_turn`` {turn of the recorded car: VAD's ``l2_m`` and ``plans``},
        ``turning`` is left and right.
    """
    errors, touches, vehicles, turns = (np.concatenate([getattr(part, name) for part in parts])
                                        for name in ("errors", "touches", "touches_vehicle", "turns"))
    at = {"1": 1, "2": 3, "3": 5}
    chosen = {turn: turns == index for index, turn in enumerate(TURNS)} | {"turning": turns > 0}
    return {"vad": {"l2_m": _vad(errors), "collision_percent": _vad(100.0 * touches)},
            "uniad": {"l2_m": _uniad(errors), "collision_percent": _uniad(100.0 * vehicles)},
            "plans": {name: int(np.isfinite(errors[:, step]).sum()) for name, step in at.items()},
            "skipped": sum(part.skipped for part in parts),
            "by_turn": {turn: {"l2_m": _vad(errors[rows]), "plans": int(rows.sum())} for turn, rows in chosen.items()}}


def _vad(values: np.ndarray) -> dict[str, float | None]:
    """Means of the per-step means up to 1, 2 and 3 s, and the mean of these three."""
    steps = _per_step(values)
    return _with_average([_mean(steps[:count]) for count in (2, 4, 6)])


def _uniad(values: np.ndarray) -> dict[str, float | None]:
    """The per-step means at 1, 2 and 3 s, and the mean of these three."""
    steps = _per_step(values)
    return _with_average([steps[index] for index in (1, 3, 5)])


def _per_step(values: np.ndarray) -> list[float | None]:
    """The mean of each column that has a number."""
    return [float(column[known].mean()) if (known := np.isfinite(column)).any() else None for column in values.T]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _with_average(values: list[float | None]) -> Mapping[str, float | None]:
    return dict(zip(SECONDS, values, strict=True)) | {"avg": _mean(values)}


def table(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines of text."""
    lines = [f"{'nuScenes':<10} {'L2 m: 1 s':>10} {'2 s':>7} {'3 s':>7} {'avg':>7} {'touches %: 1 s':>15} {'2 s':>7} {'3 s':>7} {'avg':>7}"]
    for name in ("vad", "uniad"):
        row = [result[name][figure][second] for figure in ("l2_m", "collision_percent") for second in (*SECONDS, "avg")]
        widths = (10, 7, 7, 7, 15, 7, 7, 7)
        lines.append(f"{name.upper() if name == 'vad' else 'UniAD':<10} " + " ".join(
            f"{'-' if value is None else f'{value:.3f}':>{width}}" for value, width in zip(row, widths, strict=True)))
    counts = ", ".join(f"{count} to {name} s" for name, count in result["plans"].items())
    return [*lines, f"plans that reach: {counts}; {result['skipped']} without 3 s of recorded future"]
