"""Recordings made up for tests of a planner with three cameras and a LiDAR: one car ahead, one light, one post in the cloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.bags import SPEED, TICK_NS, pose_at, scene, shot

from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.geometry.frames import from_base

WIDTH, HEIGHT = 64, 48
CAMERAS = ("front", "left", "right")
POST = np.array([[0.4, -14.06, -1.0, 0.5]], np.float32)
"""14.06 m ahead and 0.4 m to the left of a sensor that is turned a quarter to the left."""
RED_FROM_TICK, RED_AHEAD_M = 20, 6.0


def write_views(path: Path, rate: float = 0.0, seconds: float = 4.0, seed: int = 0, town: str = "Town01",
                leave_out: str = "") -> Path:
    """A 2 FPS recording on an arc of yaw rate ``rate``; ``leave_out`` is lidar, objects or a camera.

    From tick 20 on a red light's stop line lies 6 m ahead; the car is in a junction at every second picture.
    """
    rng = np.random.default_rng(seed)
    points = np.array([(p.x, p.y) for p in (pose_at(t, rate) for t in np.arange(0.0, seconds + 12.0, 1.0 / SPEED))])
    route = Route(f"r{seed}", town, points, np.zeros(len(points)), np.full(len(points), 4, np.int8), points[[0, -1]])
    rig = SensorRig(tuple(CameraSpec(name, Pose(z=2.3), WIDTH, HEIGHT, 100.0, period_s=0.5) for name in CAMERAS),
                    (LidarSpec("lidar", Pose(z=2.5)),))
    with BagWriter(path, rig, {"map": town, "map_spec": "default", "route": route.name, "seed": str(seed), "weather": "ClearNoon"}) as bag:
        for tick in range(round(seconds * 20)):
            stamp = 1_000_000_000 + tick * TICK_NS
            ego = EgoState(stamp, pose_at(tick * 0.05, rate), SPEED, yaw_rate_rps=rate)
            if tick == 0:
                bag.write_route(route, stamp)
            bag.write_ego(ego)
            bag.write_state(stamp, Control(stamp, 0.3, rate / 2, 0.0), {name: 0.0 for name in STATE_NAMES} | {
                "junction": float(tick // 10 % 2), "collision": 0.0, "disturbance": 0.0})
            if tick % 10 == 0:
                if leave_out != "objects":
                    bag.write_scene(around(ego, tick >= RED_FROM_TICK))
                for name in CAMERAS:
                    if name != leave_out:
                        bag.write_camera(name, shot(stamp, view(rate, rng), labels=False))
                if leave_out != "lidar":
                    bag.write_cloud("lidar", POST, stamp)
    return path


def around(ego: EgoState, red: bool):
    """The car of ``bags.scene``, 10 m ahead and 2 m to the left, and the light."""
    found = scene(ego)
    found.actors["x"], found.actors["y"] = from_base(np.array([[10.0, 2.0]]), ego.pose)[0]
    found.actors["yaw"] = ego.pose.yaw
    line = from_base(np.array([[RED_AHEAD_M, -3.0], [RED_AHEAD_M, 3.0]]), ego.pose)
    found.signals["state"] = LightState.RED if red else LightState.GREEN
    found.signals["stop_x0"], found.signals["stop_y0"] = line[0]
    found.signals["stop_x1"], found.signals["stop_y1"] = line[1]
    return found


def view(rate: float, rng: np.random.Generator) -> np.ndarray:
    """RGB whose left half is bright in left turns and whose right half is bright in right turns."""
    rgb = rng.integers(0, 30, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    rgb[:, : WIDTH // 2] += np.uint8(200 if rate > 0 else 0)
    rgb[:, WIDTH // 2:] += np.uint8(200 if rate < 0 else 0)
    return rgb
