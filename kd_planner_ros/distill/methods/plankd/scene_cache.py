"""The bird's-eye scenes and near obstacles of every sample, drawn once and kept beside the sample shards.

A folder beside each shard, written to a temporary name and renamed. Only PlanKD's waypoint attention reads them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.files import whole_file
from kd_planner_ros.distill.methods.plankd.bev_frames import bev_frames
from kd_planner_ros.imaging.bev_scene import SIDE_PX, BevView
from kd_planner_ros.samples.arrays import open_array, put_in_place
from kd_planner_ros.samples.shards import Shard
from kd_planner_ros.world.bev_source import OBSTACLES

FORMAT = 1
"""Raise when the pictures change: old folders are then left alone and new ones built."""
NAMES = ("bev", "obstacles")


@dataclass(frozen=True)
class SceneKind:
    """How scenes are drawn: pixels a metre, and the speed below which road users are no obstacles, m/s."""

    px_per_m: float = 5.0
    least_mps: float = 0.0

    def folder_of(self, shard: Shard) -> Path:
        """Where the scenes of a shard lie."""
        kind = "" if self == SceneKind() else f"-{self.px_per_m:g}-{self.least_mps:g}"
        return shard.folder.with_name(f"{shard.folder.name}.scenes{FORMAT}{kind}")


class SceneCache:
    """``bev`` uint8 [180, 180, 3] (imaging/bev_scene) and ``obstacles`` float32 [15, 2] (metres, ``base_link``, zero padded)
    of each sample, by memory map."""

    def __init__(self, kind: SceneKind = SceneKind()) -> None:
        self._kind = kind
        self._open: dict[tuple[Shard, str], np.ndarray] = {}

    def fetch(self, places: Sequence[tuple[Shard, int]]) -> dict[str, np.ndarray]:
        """Both arrays [B, ...] of the samples at ``places`` (shard, row)."""
        return {name: np.stack([self._array(shard, name)[row] for shard, row in places]) for name in NAMES}

    def _array(self, shard: Shard, name: str) -> np.ndarray:
        if (shard, name) not in self._open:
            self._open[shard, name] = open_array(self._kind.folder_of(shard) / f"{name}.npy")
        return self._open[shard, name]


def build(bags: Mapping[Shard, Path], maps_dir: Path | None = None, progress: bool = True,
          kind: SceneKind = SceneKind()) -> SceneCache:
    """The scenes of the samples in ``bags`` (each shard's recording), drawn where they are not there yet.

    Raises:
        BagError: a recording has no objects; the message names the topic and the losses that still work.
        MapError: a recording's map cannot be found.
    """
    for shard, bag in tqdm(bags.items(), desc="scenes", unit="bag", disable=not progress):
        folder = kind.folder_of(shard)
        if folder.is_dir() or not len(shard.rows):
            continue
        with open_bag(bag) as recording:
            images, obstacles = bev_frames(recording, shard.rows["stamp"], maps_dir=maps_dir, view=BevView(kind.px_per_m),
                                           least_mps=kind.least_mps)
        _write(folder, images, obstacles)
    return SceneCache(kind)


def make_up(folder: Path, count: int, random: np.random.Generator) -> None:
    """Write ``count`` scenes of noise to ``folder``, for measurements without recordings."""
    _write(folder, random.integers(0, 256, (count, SIDE_PX, SIDE_PX, 3), np.uint8),
           random.uniform(-20.0, 20.0, (count, OBSTACLES, 2)).astype(np.float32))


def _write(folder: Path, images: np.ndarray, obstacles: np.ndarray) -> None:
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, array in zip(NAMES, (images, obstacles), strict=True):
        with whole_file(partial / f"{name}.npy") as part:
            np.save(part, array)
    put_in_place(partial, folder)
