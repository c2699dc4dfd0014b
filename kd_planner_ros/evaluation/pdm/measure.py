"""Scores of every planner in every scene, over one horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.evaluation.pdm.collisions import without_touching
from kd_planner_ros.evaluation.pdm.drives import DriveScenes, Plans
from kd_planner_ros.evaluation.pdm.motion import boxes_at, extended, from_map, poses_of, reaches
from kd_planner_ros.evaluation.pdm.scene import Scene
from kd_planner_ros.evaluation.pdm.score import Drive, compare, judge
from kd_planner_ros.evaluation.pdm.tracker import simulate

Key = tuple[str, int]
"""(name of the drive, stamp of the scene)."""
BEYOND = "beyond"
"""Beside the scores: 1 where the car left what the scene holds of the road."""
Scores = Mapping[Key, Mapping[str, float]]


@dataclass(frozen=True)
class Judged:
    """The scenes over one horizon with the recorded driver's drive in each."""

    steps: int
    scenes: Mapping[Key, Scene]
    befores: Mapping[Key, int]
    drivers: Mapping[Key, Drive]


def judge_drivers(drives: Sequence[DriveScenes], steps: int, ignore_touching: bool = False) -> Judged:
    """Simulate and judge the recorded driver in every scene over ``steps`` steps; ``ignore_touching``: without those who touch the car at
    the beginning."""
    scenes = {(drive.name, stamp): _until(scene, steps, ignore_touching) for drive in drives for stamp, scene in drive.found.scenes.items()}
    befores = {(drive.name, stamp): before for drive in drives for stamp, before in drive.found.befores.items()}
    plans = {key: (from_map(scene.driver, scene.start.pose), from_map(scene.driver_before, scene.before.pose))
             for key, scene in scenes.items()}
    return Judged(steps, scenes, befores, _drives(plans, scenes))


def score_driver(judged: Judged) -> Scores:
    """The recorded driver's own scores."""
    return {key: compare(drive, drive) for key, drive in judged.drivers.items()}


def score_plans(judged: Judged, plans: Mapping[str, Plans], extend: bool) -> Scores:
    """The scores of a planner in every scene in which it has this plan and the one before, and both reach to the horizon; ``BEYOND`` is 1
    where the car leaves what the scene holds of the road.

    Args:
        plans: by the name of the drive.
        extend: lengthen plans that end before the horizon at the speed of their last stretch.
    """
    found: dict[Key, tuple[np.ndarray, np.ndarray]] = {}
    for key in judged.scenes:
        name, stamp = key
        pair = [plans.get(name, {}).get(one) for one in (stamp, judged.befores[key])]
        poses = [_poses(one, judged.steps, extend) for one in pair if one is not None]
        if len(poses) == 2 and poses[0] is not None and poses[1] is not None:
            found[key] = poses[0], poses[1]
    return {key: {**compare(drive, judged.drivers[key]), BEYOND: _beyond(drive, judged.scenes[key])}
            for key, drive in _drives(found, judged.scenes).items()}


def _beyond(drive: Drive, scene: Scene) -> float:
    return float(np.abs(drive.motion.poses[:, :2] - scene.start.pose[:2]).max() > scene.reach_m)


def _poses(plan: Trajectory, steps: int, extend: bool) -> np.ndarray | None:
    if extend and len(plan.times_s) and np.isfinite(plan.points).all():
        plan = extended(plan, steps)
    return poses_of(plan, steps) if reaches(plan, steps) else None


def _drives(plans: Mapping[Key, tuple[np.ndarray, np.ndarray]], scenes: Mapping[Key, Scene]) -> dict[Key, Drive]:
    """The judged drives of ``plans``: of each scene the poses planned at its beginning, and those of the plan before."""
    if not plans:
        return {}
    keys = list(plans)
    motions = simulate(np.stack([plans[key][0] for key in keys]), [scenes[key].start for key in keys])
    befores = simulate(np.stack([plans[key][1] for key in keys]), [scenes[key].before for key in keys])
    return {key: judge(motion, before, scenes[key]) for key, motion, before in zip(keys, motions, befores, strict=True)}


def _until(scene: Scene, steps: int, ignore_touching: bool) -> Scene:
    """``scene`` over its first ``steps`` steps."""
    end, lights = steps + 1, scene.lights
    others = without_touching(scene.others, boxes_at(scene.start.pose[None])[0]) if ignore_touching else scene.others
    return replace(scene, driver=scene.driver[:end], driver_before=scene.driver_before[:end], lights=replace(lights, red=lights.red[:end]),
                   others=replace(others, boxes=others.boxes[:end], speeds=others.speeds[:end]))
