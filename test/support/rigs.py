"""A recording for any network: every sensor that a rig or a task declares, labels, truth and a route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from support import frames
from support.bags import RIG, SPEED, TICK_NS, borders, pose_at, scene

from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraImage, SensorRig
from kd_planner_ros.geometry.captions import captions_of
from kd_planner_ros.world.planning_states import STATE_NAMES


def with_cameras(rig: SensorRig, cameras: Sequence[str]) -> SensorRig:
    """``rig`` with those of ``cameras`` that it lacks: a task's samples may be triggered by a camera that its network does not look
    through."""
    there = {spec.id for spec in rig.cameras}
    added = (replace(RIG.cameras[0], id=camera) for camera in cameras if camera not in there)
    return replace(rig, cameras=(*rig.cameras, *added))


def write_rig_bag(path: Path, rig: SensorRig, rate: float = 0.2, seconds: float = 4.0, every: int = 10, town: str = "Town01",
                  seed: int = 0) -> Path:
    """A recording on an arc of yaw rate ``rate``: pictures and clouds every ``every`` ticks of 50 ms, as ``support.frames`` draws
    them, with depth, semantic and instance labels and captions, and a border on each side of the way."""
    points = np.array([(p.x, p.y) for p in (pose_at(t, rate) for t in np.arange(0.0, seconds + 12.0, 1.0 / SPEED))])
    route = Route(f"r{seed}", town, points, np.zeros(len(points)), np.full(len(points), 4, np.int8), points[[0, -1]])
    states = dict.fromkeys(STATE_NAMES, 0.0) | {"collision": 0.0, "disturbance": 0.0}
    with BagWriter(path, rig, {"map": town, "map_spec": "default", "route": route.name, "seed": str(seed), "weather": "ClearNoon"}) as bag:
        for tick in range(round(seconds * 20)):
            stamp = 1_000_000_000 + tick * TICK_NS
            ego = EgoState(stamp, pose_at(tick * 0.05, rate), SPEED, yaw_rate_rps=rate)
            if tick == 0:
                bag.write_route(route, stamp)
                bag.write_map_lines(borders(rate, seconds + 4.0), stamp)
            bag.write_ego(ego)
            bag.write_state(stamp, Control(stamp, 0.3, rate / 2, 0.0), states)
            if tick % every == 0:
                bag.write_scene(scene(ego))
                shown = frames.frame(rig, tick // every % 3)
                shots = {camera: _labelled(stamp, rgb) for camera, rgb in shown.images.items()}
                for camera, taken in shots.items():
                    bag.write_camera(camera, taken)
                bag.write_captions(captions_of(shots.items(), (), scene(ego).actors), stamp)
                for lidar, cloud in shown.clouds.items():
                    bag.write_cloud(lidar, cloud, stamp)
    return path


def _labelled(stamp: int, rgb: np.ndarray) -> CameraImage:
    return CameraImage(stamp, rgb, depth=rgb[..., 0].astype(np.float32) * 0.37 + 1.0, semantic=rgb[..., 1] % 29,
                       instance=rgb[..., 2].astype(np.int32) - 5)
