"""What a planner's own perception found in a recording, beside the road users and lines that were there and in view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import Detections, MapLines
from kd_planner_ros.core.records import Plan
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.evaluation import detected_lines, detected_users
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.geometry.map_lines import lines_around
from kd_planner_ros.geometry.polyline import resample

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording

USERS_M = 50.0
"""Road users further away do not count, as nuScenes has it for cars."""
AHEAD_M, ASIDE_M = 30.0, 15.0
"""Lines count within this of the car, along its axes, as in MapTR."""
STEP_M = 0.5


@dataclass
class Detected:
    """The matches of every instant at which the planner gave detections, and of those at which it gave lines."""

    users: list[detected_users.Matches] = field(default_factory=list)
    lines: list[detected_lines.LineMatches] = field(default_factory=list)


def detected_in(recording: Recording, plans: Sequence[Plan], actors: Mapping[int, np.ndarray], poses: Mapping[int, Pose],
                rig: SensorRig) -> Detected:
    """What ``plans`` report in ``recording``, matched with the truth.

    Args:
        actors: the actor table ACTOR_DTYPE by stamp. poses: the car's pose in ``map`` by stamp. Plans of other stamps are left out.
        rig: only what lies in the field of view of one of its cameras counts, hidden or not; everything with a rig without cameras.
    """
    from kd_planner_ros.bags.drive import drive_of

    out = Detected()
    seen = [plan for plan in plans if plan.detections is not None and plan.stamp_ns in actors and plan.stamp_ns in poses]
    drive = drive_of(recording) if seen or any(plan.lines is not None for plan in plans) else None
    for plan in seen:
        if plan.detections is not None and drive is not None:
            truth = true_users(actors[plan.stamp_ns], poses[plan.stamp_ns], drive.tracks, plan, rig)
            out.users.append(detected_users.match(near_users(plan.detections, rig), truth))
    rows = drive.lines if drive is not None else None
    for plan in plans if rows is not None else ():
        if plan.lines is not None and plan.stamp_ns in poses:
            around = lines_around(rows, poses[plan.stamp_ns], float(np.hypot(AHEAD_M, ASIDE_M)), detected_lines.POINTS)
            there = detected_lines.for_the_car(cut_lines(around, rig))
            out.lines.append(detected_lines.match(cut_lines(plan.lines, rig), there))
    return out


def figures(parts: Sequence[Detected]) -> dict[str, Any]:
    """``users`` and ``lines`` of ``detected_users.figures`` and ``detected_lines.figures``, each only where the planner gives such."""
    users, lines = [one for part in parts for one in part.users], [one for part in parts for one in part.lines]
    return ({"users": detected_users.figures(users)} if users else {}) | ({"lines": detected_lines.figures(lines)} if lines else {})


def in_view(places: np.ndarray, rig: SensorRig) -> np.ndarray:
    """Whether each of ``places`` [..., 2] in ``base_link`` lies in the horizontal field of view of a camera of ``rig``: bool [...]."""
    if not rig.cameras:
        return np.ones(places.shape[:-1], bool)
    found = np.zeros(places.shape[:-1], bool)
    for camera in rig.cameras:
        ahead = to_base(places, camera.pose)
        found |= np.abs(np.arctan2(ahead[..., 1], ahead[..., 0])) <= np.radians(camera.fov_deg) / 2.0
    return found


def _counts(places: np.ndarray, rig: SensorRig) -> np.ndarray:
    return (np.hypot(places[:, 0], places[:, 1]) <= USERS_M) & in_view(places, rig)


def true_users(table: np.ndarray, pose: Pose, tracks: Tracks | None, plan: Plan, rig: SensorRig) -> detected_users.TrueUsers:
    """The road users of ``table`` that count, with their futures at the times of the plan's forecasts."""
    places = to_base(np.stack([table["x"], table["y"]], axis=1).astype(float), pose).reshape(-1, 2)
    kept = _counts(places, rig)
    times = plan.detections.forecast_times_s if plan.detections is not None else None
    futures = np.zeros((int(kept.sum()), 0, 2))
    if times is not None and tracks is not None:
        stamps = plan.stamp_ns + np.round(np.asarray(times) * 1e9).astype(np.int64)
        futures = to_base(tracks.states(table["id"][kept], stamps)[..., :2], pose)
    return detected_users.TrueUsers(places[kept], table["kind"][kept], futures)


def near_users(found: Detections, rig: SensorRig) -> Detections:
    """Those of ``found`` that count."""
    kept = _counts(np.stack([found.rows["x"], found.rows["y"]], axis=1), rig)
    forecasts, scores = (None if one is None else one[kept] for one in (found.forecasts, found.forecast_scores))
    return Detections(found.rows[kept], forecasts, scores, found.forecast_times_s)


def cut_lines(lines: MapLines, rig: SensorRig) -> MapLines:
    """The longest piece of each of ``lines`` that lies in the part of the map that counts; lines without one are left out."""
    pieces = [(row, piece) for row, line in enumerate(lines.points) if len(piece := _inside(np.asarray(line, float), rig)) > 1]
    rows = np.array([row for row, _ in pieces], int)
    longest = max((len(piece) for _, piece in pieces), default=0)
    points = np.full((len(pieces), longest, 2), np.nan, np.float32)
    for index, (_, piece) in enumerate(pieces):
        points[index, :len(piece)] = piece
    return MapLines(points, lines.kinds[rows], lines.scores[rows])


def _inside(line: np.ndarray, rig: SensorRig) -> np.ndarray:
    line = line[np.isfinite(line).all(axis=1)]
    if len(line) < 2:
        return line[:0]
    fine = resample(line, STEP_M)
    kept = (np.abs(fine[:, 0]) <= AHEAD_M) & (np.abs(fine[:, 1]) <= ASIDE_M) & in_view(fine, rig)
    edges = np.flatnonzero(np.diff(kept.astype(int))) + 1
    runs = [run for run, inside in zip(np.split(fine, edges), np.split(kept, edges), strict=True) if inside[0]]
    return max(runs, key=len, default=fine[:0])


def table(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines of text; none for a planner without a perception of its own."""
    lines = []
    for name, what in (("users", "road users"), ("lines", "map lines")):
        if one := result.get(name):
            parts = ", ".join(f"{kind} {value:.3f}" for kind, value in one["ap_by_kind"].items())
            lines.append(f"{what}: mAP {_number(one['map'])} ({parts or 'none there'}); {one['found']} found, {one['true']} there")
    if "users" in result and (ahead := result["users"]["forecasts"])["matched"]:
        lines.append(f"forecasts of {ahead['matched']} matched road users: minADE {_number(ahead['min_ade_m'])} m, "
                     f"minFDE {_number(ahead['min_fde_m'])} m, missed {_number(ahead['miss_rate'])}")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
