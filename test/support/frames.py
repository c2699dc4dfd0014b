"""Frames made up for tests: the same for the same ``number`` on every machine, and smooth, so that rescaling them is stable.

A picture shows a sky that darkens upwards, a road that narrows towards the horizon with a dashed line in its middle, two
boxes and a little noise. A cloud shows the ground in rings, a wall to the right and a car ahead. No ROS, no world, no torch.
The stored outputs in ``test/data/reference_outputs`` belong to frames 0, 1 and 2: a change here makes them useless.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.core.true_scene import TrueScene
from kd_planner_ros.geometry.frames import from_base

COMMANDS = (Command.LANE_FOLLOW, Command.LEFT, Command.RIGHT)
STEP_NS = 100_000_000


def frame(rig: SensorRig, number: int) -> Frame:
    """Frame ``number`` (0, 1, 2 ...) with every camera and LiDAR of ``rig``; its history repeats it at the declared offsets."""
    stamp = 1_000_000_000 + number * STEP_NS
    rng = np.random.default_rng([number, 0x6672])
    ego = EgoState(stamp, Pose(10.0 + number, 5.0, yaw=0.1 * number), 2.0 + 2.5 * number, yaw_rate_rps=0.05 * number,
                   acceleration_mps2=0.3)
    goal = NavigationGoal(np.array([12.0 - 2.0 * number, 1.5 * number - 1.5]), COMMANDS[number % len(COMMANDS)])
    images = {spec.id: picture(spec, number, index, rng) for index, spec in enumerate(rig.cameras)}
    clouds = {spec.id: cloud(spec, number, rng) for spec in rig.lidars}
    made = make_frame(rig.cameras, ego, goal, images, clouds, dict.fromkeys([*images, *clouds], 0.0))
    made = replace(made, scene=true_scene(ego)) if rig.scene else made
    return replace(made, history=tuple(replace(made, stamp_ns=stamp - round(1e9 * age_s)) for age_s in rig.history_s))


def true_scene(ego: EgoState) -> TrueScene:
    """A car that drives ahead of ``ego``, one that comes towards it, a walker; a border on each side, a crossing, and a red light."""
    times = np.arange(-30, 71) * STEP_NS + ego.stamp_ns
    actors = np.zeros(3, ACTOR_DTYPE)
    actors["id"], actors["kind"] = (1, 2, 5), (ActorKind.CAR, ActorKind.CAR, ActorKind.PEDESTRIAN)
    actors["length"], actors["width"], actors["height"] = (4.5, 4.5, 0.5), (1.9, 1.9, 0.5), (1.5, 1.5, 1.8)
    place = from_base(np.array([[14.0, 0.0], [22.0, 3.5], [9.0, -5.0]]), ego.pose)
    speed = np.array([4.0, -6.0, 0.0])[:, None] * np.array([np.cos(ego.pose.yaw), np.sin(ego.pose.yaw)])
    actors["yaw"], (actors["vx"], actors["vy"]) = ego.pose.yaw, speed.T
    rows = np.tile(actors, len(times))
    moved = place + speed * ((times - ego.stamp_ns) / 1e9)[:, None, None]
    rows["x"], rows["y"] = moved.reshape(-1, 2).T
    actors["x"], actors["y"] = place.T
    lines = [(LineKind.BOUNDARY, [[-20.0, -5.5], [40.0, -5.5]]), (LineKind.DIVIDER, [[-20.0, 1.75], [40.0, 1.75]]),
             (LineKind.CROSSING, [[16.0, -5.0], [19.0, -5.0], [19.0, 5.0], [16.0, 5.0], [16.0, -5.0]])]
    points = np.zeros(sum(len(line) for _, line in lines), MAP_LINE_DTYPE)
    points["line"] = np.repeat(np.arange(len(lines)), [len(line) for _, line in lines])
    points["kind"] = np.array([int(kind) for kind, _ in lines], np.uint8)[points["line"]]
    points["x"], points["y"] = from_base(np.concatenate([line for _, line in lines]), ego.pose).T
    signals = np.zeros(1, SIGNAL_DTYPE)
    signals["state"], signals["yaw"] = LightState.RED, ego.pose.yaw + np.pi
    (signals["stop_x0"], signals["stop_y0"]), (signals["stop_x1"], signals["stop_y1"]) = from_base(
        np.array([[15.0, -1.75], [15.0, 1.75]]), ego.pose)[:, :, None]
    return TrueScene(actors, signals, points, Tracks(times, np.arange(len(times) + 1) * len(actors), rows), has_future=True)


def picture(spec: CameraSpec, number: int, index: int, rng: np.random.Generator) -> np.ndarray:
    """RGB uint8 [H, W, 3] of camera ``index`` of the rig."""
    y, x = (np.mgrid[:spec.height, :spec.width] + 0.5) / np.array([spec.height, spec.width]).reshape(2, 1, 1)
    horizon, middle = 0.45 + 0.03 * number, 0.5 + 0.12 * np.sin(1.3 * number + index)
    depth = np.clip((y - horizon) / (1.0 - horizon), 0.0, 1.0)
    offset = (x - middle) / (0.05 + 0.6 * depth)
    sky, ground, road = ([90.0, 140.0, 220.0], [70.0, 110.0, 60.0], [95.0, 95.0, 100.0])
    shade = np.where(y < horizon, 0.6 + 0.4 * y / horizon, 0.5 + 0.5 * depth)[..., None]
    rgb = shade * np.where((y < horizon)[..., None], sky, np.where((np.abs(offset) < 0.8)[..., None], road, ground))
    line = (np.abs(offset) < 0.05) & (y > horizon) & (np.sin(14.0 / (0.15 + depth) + number) > 0.0)
    rgb[line] = 230.0
    for place, size, colour in ((middle - 0.06, 0.10, (200.0, 30.0, 30.0)), (middle + 0.22, 0.16, (30.0, 60.0, 190.0))):
        rgb[(np.abs(x - place) < size / 2) & (np.abs(y - horizon - 0.1 - 0.04 * number) < size)] = colour
    rgb += rng.normal(0.0, 3.0, rgb.shape)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def cloud(spec: LidarSpec, number: int, rng: np.random.Generator) -> np.ndarray:
    """Points float32 [4400, 4] (x, y, z, intensity) in the sensor's frame, all around it."""
    angle = np.linspace(-np.pi, np.pi, 300, endpoint=False)
    rings = [np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(300, -spec.pose.z)], 1)
             for radius in (3.5, 5.0, 7.0, 10.0, 14.0, 20.0, 27.0, 40.0)]
    wall = np.stack([rng.uniform(-25.0, 25.0, 1400), np.full(1400, -8.0 - number), rng.uniform(-2.0, 3.0, 1400)], 1)
    car = np.stack([rng.uniform(9.0, 13.0, 600) + 2.0 * number, rng.uniform(-0.5, 1.4, 600), rng.uniform(-2.2, -1.0, 600)], 1)
    ahead = np.concatenate([*rings, wall, car])  # along the vehicle's axes
    cos, sin = np.cos(spec.pose.yaw), np.sin(spec.pose.yaw)
    points = np.stack([cos * ahead[:, 0] + sin * ahead[:, 1], cos * ahead[:, 1] - sin * ahead[:, 0], ahead[:, 2],
                       0.5 + 0.4 * np.cos(0.3 * ahead[:, 0])], 1)
    points[:, :3] += rng.normal(0.0, 0.02, (len(points), 3))
    return points.astype(np.float32)
