"""Triplets of pictures of public data sets to samples on disk: a shard for each drive or city."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.contents import SPLIT
from kd_planner_ros.bags.triplets import Triplet, Triplets
from kd_planner_ros.core.ego import Command, EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.class_grid import CELL_PX, UNKNOWN
from kd_planner_ros.imaging.fit import fit
from kd_planner_ros.networks.samples import MAIN, SampleMaker, require_valid
from kd_planner_ros.samples.make import CHUNK, GRIDS, ShardWriter
from kd_planner_ros.samples.rows import sample_dtype
from kd_planner_ros.samples.shards import FORMAT, Shard, build_whole, fields_of, shaped_by

APART_NS = 1_000_000_000
"""Between the stamps of two samples, which tell their order alone."""
NO_CLASS = 255


def require_pictures(maker: SampleMaker) -> None:
    """Refuse a network that does not learn from pictures alone.

    Raises:
        ConfigError: as it says.
    """
    if not maker.from_pictures:
        raise ConfigError("a network that learns from pictures alone", type(maker).__name__,
                          "train unified_encoder with --unified_encoder.supervision self, or give recordings")


def build_footage(found: Triplets, root: Path, maker: SampleMaker, camera: CameraSpec, progress: bool = True) -> list[Shard]:
    """The shard of each drive or city of ``found`` with the arrays that ``maker`` makes, built where it is not there yet.

    Args:
        camera: the network's; pictures are fitted to it (``imaging.fit``).

    Raises:
        BagError: a file that cannot be read; shards built before stay.
        ConfigError: ``maker`` makes no samples of pictures alone.
    """
    require_valid(maker)
    require_pictures(maker)
    shards, seen = [], [camera.width, camera.height, camera.fov_deg]
    for name, numbers in tqdm(found.groups().items(), desc="samples", unit="sequence", disable=not progress):
        content = found.content(numbers)
        key = json.dumps([FORMAT, found.name, name, content, seen, *shaped_by(maker)], sort_keys=True)
        folder = Path(root) / hashlib.sha256(key.encode()).hexdigest()[:20]
        if not (folder / "facts.json").is_file():
            part = {SPLIT: found.part} if found.part else {}
            facts = {"bag": name, "content": content, "map": found.name, **part, "route": name, "seed": "", "weather": ""}
            build_whole(folder, _Filling(found, numbers, maker, camera, facts))
        shards.append(Shard(folder, maker.past))
    return shards


class _Filling:
    """Writes the samples of triplets ``numbers`` into a folder, and gives ``facts`` and theirs."""

    def __init__(self, found: Triplets, numbers: list[int], maker: SampleMaker, camera: CameraSpec, facts: dict[str, Any]):
        self._found, self._numbers, self._maker, self._camera, self._facts = found, numbers, maker, camera, facts
        self._notes: dict[str, None] = {}

    def __call__(self, place: Path) -> dict[str, Any]:
        labelled, count = 0, len(self._numbers)
        self._maker.begin()
        with ShardWriter(place, self._maker) as writer:
            for first in range(0, count, CHUNK):
                chunk = [self._found[number] for number in self._numbers[first:first + CHUNK]]
                made = [self._arrays(triplet) for triplet in chunk]
                labelled += sum(triplet.tags is not None for triplet in chunk)
                writer.write(_rows(self._maker.steps, first, len(chunk)), made, np.ones(len(chunk), bool))
            names = writer.finish()
        return {**self._facts, "frames": count, "samples": count, "labelled": labelled, "incomplete": 0, "left_out": {},
                "notes": list(self._notes), **fields_of(names)}

    def _arrays(self, triplet: Triplet) -> dict[str, np.ndarray]:
        laid = fit((triplet.pictures.shape[1], triplet.pictures.shape[2]), triplet.intrinsics, self._camera)
        if laid.note:
            self._notes[laid.note] = None
        tags = None if triplet.tags is None else laid.labels(triplet.tags, NO_CLASS)
        single = None if triplet.single is None else laid.labels(triplet.single, 0)
        frames = _frames((laid.picture(one) for one in triplet.pictures), round(triplet.step_s * 1e9), self._camera)
        arrays = self._maker.record_pictures(tuple(frames), tags, single)
        height, width = arrays[MAIN].shape[:2]
        return {**arrays, GRIDS: np.full((height // CELL_PX, width // CELL_PX), UNKNOWN, np.uint8)}


def _frames(pictures: Iterator[np.ndarray], step_ns: int, camera: CameraSpec) -> Iterator[Frame]:
    for number, rgb in enumerate(pictures):
        ego = EgoState(number * step_ns, Pose(*[math.nan] * 6), math.nan)
        yield make_frame([camera], ego, None, {camera.id: rgb}, {})


def _rows(steps: int, first: int, count: int) -> np.ndarray:
    """Rows of samples of which nothing is known but their order."""
    rows = np.zeros(count, sample_dtype(steps))
    rows["stamp"], rows["command"], rows["states"] = APART_NS * np.arange(first, first + count), Command.VOID, -1
    for name in ("speed", "target", "future", "actions", "ahead_m"):
        rows[name] = np.nan
    return rows
