"""Recordings to training samples, once: a shard of plain .npy files for each recording, read by memory map.

A shard is named by the recording's content and by what shaped it (input size, camera, format), so a change of either
builds a new one and an interrupted build goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.cameras import recorded_names
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.timeline import POSE_COLUMNS, Timeline
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.imaging.class_grid import CELL_PX, UNKNOWN, class_grid
from kd_planner_ros.networks.samples import MAIN, SampleMaker
from kd_planner_ros.samples.arrays import open_array, put_in_place
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS

FORMAT = 3
"""Raise when the meaning of a row changes: old shards are then built again."""
TRUTH = {"objects": TRUTH_OBJECTS, "signals": TRUTH_SIGNALS}
STEP_NS = 500_000_000
STEPS = 4
STATES = STATE_NAMES
"""PlanKD's planning states, in its order."""
SAMPLE_DTYPE = np.dtype([
    ("stamp", "<i8"), ("speed", "<f4"), ("target", "<f4", (2,)), ("command", "i1"), ("future", "<f4", (STEPS, 2)),
    ("actions", "<f4", (STEPS + 1, 2)), ("states", "i1", (len(STATES),)), ("ahead_m", "<f4"),
])
"""``speed`` m/s; ``target`` and ``future`` (0.5 ... 2.0 s) metres in ``base_link`` of now, NaN = masked; ``actions``
(throttle - brake, steer positive LEFT) now and at the four steps, NaN = masked; ``states`` -1 = not recorded;
``ahead_m`` is how far the car drives in the next 2 s, known also where ``future`` is masked."""


@dataclass(frozen=True)
class Shard:
    """The samples of one recording on disk."""

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Recording, map, route, seed, weather, content hash, and how many samples were left out and why."""
        return json.loads((self.folder / "facts.json").read_text())

    @cached_property
    def rows(self) -> np.ndarray:
        """SAMPLE_DTYPE [N]."""
        return np.load(self.folder / "rows.npy")

    @cached_property
    def images(self) -> np.ndarray:
        """The main picture, RGB uint8 [N, H, W, 3], a memory map."""
        return np.load(self.folder / f"{MAIN}.npy", mmap_mode="r")

    @cached_property
    def fields(self) -> dict[str, np.ndarray]:
        """What the network's lessons hold beside the main picture, by name: [N, ...] each."""
        return {name: open_array(self.folder / f"{name}.npy") for name in self.facts.get("fields", ())}

    def arrays(self, rows: slice) -> dict[str, np.ndarray]:
        """The main picture and the fields of ``rows``, copied out of the maps."""
        return {name: np.array(array[rows]) for name, array in {MAIN: self.images, **self.fields}.items()}

    @cached_property
    def grids(self) -> np.ndarray:
        """What is where in each picture, uint8 [N, H / CELL_PX, W / CELL_PX] (imaging/class_grid)."""
        return open_array(self.folder / "grids.npy")


def content_hash(bag: Path) -> str:
    """SHA-256 over the data files of a recording (metadata.yaml repeats them)."""
    digest = hashlib.sha256()
    for path in sorted(p for p in Path(bag).iterdir() if p.suffix in (".mcap", ".db3")):
        part = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                part.update(block)
        digest.update(part.digest())
    return digest.hexdigest()


def build_shards(bags: list[Path], root: Path, maker: SampleMaker, progress: bool = True) -> list[Shard]:
    """The shard of each of ``bags`` with the arrays that ``maker`` makes, built where it is not there yet.

    Raises:
        BagError: a recording is broken or lacks a topic; shards built before stay.
        SensorError: a sensor of a recording gives something unfit.
    """
    shards = []
    parts = [maker.cameras[0], dict(maker.key)]
    if len(maker.cameras) > 1 or maker.clouds or maker.format > 1:  # shards of one picture keep the name they have
        parts += [maker.cameras[1:], maker.clouds, maker.format]
    for bag in tqdm(bags, desc="samples", unit="bag", disable=not progress):
        content = content_hash(bag)
        key = hashlib.sha256(json.dumps([FORMAT, content, *parts], sort_keys=True).encode())
        folder = Path(root) / key.hexdigest()[:20]
        if not (folder / "facts.json").is_file():
            with open_bag(bag) as recording:
                _build(recording, folder, maker, content)
        shards.append(Shard(folder))
    return shards


