"""A made-up drive with pictures whose road is drawn by the projection under test: for looking at reports and testing them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.overlay import project
from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter
from kd_planner_ros.geometry.frames import to_base

CAMERA = CameraSpec("rgb_front", Pose(x=-1.5, z=2.0), 900, 256, 100.0, 0.1)


def way(arc_m: np.ndarray) -> np.ndarray:
    """Positions [N, 2] along a winding road."""
    arc_m = np.asarray(arc_m, float)
    return np.column_stack([arc_m, 18.0 * np.sin(arc_m / 28.0)])


def write_run(folder: Path, seconds: float = 20.0, pictures: bool = True, finished: bool = True) -> Path:
    """Write a made-up run into ``folder`` and give the folder back."""
    line = way(np.arange(0.0, 170.0, 1.0))
    yaws = np.arctan2(*np.gradient(line, axis=0).T[::-1])
    route = Route("RouteScenario_0", "default", line, yaws, np.full(len(line), 4, np.int8), line[[0, -1]])
    card = {"network": "tcp", "parameters": 13_915_201, "weights_sha256": "0" * 64, "licence": "Apache-2.0"}
    info = RunInfo("tcp_student", route, Weather(), 3, CAMERA if pictures else None, card, {"engine": "torch"})
    with RunWriter(folder, info) as writer:
        for tick in range(round(seconds * 20)):
            _tick(writer, tick, pictures)
        writer.event(9_500_000_000, "collisions_vehicle", *way([67.0])[0], "hit vehicle.tesla.model3 at 2 m/s")
        writer.event(14_000_000_000, "red_light", *way([100.0])[0], "passed <light> 12")
        if finished:
            writer.finish({"_checkpoint": {"records": [{"status": "Completed", "scores": {
                "score_composed": 42.0, "score_route": 100.0, "score_penalty": 0.42}}]}})
    return folder


def _tick(writer: RunWriter, tick: int, pictures: bool) -> None:
    stamp, time = tick * 50_000_000, tick / 20
    speed = 7.0 + 2.0 * np.sin(time / 3.0)
    arc = 7.0 * time + 6.0 * (1 - np.cos(time / 3.0))
    here, ahead = way([arc, arc + 0.1])
    ego = EgoState(stamp, Pose(*here, yaw=float(np.arctan2(*(ahead - here)[::-1]))), speed)
    brake = max(0.0, np.sin(time)) if time > 12 else 0.0
    writer.tick(ego, Control(stamp, 0.0 if brake else 0.4 + 0.2 * np.sin(time), 0.4 * np.cos(arc / 28.0), brake,
                             "stale_input" if 300 < tick < 310 else ""), 7.5)
    if tick % 2 == 0:
        times = np.array([0.5, 1.0, 1.5, 2.0])
        attention = np.ones((8, 29))
        attention[3:6, 12 + int(4 * np.sin(time)):15 + int(4 * np.sin(time))] = 20.0
        writer.plan(Plan(stamp, Trajectory(stamp, to_base(way(arc + speed * times), ego.pose), times),
                         NavigationGoal(to_base(way([arc + 30.0]), ego.pose)[0], Command.LANE_FOLLOW),
                         attention=attention / attention.sum(), inference_ms=20.0 + tick % 7))
        if pictures:
            writer.frame(stamp, _picture(ego, arc))


def _picture(ego: EgoState, arc_m: float) -> np.ndarray:
    rgb = np.empty((CAMERA.height, CAMERA.width, 3), np.uint8)
    rgb[:128], rgb[128:] = (150, 180, 215), (92, 110, 78)
    line = way(arc_m + np.arange(1.0, 90.0, 0.5))
    along = np.gradient(line, axis=0)
    left = np.column_stack([-along[:, 1], along[:, 0]]) / np.linalg.norm(along, axis=1, keepdims=True)
    for offset_a, offset_b, colour in ((-3.5, 3.5, (84, 84, 88)), (-0.1, 0.1, (225, 225, 225))):
        a, b = (project(to_base(line + offset * left, ego.pose), CAMERA) for offset in (offset_a, offset_b))
        for i in range(len(a) - 1):
            quad = np.array([a[i], a[i + 1], b[i + 1], b[i]])
            if np.isfinite(quad).all():
                cv2.fillConvexPoly(rgb, np.round(np.clip(quad, -1e4, 1e4)).astype(np.int32), colour, cv2.LINE_AA)
    return rgb
