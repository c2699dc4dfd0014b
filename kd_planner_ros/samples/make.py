"""One recording to the arrays of its samples, written while it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.cameras import recorded_names, samples_for, triggering
from kd_planner_ros.bags.drive import drive_of
from kd_planner_ros.bags.neighbours import Window, windows
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.errors import BagError, SensorError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.imaging.class_grid import CELL_PX, UNKNOWN, class_grid
from kd_planner_ros.networks.samples import MAIN, SampleMaker
from kd_planner_ros.samples.arrays import ArrayWriter
from kd_planner_ros.samples.rows import label, sample_dtype
from kd_planner_ros.wire.topics import TRUTH_STATE

CHUNK = 16
"""So many instants are held in memory before the samples among them are written."""
ROWS, GRIDS = "rows", "grids"
"""Names of the arrays that every shard has beside those of its network."""
ALONE, REFUSED = "neighbour missing", "refused by the network"
"""Reasons in a shard's ``left_out`` beside those of ``label``; each only where it happened."""


@dataclass(frozen=True)
class Made:
    """What was made of a recording: names of the network's arrays, number of instants and of samples, why others were left out."""

    names: tuple[str, ...]
    frames: int
    samples: int
    left_out: dict[str, int]


def make_samples(recording: Recording, maker: SampleMaker, folder: Path) -> Made:
    """Write the samples of ``recording`` into ``folder``, one .npy file an array.

    Raises:
        BagError: a route is needed and there is none, or the file is broken.
        SensorError: a sensor gives something unfit, or the network gives arrays of changing names, shapes or types.
    """
    _require_goals(recording, maker)
    ticks = maker.per_tick_targets(drive_of(recording))
    maker.begin()
    left_out: Counter[str] = Counter()
    frames = kept = 0
    with ShardWriter(folder, maker) as writer:
        chunk: list[tuple[int, dict[str, np.ndarray]]] = []

        def flush() -> int:
            rows, keep, why = label(recording.timeline, np.array([stamp for stamp, _ in chunk], np.int64), maker.steps,
                                    round(maker.step_s * 1e9))
            left_out.update(why)
            writer.write(rows, [arrays for _, arrays in chunk], keep)
            chunk.clear()
            return int(keep.sum())

        for sample, neighbours in _instants(recording, maker, left_out):
            frames += 1
            stamp = sample.frame.stamp_ns
            row = int(recording.timeline.ego.at(np.array([stamp]))[0])
            arrays = maker.record(neighbours, sample.truth, {name: array[row] for name, array in ticks.items()})
            if arrays is None:
                left_out[REFUSED] += 1
                continue
            chunk.append((stamp, {**arrays, GRIDS: _grid(maker, sample.truth, arrays[MAIN])}))
            if len(chunk) == CHUNK:
                kept += flush()
        kept += flush()
        names = writer.finish()
    reported = {name: left_out[name] for name in sorted(left_out) if _reported(name, left_out)}
    return Made(names, frames + left_out[ALONE], kept, reported)


def _require_goals(recording: Recording, maker: SampleMaker) -> None:
    if maker.needs_route and (recording.route is None or recording.timeline.targets is None):
        raise BagError(f"a route of two points on {recording.topics.route} in {recording.path}", "none", "record it again")


def first_sample(recording: Recording, maker: SampleMaker) -> tuple[Frame, ...]:
    """The frames of the first sample that ``maker`` could make of ``recording``; its arrays are not made.

    Raises:
        BagError: it gives no sample: no instant with every sensor and label, none far enough from the end of the drive and from
            collisions, or none with a known control where ``maker`` needs one; or goals are needed and there is no route.
    """
    _require_goals(recording, maker)
    found = next(_instants(recording, maker, Counter()), None)
    sensors = ", ".join((*maker.cameras, *maker.clouds))
    if found is None:
        raise BagError(f"an instant in {recording.path} at which {sensors}, the labels and odometry gave something", "none",
                       "look at the stamps, and record again")
    timeline = recording.timeline
    first = recorded_names(recording, triggering(recording, maker.cameras))[0]
    times = recording.placed_times(recording.image_topic(first))
    stamps = np.unique(times.stamps) if times is not None else np.zeros(0, np.int64)
    rows, keep, why = label(timeline, stamps[timeline.ego.at(stamps) >= 0], maker.steps, round(maker.step_s * 1e9))
    if not keep.any():
        left = f"{why['end of route']} end before, {why['collision']} are near a collision"
        raise BagError(f"a sample in {recording.path} whose next {maker.horizon_s:g} s were recorded", f"none of {len(rows)}; {left}",
                       "record longer drives")
    if maker.needs_control and not np.isfinite(rows["actions"][keep][:, 0]).all(1).any():
        raise no_control(str(recording.path), int(keep.sum()))
    return found[1]