def _build(recording: Recording, folder: Path, maker: SampleMaker, content: str) -> None:
    require_topics(recording, maker)
    stamps, made, grids = _read(recording, maker)
    rows, keep, left_out = label(recording.timeline, np.array(stamps, np.int64))
    names = sorted(made[0]) if made else [MAIN]
    facts = {"bag": recording.path.name, "content": content, "frames": len(stamps), "samples": int(keep.sum()),
             "incomplete": recording.incomplete, "left_out": left_out, "notes": recording.notes,
             "map": recording.map_name, **{k: recording.custom_data.get(k, "") for k in ("route", "seed", "weather")}}
    if names != [MAIN]:
        facts["fields"] = [name for name in names if name != MAIN]
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    first = made[0] if made else {MAIN: np.zeros((0, 0, 3), np.uint8)}
    for name in names:
        kept = [arrays[name] for arrays, good in zip(made, keep) if good]
        np.save(partial / f"{name}.npy", np.stack(kept) if kept else np.zeros((0, *first[name].shape), first[name].dtype))
    kept = [grid for grid, good in zip(grids, keep) if good]
    np.save(partial / "grids.npy", np.stack(kept) if kept else _grid(None, *first[MAIN].shape[:2])[None][:0])
    np.save(partial / "rows.npy", rows[keep])
    (partial / "facts.json").write_text(json.dumps(facts, indent=1, sort_keys=True))
    if not (folder / "facts.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)  # an old copy that lost its facts
    put_in_place(partial, folder)


def require_topics(recording: Recording, maker: SampleMaker) -> None:
    """Refuse a recording that lacks a sensor, a table of truth or the route, which ``maker`` makes its samples from.

    Raises:
        BagError: topics are missing; each is named.
    """
    topics, have = recording.topics, recording.kinds
    remedies = {
        f"the recording has the cameras {', '.join(recording.cameras) or 'none'} and the LiDARs "
        f"{', '.join(recording.clouds) or 'none'}: record the network's own with 'kd-planner record --network'":
            [*map(topics.image, recorded_names(recording, maker.cameras)), *map(topics.sensor, maker.clouds)],
        "record the truth too, or train a network that is not taught from it ('tcp')": [TRUTH[name] for name in maker.truth],
        "record the route too: without it there is no target point to train on":
            [topics.waypoints if topics.waypoints in have else topics.route]}
    missing = {remedy: [topic for topic in wanted if topic not in have] for remedy, wanted in remedies.items()}
    if names := [topic for lacking in missing.values() for topic in lacking]:
        raise BagError(f"{', '.join(names)} in {recording.path}", f"no such topic{'s' if len(names) > 1 else ''}",
                       ", and ".join(remedy for remedy, lacking in missing.items() if lacking))


def _read(recording: Recording, maker: SampleMaker) -> tuple[list[int], list[dict[str, np.ndarray]], list[np.ndarray]]:
    """(stamps, arrays, semantic grids) of every instant of ``recording``."""
    cameras = recorded_names(recording, maker.cameras)
    labels = ("semantic",) if maker.semantic and recording.has_label(cameras[0], "semantic") else ()
    if recording.timeline.targets is None:
        raise BagError(f"a route of two points on {recording.topics.route} in {recording.path}", "none", "record it again")
    ego = recording.timeline.ego
    along = maker.along(recording.route, ego.values[:, [POSE_COLUMNS.index(name) for name in ("x", "y", "yaw")]])
    maker.begin()
    stamps, made, grids = [], [], []
    for sample in recording.samples(cameras, maker.clouds, labels):
        stamp = sample.frame.stamp_ns
        row = int(ego.at(np.array([stamp]))[0])
        made.append(maker.record(sample.frame, sample.truth, {name: array[row] for name, array in along.items()}))
        stamps.append(stamp)
        tags = sample.truth.labels[cameras[0]].semantic if labels else None
        grids.append(_grid(tags, *made[-1][MAIN].shape[:2]))
    return stamps, made, grids


def _grid(tags: np.ndarray | None, height: int, width: int) -> np.ndarray:
    if tags is None:
        return np.full((height // CELL_PX, width // CELL_PX), UNKNOWN, np.uint8)
    return class_grid(tags, height, width)


def label(timeline: Timeline, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Samples at ``stamps`` [N]: rows SAMPLE_DTYPE [N], which of them to keep [N] bool, and why others are not.

    Left out: the last 2 s of a drive (no future), and 2 s before and after a collision. Masked: waypoints and future
    actions of samples whose next 2 s contain a steering disturbance, for there the car did not go where the expert
    meant to; the expert's action of now stays. The expert's wish is the label where it was recorded, else what was
    executed.
    """
    rows = np.zeros(len(stamps), SAMPLE_DTYPE)
    index = timeline.ego.at(stamps)
    ego = timeline.ego.values[index]
    rows["stamp"], rows["speed"] = stamps, ego[:, 6]
    rows["target"], rows["command"] = timeline.targets[index], timeline.commands[index]
    later = stamps[:, None] + STEP_NS * np.arange(STEPS + 1)
    places = timeline.ego.take(later.reshape(-1)).reshape(len(stamps), STEPS + 1, -1)[..., :2]
    for row in range(len(stamps)):
        rows["future"][row] = to_base(places[row, 1:], timeline.ego_state(int(index[row])).pose)
    rows["ahead_m"] = np.linalg.norm(np.diff(places, axis=1), axis=-1).sum(1)
    rows["actions"] = _actions(timeline, later.reshape(-1)).reshape(len(stamps), STEPS + 1, 2)
    for column, name in enumerate(STATES):
        known = timeline.states(name, stamps)
        rows["states"][:, column] = np.where(np.isfinite(known), known, -1)
    disturbed = _happens(timeline, "disturbance", stamps, 0, STEPS * STEP_NS)
    rows["future"][disturbed] = np.nan
    rows["actions"][disturbed, 1:] = np.nan
    ended = ~np.isfinite(places).all((1, 2))
    crashed = _happens(timeline, "collision", stamps, -STEPS * STEP_NS, STEPS * STEP_NS) & ~ended
    return rows, ~(ended | crashed), {"end of route": int(ended.sum()), "collision": int(crashed.sum()),
                                      "waypoints masked": int((disturbed & ~ended & ~crashed).sum())}


def _actions(timeline: Timeline, stamps: np.ndarray) -> np.ndarray:
    """(throttle - brake, steer left) [N, 2]: the expert's wish, else the executed control."""
    wish = np.stack([timeline.states(f"expert_{name}", stamps) for name in ("throttle", "steer", "brake")], 1)
    done = timeline.control.take(stamps)
    chosen = np.where(np.isfinite(wish).all(1, keepdims=True), wish, done)
    return np.stack([chosen[:, 0] - chosen[:, 2], chosen[:, 1]], 1)


def _happens(timeline: Timeline, name: str, stamps: np.ndarray, before_ns: int, after_ns: int) -> np.ndarray:
    """Whether the named flag is set anywhere in [stamp + before_ns, stamp + after_ns], for each of ``stamps``."""
    if name not in timeline.state_names:
        return np.zeros(len(stamps), bool)
    flags = timeline.state.values[:, timeline.state_names.index(name)] > 0
    count = np.concatenate([[0], np.cumsum(flags)])
    first = np.searchsorted(timeline.state.stamps, stamps + before_ns, side="left")
    last = np.searchsorted(timeline.state.stamps, stamps + after_ns, side="right")
    return count[last] > count[first]
