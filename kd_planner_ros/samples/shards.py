"""Recordings to training samples, once: a shard of plain .npy files for each recording, read by memory map.

A shard is named by the recording's content and by what shaped it (input size, camera, format), so a change of either
builds a new one and an interrupted build goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.cameras import TRAIN_REMEDY, recorded_names, require_calibration
from kd_planner_ros.bags.contents import SPLIT
from kd_planner_ros.bags.files import bag_files
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.bags.source import Source, as_source
from kd_planner_ros.core.errors import TrainingError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.samples import MAIN, SampleMaker, require_valid
from kd_planner_ros.samples.arrays import open_array, put_in_place
from kd_planner_ros.samples.make import make_samples, no_control
from kd_planner_ros.samples.rows import begins
from kd_planner_ros.wire.topics import CAPTIONS, MAP_LINES, TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE

FORMAT = 6
"""Raise when the meaning of a row changes, or what a recording is refused for: old shards are then built again."""
TRUTH = {"objects": TRUTH_OBJECTS, "signals": TRUTH_SIGNALS, "tracks": TRUTH_OBJECTS, "lines": MAP_LINES,
         "captions": CAPTIONS}

@dataclass(frozen=True)
class Shard:
    """The samples of one recording on disk; ``past`` as the ``SampleMaker`` declares it."""

    folder: Path
    past: tuple[tuple[str, int], ...] = ()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Recording, map, route, seed, weather, content hash, and how many samples were left out and why."""
        with reading(TrainingError, f"facts of samples in {self.folder}", f"delete {self.folder}: it is made again"):
            facts = dict(json.loads((self.folder / "facts.json").read_text()))
            return facts | {name: str(facts[name]) for name in ("bag", "content", "map", "route")} | (
                {"fields": list(facts["fields"])} if "fields" in facts else {})

    @cached_property
    def rows(self) -> np.ndarray:
        """``sample_dtype`` of the network's horizon [N]."""
        return open_array(self.folder / "rows.npy")

    @cached_property
    def known_actions(self) -> int:
        """Of how many samples the control is known."""
        return int(np.isfinite(self.rows["actions"][:, 0]).all(1).sum())

    @cached_property
    def images(self) -> np.ndarray:
        """The main picture, RGB uint8 [N, H, W, 3], a memory map."""
        with reading(TrainingError, f"a whole array in {self.folder}", f"delete {self.folder}: it is made again"):
            return np.load(self.folder / f"{MAIN}.npy", mmap_mode="r")

    @cached_property
    def fields(self) -> dict[str, np.ndarray]:
        """The network's arrays beside the main picture, by name: [N, ...] each."""
        return {name: open_array(self.folder / f"{name}.npy") for name in self.facts.get("fields", ())}

    def arrays(self, rows: slice) -> dict[str, np.ndarray]:
        """The main picture and the fields of ``rows``, copied out of the maps, with the samples before them where ``past`` says so."""
        chosen = range(len(self.rows))[rows]
        return {name: np.stack([self.array(name, row) for row in chosen]) if name in dict(self.past) else np.array(array[rows])
                for name, array in {MAIN: self.images, **self.fields}.items()}

    def array(self, name: str, row: int) -> np.ndarray:
        """Array ``name`` of sample ``row``; for one of ``past`` with those of the samples before, oldest first."""
        array, before = self.images if name == MAIN else self.fields[name], dict(self.past).get(name)
        if before is None:
            return array[row]
        return array[np.maximum(np.arange(row - before, row + 1), self._first[row])]

    @cached_property
    def _first(self) -> np.ndarray:
        """The first sample of the stretch without a gap that each sample [N] lies in."""
        new = begins(self.rows["stamp"])
        return np.flatnonzero(new)[np.cumsum(new) - 1]

    @cached_property
    def grids(self) -> np.ndarray:
        """What is where in each picture, uint8 [N, H / CELL_PX, W / CELL_PX] (imaging/class_grid)."""
        return open_array(self.folder / "grids.npy")


def content_hash(bag: Path) -> str:
    """SHA-256 over the data files of a recording, as they lie on the disk (metadata.yaml repeats them).

    Raises:
        BagError: there is no recording, or a file that is not finished.
    """
    digest = hashlib.sha256()
    for path in sorted(bag_files(Path(bag)).files):
        part = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                part.update(block)
        digest.update(part.digest())
    return digest.hexdigest()