def no_control(place: str, samples: int) -> BagError:
    """What is wrong with ``samples`` samples of which none knows the control."""
    return BagError(f"vehicle_control_cmd, or the expert's wish on {TRUTH_STATE}, at the samples of {place}",
                    f"neither in {samples} samples", "record what the driver did too, in the clock of the sensors")


def _reported(name: str, left_out: Mapping[str, int]) -> bool:
    return left_out[name] > 0 or name not in (ALONE, REFUSED)


def _instants(recording: Recording, maker: SampleMaker, left_out: Counter[str]) -> Iterator[Window]:
    labels = {camera: tuple(kinds) for camera, kinds in maker.labels.items()}
    cameras = triggering(recording, maker.cameras)
    if maker.grid and maker.cameras:
        first, own = cameras[0], recorded_names(recording, cameras)[0]
        if "semantic" not in labels.get(first, ()) and recording.has_label(own, "semantic"):
            labels[first] = (*labels.get(first, ()), "semantic")
    wants = SensorRig(roadside=maker.roadside, needs_route=maker.needs_route, scene=maker.scene)
    samples = samples_for(recording, cameras, maker.clouds, wants, labels)
    return windows(samples, maker.offsets_ns, lambda: left_out.update({ALONE: 1}))


def _grid(maker: SampleMaker, truth: Any, picture: np.ndarray) -> np.ndarray:
    """The coarse semantic grid of the main picture; unknown where it is not wanted or not recorded."""
    height, width = picture.shape[:2]
    shot = truth.labels.get(maker.cameras[0]) if maker.grid and maker.cameras else None
    if shot is None or shot.semantic is None:
        return np.full((height // CELL_PX, width // CELL_PX), UNKNOWN, np.uint8)
    return class_grid(shot.semantic, height, width)


class ShardWriter:
    """The arrays of a shard, appended to their files."""

    def __init__(self, folder: Path, maker: SampleMaker):
        self._folder, self._maker = folder, type(maker).__name__
        self._stack = ExitStack()
        self._rows = self._open(ROWS, (), sample_dtype(maker.steps))
        self._arrays: dict[str, ArrayWriter] = {}

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, rows: np.ndarray, made: list[dict[str, np.ndarray]], keep: np.ndarray) -> None:
        """Append the samples that ``keep`` [K] bool says of ``rows`` [K] and their arrays ``made`` [K].

        Raises:
            SensorError: the arrays' names, shapes or types have changed.
        """
        if made and not self._arrays:
            self._arrays = {name: self._open(name, array.shape, array.dtype) for name, array in sorted(made[0].items())}
        if any(one.keys() != self._arrays.keys() for one in made):
            raise self._changed("others")
        self._rows.append(rows[keep])
        for name, writer in self._arrays.items():
            chosen = [one[name] for one, good in zip(made, keep, strict=True) if good]
            try:
                if chosen:
                    writer.append(np.stack(chosen))
            except ValueError as error:
                raise self._changed(f"'{name}': {error}") from None

    def finish(self) -> tuple[str, ...]:
        """Names of the network's arrays, sorted. A recording without an instant gives an empty main picture."""
        if not self._arrays:
            self._arrays = {MAIN: self._open(MAIN, (0, 0, 3), np.dtype(np.uint8)), GRIDS: self._open(GRIDS, (0, 0), np.dtype(np.uint8))}
        return tuple(name for name in self._arrays if name != GRIDS)

    def _open(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> ArrayWriter:
        return self._stack.enter_context(ArrayWriter(self._folder / f"{name}.npy", shape, dtype))

    def _changed(self, got: str) -> SensorError:
        return SensorError(f"arrays of always the same names, shapes and types from {self._maker}", got, "correct its record()")
