"""How long a model takes, from pixels to waypoints or to dense outputs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, RoadsideWish
from kd_planner_ros.core.true_scene import TrueScene
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.networks.planner import Model, Perceiver, Planner
from kd_planner_ros.runtime.captions import load_captioner

STATION_PICTURE = (384, 216)
"""Width and height of the pictures of stations that the built-in world places (``world/roadside.py``)."""


def noise_frame(model: Model, seed: int = 0) -> Frame:
    """A frame with everything ``model`` declares: noise pictures, as many points as its LiDARs send, the
    same again for each earlier frame, as many roadside views as it asks for, an empty scene where it reads one, no reason to stop."""
    random = np.random.default_rng(seed)
    images = {camera.id: random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
              for camera in model.rig.cameras}
    clouds = {lidar.id: _noise_cloud(lidar, random) for lidar in model.rig.lidars}
    goal = NavigationGoal(np.array([30.0, 0.0]), Command.LANE_FOLLOW)
    frame = make_frame(model.rig.cameras, EgoState(0, Pose(), 5.0), goal, images, clouds)
    frame = replace(frame, roadside=noise_views(model.rig.roadside, seed), scene=TrueScene(has_future=True) if model.rig.scene else None)
    return replace(frame, history=tuple(replace(frame, stamp_ns=-round(1e9 * age_s)) for age_s in model.rig.history_s))


def noise_views(wish: RoadsideWish | None, seed: int = 0) -> tuple[RoadsideView, ...]:
    """As many stations as ``wish`` asks for, 20 m apart: noise pictures and lists of 30 walkers and cars at random places, where these
    are wanted."""
    random, views = np.random.default_rng([seed, 0x726F6164]), []
    for number in range(wish.views if wish is not None else 0):
        camera = CameraSpec("camera", Pose(x=20.0 * (number + 1), z=7.0, yaw=np.pi), *STATION_PICTURE, 90.0)
        picture = random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        rows = _noise_users(random) if wish is not None and wish.objects else None
        seen = (camera, picture) if wish is not None and wish.pictures else (None, None)
        views.append(RoadsideView(f"station_{number}", *seen, rows, 0, 0.0, Pose(x=20.0 * (number + 1))))
    return tuple(views)


def _noise_users(random: np.random.Generator, count: int = 30) -> np.ndarray:
    rows = np.zeros(count, ACTOR_DTYPE)
    rows["id"], rows["kind"] = np.arange(count), random.choice([ActorKind.CAR, ActorKind.PEDESTRIAN], count)
    for name, reach in (("x", 50.0), ("y", 50.0), ("vx", 8.0), ("vy", 8.0)):
        rows[name] = random.uniform(-reach, reach, count)
    rows["yaw"] = np.arctan2(rows["vy"], rows["vx"])
    return rows


def _noise_cloud(spec: LidarSpec, random: np.random.Generator) -> np.ndarray:
    """Points [N, 4] of one message: the ground around the car, and some above it."""
    count = round(spec.points_per_second * spec.period_s * (1.0 - spec.dropoff_general))
    reach, turn = spec.range_m * random.random(count) ** 2, 2.0 * np.pi * random.random(count)
    height = np.where(random.random(count) < 0.7, 0.0, 3.0 * random.random(count)) - spec.pose.z
    return np.stack([reach * np.cos(turn), reach * np.sin(turn), height, random.random(count)], axis=1).astype(np.float32)


def in_turn(model: Model, count: int, frames: Sequence[Frame] = ()) -> list[Frame]:
    """``count`` frames for ``model``: ``frames`` over and over, a noise frame where there are none. A perceiver gets them as a camera sends
    them, each a period later, for it may need the one before; a planner gets equal ones."""
    shown = list(frames) or [noise_frame(model)]
    step_ns = round(1e9 / model.rate_hz) if isinstance(model, Perceiver) else 0
    return [replace(one, stamp_ns=one.stamp_ns if not step_ns else number * step_ns)
            for number, one in ((number, shown[number % len(shown)]) for number in range(count))]


def bench_latency(model: Model, n: int = 100, warm: int = 5, frames: Sequence[Frame] = ()) -> dict[str, Any]:
    """Wall time of ``plan`` or ``perceive`` on ``n`` frames (``in_turn``) after ``warm`` unmeasured ones, in milliseconds."""
    work = model.perceive if isinstance(model, Perceiver) else model.plan
    times_ms = []
    for index, frame in enumerate(in_turn(model, warm + n, frames)):
        start = time.perf_counter()
        work(frame)
        if index >= warm:
            times_ms.append((time.perf_counter() - start) * 1e3)
    engine = getattr(model, "engine", None)
    return {model.role: model.name, "engine": engine.describe if engine else "none", "n": n,
            "p50_ms": round(float(np.percentile(times_ms, 50)), 3),
            "p95_ms": round(float(np.percentile(times_ms, 95)), 3),
            "mean_ms": round(float(np.mean(times_ms)), 3), "max_ms": round(float(np.max(times_ms)), 3)}


def bench_caption(place: str, model: Model, n: int, warm: int = 2) -> dict[str, float]:
    """Median wall time in milliseconds of the model's description of what it sees (``caption_p50_ms``), on torch, and of that and a plan
    after it; nothing for a model that describes nothing. ``place`` is what a loader takes for it."""
    try:
        captioner = load_captioner(place)
    except ConfigError:
        return {}
    assert isinstance(model, Planner)
    clocks = []
    for frame in in_turn(model, warm + n):
        start = time.perf_counter()
        captioner.caption(frame)
        told = time.perf_counter()
        model.plan(frame)
        clocks.append((told - start, time.perf_counter() - start))
    words, both = (round(1e3 * float(np.median(one)), 3) for one in np.array(clocks[warm:]).T)
    return {"caption_p50_ms": words, "caption_and_plan_p50_ms": both}
