"""How long a model takes, from pixels to waypoints or to dense outputs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.records import Command, EgoState, Frame, NavigationGoal, Pose
from kd_planner_ros.core.sensors import LidarSpec
from kd_planner_ros.networks.planner import Model, Perceiver


def noise_frame(model: Model, seed: int = 0) -> Frame:
    """A frame with everything ``model`` declares: noise pictures, as many points as its LiDARs send, the
    same again for each earlier frame, no reason to stop."""
    random = np.random.default_rng(seed)
    images = {camera.id: random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
              for camera in model.rig.cameras}
    clouds = {lidar.id: _noise_cloud(lidar, random) for lidar in model.rig.lidars}
    goal = NavigationGoal(np.array([30.0, 0.0]), Command.LANE_FOLLOW)
    frame = make_frame(model.rig.cameras, EgoState(0, Pose(), 5.0), goal, images, clouds)
    return replace(frame, history=tuple(replace(frame, stamp_ns=-round(1e9 * age_s)) for age_s in model.rig.history_s))


def _noise_cloud(spec: LidarSpec, random: np.random.Generator) -> np.ndarray:
    """Points [N, 4] of one message: the ground around the car, and some above it."""
    count = round(spec.points_per_second * spec.period_s * (1.0 - spec.dropoff_general))
    reach, turn = spec.range_m * random.random(count) ** 2, 2.0 * np.pi * random.random(count)
    height = np.where(random.random(count) < 0.7, 0.0, 3.0 * random.random(count)) - spec.pose.z
    return np.stack([reach * np.cos(turn), reach * np.sin(turn), height, random.random(count)], axis=1).astype(np.float32)


def bench_latency(model: Model, n: int = 100, warm: int = 5) -> dict[str, Any]:
    """Wall time of ``plan`` or ``perceive`` on ``n`` equal frames after ``warm`` unmeasured ones, in milliseconds."""
    frame = noise_frame(model)
    work = model.perceive if isinstance(model, Perceiver) else model.plan
    times_ms = []
    for index in range(warm + n):
        start = time.perf_counter()
        work(frame)
        if index >= warm:
            times_ms.append((time.perf_counter() - start) * 1e3)
    engine = getattr(model, "engine", None)
    return {model.role: model.name, "engine": engine.describe if engine else "none", "n": n,
            "p50_ms": round(float(np.percentile(times_ms, 50)), 3),
            "p95_ms": round(float(np.percentile(times_ms, 95)), 3),
            "mean_ms": round(float(np.mean(times_ms)), 3), "max_ms": round(float(np.max(times_ms)), 3)}