def build_shards(bags: Sequence[Path | Source], root: Path, maker: SampleMaker, progress: bool = True,
                 rig: SensorRig = SensorRig()) -> list[Shard]:
    """The shard of each of ``bags`` with the arrays that ``maker`` makes, built where it is not there yet.

    Args:
        rig: what the network declares; each recording's cameras must be those, also where its shard is there already.

    Raises:
        BagError: a recording is broken, lacks a topic or a label, or its cameras are not those of ``rig``; shards built before stay.
        SensorError: a sensor of a recording gives something unfit.
        ConfigError: a declaration of ``maker`` makes no sense.
    """
    require_valid(maker)
    shards, shapes = [], shaped_by(maker)
    for bag in tqdm(bags, desc="samples", unit="bag", disable=not progress):
        content = content_hash(bag)
        said = as_source(bag).key
        key = hashlib.sha256(json.dumps([FORMAT, content, *shapes, *([said] if said else [])], sort_keys=True).encode())
        folder = Path(root) / key.hexdigest()[:20]
        with open_bag(bag) as recording:
            require_calibration(recording, rig, TRAIN_REMEDY)
            if not (folder / "facts.json").is_file():
                _build(recording, folder, maker, content)
        shards.append(Shard(folder, maker.past))
        _require_actions(shards[-1], maker, bag)
    return shards


def _require_actions(shard: Shard, maker: SampleMaker, bag: Path) -> None:
    """Refuse samples that say nothing of the control, for a network that learns it: its branch would stay as it began."""
    if maker.needs_control and shard.facts["samples"] and not shard.known_actions:
        raise no_control(str(bag), shard.facts["samples"])


def shaped_by(maker: SampleMaker) -> list[Any]:
    """What shapes the samples beside the recording, as JSON values. A declaration counts only where it is not the default one,
    so that shards from before there were declarations keep the name they have."""
    parts: list[Any] = [maker.cameras[0] if maker.cameras else "", dict(maker.key)]
    if len(maker.cameras) > 1 or maker.clouds or maker.format > 1:
        parts += [maker.cameras[1:], maker.clouds, maker.format]
    declared = {name: getattr(maker, name) for name in ("horizon_s", "step_s", "offsets_ns", "labels", "needs_route", "roadside")
                if getattr(maker, name) != getattr(SampleMaker, name)}
    if maker.roadside is not None:
        declared["roadside"] = asdict(maker.roadside)
    if maker.own_shards:
        declared |= {"maker": f"{type(maker).__module__}.{type(maker).__qualname__}", "truth": maker.truth, "grid": maker.grid}
    return [*parts, declared] if declared else parts


def _build(recording: Recording, folder: Path, maker: SampleMaker, content: str) -> None:
    require_topics(recording, maker)

    def fill(place: Path) -> dict[str, Any]:
        made = make_samples(recording, maker, place)
        return {"bag": recording.path.name, "content": content, "frames": made.frames, "samples": made.samples,
                "incomplete": recording.incomplete, "left_out": made.left_out, "notes": recording.notes,
                "map": recording.map_name, **({SPLIT: recording.split} if recording.split else {}),
                **{k: recording.custom_data.get(k, "") for k in ("route", "seed", "weather")}, **fields_of(made.names)}

    build_whole(folder, fill)


def fields_of(names: tuple[str, ...]) -> dict[str, Any]:
    """What the facts of a shard say of the names of its arrays."""
    return {} if names == (MAIN,) else {"fields": [name for name in names if name != MAIN]}


def build_whole(folder: Path, fill: Callable[[Path], dict[str, Any]]) -> None:
    """Make the shard ``folder``: ``fill`` writes the arrays into the folder that it is given and gives the facts. Nothing is left of a
    shard that was not finished."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write_text(partial / "facts.json", json.dumps(fill(partial), indent=1, sort_keys=True))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if not (folder / "facts.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)  # an old copy that lost its facts
    put_in_place(partial, folder)


def require_topics(recording: Recording, maker: SampleMaker) -> None:
    """Refuse a recording that lacks a sensor, a label, a table of truth or the route, which ``maker`` makes its samples from.

    Raises:
        BagError: topics are missing; each is named.
    """
    topics, lacks = recording.topics, recording.lacks
    recorded = dict(zip(maker.cameras, recorded_names(recording, maker.cameras), strict=True))
    route = topics.waypoints if not lacks(topics.waypoints) else topics.route
    missing = {
        f"the recording has the cameras {', '.join(recording.cameras) or 'none'} and the LiDARs "
        f"{', '.join(recording.clouds) or 'none'}: say which camera is which with --camera NAME=RECORDED, or record the network's own with "
        "'kd-planner record --network'":
            [recording.image_topic(camera) for camera in recorded.values()] + [topics.sensor(cloud) for cloud in maker.clouds],
        "record the labels too with 'kd-planner record --labels', or train a network that needs none ('tcp')":
            [recording.label_topic(recorded[camera], kind) for camera, kinds in maker.labels.items() for kind in kinds],
        "record the truth too, or train a network that needs none ('tcp')":
            list(dict.fromkeys(TRUTH[name] for name in maker.truth)),
        "record it too: without it there is no Frame": [topics.odometry],
        "record the route too: without it there is no target point to train on":
            [route] if maker.needs_route else [],
        "record what the driver did too, as 'kd-planner record' does: CARLA's autopilot sends no control":
            [topics.control] if maker.needs_control and lacks(TRUTH_STATE) else []}
    recording.require_all(missing)
