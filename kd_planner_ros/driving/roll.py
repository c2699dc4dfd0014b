"""Rolls a plan forward from its stamp to now, with the motion of the car between the two stamps. Pure functions and one small memory."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from kd_planner_ros.core.ego import EgoState, NavigationGoal, Pose
from kd_planner_ros.core.outputs import Detections
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.geometry.frames import from_base, rotation_2d, to_base, wrap_angle

TRACK_STATES = 256  # 12.8 s at 20 Hz, longer than any plan is followed
MIN_POINTS = 2


def moved(ego: EgoState, dt_s: float) -> Pose:
    """Pose in ``map`` of a car that keeps its speed and yaw rate for ``dt_s`` seconds (negative: where it came from)."""
    pose, turn = ego.pose, ego.yaw_rate_rps * dt_s
    heading = pose.yaw + turn / 2.0
    c, s = math.cos(heading), math.sin(heading)
    return replace(pose, x=pose.x + (ego.speed_mps * c - ego.lateral_mps * s) * dt_s,
                   y=pose.y + (ego.speed_mps * s + ego.lateral_mps * c) * dt_s, yaw=pose.yaw + turn)


class EgoTrack:
    """The last ego states. ``pose_at`` gives the pose of a state exactly, and moves the nearest earlier one on in between."""

    def __init__(self) -> None:
        self._states: deque[EgoState] = deque(maxlen=TRACK_STATES)

    def reset(self) -> None:
        """Forget all states."""
        self._states.clear()

    def add(self, ego: EgoState) -> None:
        """Append ``ego``. A state that is not finite is left out; one from before the newest begins the track anew."""
        if not np.isfinite([ego.pose.x, ego.pose.y, ego.pose.yaw, ego.speed_mps]).all():
            return
        if self._states and ego.stamp_ns < self._states[-1].stamp_ns:
            self._states.clear()
        if self._states and ego.stamp_ns == self._states[-1].stamp_ns:
            self._states.pop()
        self._states.append(ego)

    def pose_at(self, stamp_ns: int) -> Pose | None:
        """Pose in ``map`` at ``stamp_ns``; None while no state is known."""
        if not self._states:
            return None
        known = next((ego for ego in reversed(self._states) if ego.stamp_ns <= stamp_ns), self._states[0])
        return known.pose if known.stamp_ns == stamp_ns else moved(known, (stamp_ns - known.stamp_ns) * 1e-9)


def roll_forward(plan: Plan, then: Pose, now: Pose, now_ns: int, timed: bool = True) -> Plan | None:
    """``plan`` as it looks from ``now``: the same places, seen from the car's present pose, with the passed time dropped.

    The trajectory's stamp becomes ``now_ns``, ``times_s`` count from there; the plan's own stamp stays. Road users are
    moved on at their own speed. A plan whose trajectory is stamped ``now_ns`` or later is given back as it is.

    Args:
        then, now: poses of the car in ``map`` at the trajectory's stamp and at ``now_ns``.
        timed: drop the points whose time has passed. False (a path without times): drop the leading ones that the car
            has passed since.

    Returns:
        The plan, or None where fewer than two points lie in the future.

    Example: 4 m/s straight ahead, points at 2, 4, 6, 8 m, one every 0.5 s; 0.5 s and 2 m later: 2, 4, 6 m at 0.5, 1, 1.5 s.

    Source: openpilot ``selfdrive/controls/lib/drive_helpers.py`` (``get_lag_adjusted_curvature``): the plan is read at the
    present time, not at its own.
    """
    age_s = (now_ns - plan.trajectory.stamp_ns) * 1e-9
    if age_s <= 0.0:
        return plan
    before, times_s = np.asarray(plan.trajectory.points, float), np.asarray(plan.trajectory.times_s, float)
    points = _seen_from(before, then, now)
    if timed:
        times_s = times_s - age_s
        first = int(np.searchsorted(times_s, 1e-9, side="right"))
    else:
        passed = (before[:, 0] > 0.0) & (points[:, 0] <= 0.0)
        first = len(points) if passed.all() else int(passed.argmin())
        times_s = times_s - (times_s[first - 1] if first else 0.0)
    if len(points) - first < MIN_POINTS:
        return None
    goal = NavigationGoal(_seen_from(np.asarray(plan.goal.target_point, float), then, now), plan.goal.command)
    candidates = None if plan.candidates is None else _seen_from(np.asarray(plan.candidates, float), then, now)
    if candidates is not None and candidates.shape[1] == len(points):
        candidates = candidates[:, first:]
    lines = plan.lines and replace(plan.lines, points=_seen_from(plan.lines.points, then, now).astype(np.float32))
    return replace(plan, trajectory=Trajectory(now_ns, points[first:], times_s[first:]), goal=goal, candidates=candidates,
                   detections=plan.detections and _moved_detections(plan.detections, then, now, age_s), lines=lines)


def _seen_from(points: np.ndarray, then: Pose, now: Pose) -> np.ndarray:
    """Points [..., 2] of ``base_link`` at ``then`` in ``base_link`` at ``now``."""
    return to_base(from_base(points, then), now)


def _moved_detections(seen: Detections, then: Pose, now: Pose, age_s: float) -> Detections:
    """``seen`` after ``age_s`` seconds at its own velocity (unknown: standing), in ``base_link`` at ``now``. Forecasts lose
    the moments that have passed; where none is left there is no forecast."""
    rows, out = seen.rows, seen.rows.copy()
    velocity = np.stack([rows["vx"], rows["vy"]], axis=-1)
    places = np.stack([rows["x"], rows["y"]], axis=-1) + np.nan_to_num(velocity) * age_s
    out["x"], out["y"] = _seen_from(places, then, now).reshape(-1, 2).T
    out["vx"], out["vy"] = (velocity @ rotation_2d(now.yaw - then.yaw)).T
    out["yaw"] = wrap_angle(rows["yaw"] + then.yaw - now.yaw)
    if seen.forecasts is None:
        return Detections(out)
    times_s = np.asarray(seen.forecast_times_s, float) - age_s
    left = times_s > 0.0
    if not left.any():
        return Detections(out)
    return Detections(out, _seen_from(seen.forecasts[:, :, left], then, now).astype(np.float32), seen.forecast_scores, times_s[left])
