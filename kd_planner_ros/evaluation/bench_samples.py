"""Made-up training samples of any network, for measurements of the trainer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kd_planner_ros.bags.drive import scene_of
from kd_planner_ros.bags.instants import Truth
from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE
from kd_planner_ros.core.sensors import CameraImage
from kd_planner_ros.core.timeline import POSE_COLUMNS, Series, Timeline
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.imaging.class_grid import CELL_PX, UNKNOWN
from kd_planner_ros.networks.samples import MAIN, SampleMaker
from kd_planner_ros.runtime.bench import noise_frame
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.make import GRIDS, ShardWriter
from kd_planner_ros.samples.rows import sample_dtype
from kd_planner_ros.samples.shards import Shard

TICKS = 40
SPEED_MPS = 5.0


def made_up_samples(folder: Path, count: int, learner: Learner) -> Samples:
    """``count`` samples of the network of ``learner`` in ``folder``, as those of a recording lie on disk: noise for pictures and clouds,
    a straight drive at 5 m/s on an empty road.

    Raises:
        ConfigError: the network makes no sample of such an instant.
    """
    task, drive = learner.task, straight_drive()
    ticks = task.per_tick_targets(drive)
    task.begin()
    tick = {name: array[0] for name, array in ticks.items()}
    scene = scene_of(drive, np.zeros(0, ACTOR_DTYPE), None) if task.scene else None
    frames = [replace(noise_frame(SimpleNamespace(rig=learner.model_config.rig), seed), scene=scene) for seed in range(count)]
    made = [_record(task, frame, tick, seed) for seed, frame in enumerate(frames)]
    rows = np.zeros(count, sample_dtype(task.steps))
    rows["speed"], rows["target"], rows["command"] = SPEED_MPS, (30.0, 0.0), Command.LANE_FOLLOW
    rows["future"] = (SPEED_MPS * task.step_s * np.arange(1, task.steps + 1))[:, None] * (1.0, 0.0)
    rows["actions"], rows["ahead_m"] = 0.1, 2.0 * SPEED_MPS
    with ShardWriter(folder, task) as writer:
        writer.write(rows, made, np.ones(count, bool))
        fields = [name for name in writer.finish() if name != MAIN]
    facts = {"bag": "made up", "content": "made up", "map": "", "route": "", "samples": count, "fields": fields}
    write_text(folder / "facts.json", json.dumps(facts))
    return Samples([Shard(folder, task.past)])


def straight_drive() -> Drive:
    """Two seconds along the x axis of ``map``, with a route, without other road users, map lines and captions."""
    stamps = 50_000_000 * np.arange(TICKS, dtype=np.int64)
    ego = np.zeros((TICKS, len(POSE_COLUMNS)))
    ego[:, POSE_COLUMNS.index("x")], ego[:, POSE_COLUMNS.index("speed_mps")] = SPEED_MPS * stamps / 1e9, SPEED_MPS
    points = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
    commands = np.full(100, Command.LANE_FOLLOW, np.int8)
    route = Route("straight", "", points, np.zeros(100), commands, points[[0, -1]])
    timeline = Timeline(Series(stamps, ego), targets=np.tile([30.0, 0.0], (TICKS, 1)), commands=np.full(TICKS, Command.LANE_FOLLOW))
    tracks = Tracks(stamps, np.zeros(TICKS + 1, np.int64), np.zeros(0, ACTOR_DTYPE))
    return Drive(timeline, route, lambda: tracks, lambda: np.zeros(0, MAP_LINE_DTYPE), dict)


def _record(task: SampleMaker, frame: Frame, tick: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    truth = Truth(np.zeros(0, ACTOR_DTYPE), np.zeros(0, SIGNAL_DTYPE), dict.fromkeys(STATE_NAMES, 0.0),
                  labels={camera: _labels(frame.images[camera], kinds, seed) for camera, kinds in task.labels.items()})
    arrays = task.record((frame,) * len(task.offsets_ns), truth, tick)
    if arrays is None:
        raise ConfigError(f"a sample of {type(task).__name__} from an instant on an empty road", "none", "measure another network")
    height, width = arrays[MAIN].shape[:2]
    return {**arrays, GRIDS: np.full((height // CELL_PX, width // CELL_PX), UNKNOWN, np.uint8)}


def _labels(picture: np.ndarray, kinds: tuple[str, ...], seed: int) -> CameraImage:
    random, size = np.random.default_rng([seed, 1]), picture.shape[:2]
    made = {"depth": random.uniform(1.0, 100.0, size).astype(np.float32), "semantic": random.integers(0, 23, size, np.uint8),
            "instance": np.zeros(size, np.int32)}
    return CameraImage(0, picture, **{kind: made[kind] for kind in kinds})
