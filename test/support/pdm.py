"""Scenes for tests of PDMS: a street with a lane east along y = 0, which is the route, and an oncoming lane along y = 3.5."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.evaluation.pdm.motion import Motion, poses_of
from kd_planner_ros.evaluation.pdm.scene import HISTORY_STEPS, STEP_S, History, Lights, Others, Scene, Start, Street
from kd_planner_ros.evaluation.pdm.score import Drive, judge
from kd_planner_ros.evaluation.pdm.tracker import simulate
from kd_planner_ros.geometry.frames import rotation_2d

STEPS = 20
LANE_M = 3.5
NOBODY = Others(np.zeros((STEPS + 1, 0, 5)), np.zeros((STEPS + 1, 0)), np.zeros(0, bool))
NO_LIGHTS = Lights(np.zeros((0, 2, 2)), np.zeros(0), np.zeros((STEPS + 1, 0), bool))


def street(junction: tuple[float, float] | None = None) -> Street:
    """The two lanes, and a junction over both between two places along x."""
    outlines = () if junction is None else (np.array([[junction[0], -5], [junction[1], -5], [junction[1], 9], [junction[0], 9]], float),)
    return Street((np.array([[-50.0, 0.0], [200.0, 0.0]]), np.array([[200.0, LANE_M], [-50.0, LANE_M]])), np.full(2, LANE_M / 2.0),
                  np.array([True, False]), outlines)


def along(speed: float = 8.0, y: float = 0.0, yaw: float = 0.0, x: float = 0.0, steps: int = STEPS) -> Motion:
    """A drive at constant speed on a straight line."""
    way = speed * STEP_S * np.arange(steps + 1)
    poses = np.stack([x + way * math.cos(yaw), y + way * math.sin(yaw), np.full(steps + 1, yaw)], axis=1)
    return Motion(poses, np.full(steps + 1, speed), np.zeros(steps + 1), np.zeros(steps + 1))


def car(x: float, y: float = 0.0, speed: float = 0.0, yaw: float = 0.0, static: bool = False, steps: int = STEPS) -> Others:
    """One other, 4.5 m by 1.9 m, at constant speed."""
    way = speed * STEP_S * np.arange(steps + 1)
    boxes = np.stack([x + way * math.cos(yaw), y + way * math.sin(yaw), np.full(steps + 1, yaw), np.full(steps + 1, 4.5),
                      np.full(steps + 1, 1.9)], axis=1)
    return Others(boxes[:, None], np.full((steps + 1, 1), speed), np.array([static]))


def both(*several: Others) -> Others:
    """All of ``several``."""
    return Others(np.concatenate([one.boxes for one in several], axis=1), np.concatenate([one.speeds for one in several], axis=1),
                  np.concatenate([one.static for one in several]))


def scene(others: Others = NOBODY, speed: float = 8.0, lights: Lights = NO_LIGHTS, road: Street | None = None) -> Scene:
    """The car at the origin, heading east at ``speed``, as the recorded driver goes on; the plan before was made 0.5 s earlier."""
    start = Start(np.zeros(3), speed, 0.0, 0.0)
    before = Start(np.array([-0.5 * speed, 0.0, 0.0]), speed, 0.0, 0.0)
    history = History(np.zeros(HISTORY_STEPS), np.full(HISTORY_STEPS, speed), np.zeros(HISTORY_STEPS), np.zeros(HISTORY_STEPS))
    return Scene(start, before, 5, history, along(speed).poses, along(speed, x=-0.5 * speed).poses, others, lights, road or street(),
                 np.array([[-20.0, 0.0], [100.0, 0.0]]))


def plan(points, step_s: float = 0.5) -> Trajectory:
    """A plan with the points [K, 2] every ``step_s``."""
    points = np.asarray(points, float).reshape(-1, 2)
    return Trajectory(0, points, step_s * np.arange(1, len(points) + 1))


def driven(where: Scene, now: Trajectory, earlier: Trajectory | None = None) -> Drive:
    """What becomes of ``now`` in the scene; the plan before is ``earlier``, or the recorded driver's way."""
    first = simulate(poses_of(now, where.steps)[None], [where.start])[0]
    before = poses_of(earlier, where.steps) if earlier is not None else driver_poses(where)
    return judge(first, simulate(before[None], [where.before])[0], where)


def driver_poses(where: Scene) -> np.ndarray:
    """The recorded driver's way from the plan before on, in the car's frame then."""
    from kd_planner_ros.evaluation.pdm.motion import from_map

    return from_map(where.driver_before, where.before.pose)


def driver_drive(where: Scene) -> Drive:
    """The recorded driver's drive."""
    from kd_planner_ros.evaluation.pdm.motion import from_map

    motions = [simulate(from_map(poses, start.pose)[None], [start])[0]
               for poses, start in ((where.driver, where.start), (where.driver_before, where.before))]
    return judge(motions[0], motions[1], where)


def moved(where: Scene, shift: tuple[float, float], turn: float) -> Scene:
    """``where`` after a rigid motion: turned about the origin, then shifted."""
    matrix, step = rotation_2d(turn), np.asarray(shift, float)

    def points(array):
        return np.asarray(array, float) @ matrix.T + step

    def poses(array):
        return np.concatenate([points(array[..., :2]), array[..., 2:3] + turn, array[..., 3:]], axis=-1)

    def begin(one: Start) -> Start:
        return replace(one, pose=poses(one.pose))

    road, lights = where.street, where.lights
    return replace(
        where, start=begin(where.start), before=begin(where.before), history=replace(where.history, yaws=where.history.yaws + turn),
        driver=poses(where.driver), driver_before=poses(where.driver_before),
        others=replace(where.others, boxes=poses(where.others.boxes)), lights=replace(lights, lines=points(lights.lines),
                                                                                     yaws=lights.yaws + turn),
        street=replace(road, centres=tuple(map(points, road.centres)), junctions=tuple(map(points, road.junctions))),
        route=points(where.route))
