"""The drives behind some recordings, their scenes, and what each planner plans in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import Source
from kd_planner_ros.core.errors import BagError, PlannerError, SensorError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.core.timeline import POSE_COLUMNS, STAMP_TOLERANCE_NS
from kd_planner_ros.evaluation.pdm.recorded import RecordedScenes, read_scenes
from kd_planner_ros.evaluation.recorded_drives import SAME_M, drive_name, samples_of
from kd_planner_ros.world.maps import load_map

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording
    from kd_planner_ros.core.road import RoadMap
    from kd_planner_ros.networks.planner import Planner

Plans = Mapping[int, Trajectory]
"""The plan at each stamp of one drive."""


@dataclass
class DriveScenes:
    """One drive: its name, its recordings (the same drive with different sensors), and its scenes."""

    name: str
    sources: list[Source] = field(default_factory=list)
    found: RecordedScenes = field(default_factory=RecordedScenes)

    @property
    def wanted(self) -> np.ndarray:
        """The stamps at which plans are wanted, int64, increasing."""
        return np.unique(np.array([*self.found.scenes, *self.found.befores.values()], np.int64))

    @cached_property
    def content(self) -> list[object]:
        """What plans of this drive follow from beside the planner: hash of each recording, and how its topics are read.

        Raises:
            BagError: a recording that is not there any more.
        """
        from kd_planner_ros.samples.shards import content_hash

        return [self.name, *([content_hash(source.path), source.key] for source in self.sources)]

    def draw(self, kept: Iterable[int]) -> None:
        """Keep the scenes at the stamps ``kept`` alone."""
        kept = set(kept)
        self.found.scenes = {stamp: scene for stamp, scene in self.found.scenes.items() if stamp in kept}
        self.found.befores = {stamp: before for stamp, before in self.found.befores.items() if stamp in kept}


def read_drives(sources: Sequence[Source], steps: int, every_s: float, disturbed: bool, map_spec: str) -> list[DriveScenes]:
    """The drives in ``sources`` in the order of their names, with all their scenes.

    Raises:
        BagError: a recording lacks what scenes need, or two recordings of one drive do not agree.
        MapError: a recording's map cannot be loaded.
    """
    drives: dict[str, DriveScenes] = {}
    roads: dict[str, RoadMap] = {}
    for source in sources:
        with open_bag(source) as recording:
            name = drive_name(recording)
            if name in drives:
                _require_same(drives[name], recording)
                drives[name].sources.append(source)
                continue
            spec = map_spec or _map_of(recording)
            roads[spec] = roads.get(spec) or load_map(spec)
            drives[name] = DriveScenes(name, [source], read_scenes(recording, roads[spec], steps, every_s, disturbed))
    return [drives[name] for name in sorted(drives)]


def _require_same(drive: DriveScenes, recording: Recording) -> None:
    """Refuse ``recording`` where its car is not where the scenes of ``drive`` begin."""
    scenes = drive.found.scenes
    if not scenes:
        return
    here = recording.timeline.ego.take(np.array(list(scenes), np.int64))[:, [POSE_COLUMNS.index(name) for name in ("x", "y")]]
    gaps = np.hypot(*(here - np.array([scene.start.pose[:2] for scene in scenes.values()])).T)
    if not (gaps <= SAME_M).all():  # NaN, no state at that time, is not
        raise BagError(f"the drive of {drive.sources[0].path} in {recording.path}, as map, route and seed in its notes say",
                       f"a car {np.nanmax(gaps, initial=0.0):.1f} m away, or none", "evaluate the two recordings one by one")


def _map_of(recording: Recording) -> str:
    spec = recording.custom_data.get("map_spec", "")
    if not spec:
        raise BagError(f"the map of {recording.path} in its notes (map_spec)", "none", "name the map with --map")
    return spec


def plans_of(planner: Planner, drive: DriveScenes) -> tuple[dict[int, Trajectory], str]:
    """(the plans of ``planner`` at the stamps that ``drive`` wants, "") from the first of its recordings that has the planner's
    sensors; ({}, why) where none has. Every frame is planned in order, for planners that remember.

    Raises:
        BagError: a broken recording. PlannerError, SensorError: from the planner, after its first plan.
    """
    why = ""
    for source in drive.sources:
        with open_bag(source) as recording:
            try:
                return _plans_in(planner, recording, drive.wanted), ""
            except _Unfit as error:
                why = why or str(error)
    return {}, why


class _Unfit(Exception):
    """A recording cannot feed a planner."""


def _plans_in(planner: Planner, recording: Recording, wanted: np.ndarray) -> dict[int, Trajectory]:
    samples = samples_of(planner, recording)
    plans: dict[int, Trajectory] = {}
    planner.reset()
    try:
        sample = next(samples, None)
        plan = None if sample is None else planner.plan(sample.frame)
    except (BagError, PlannerError, SensorError) as error:  # a topic that is missing, another calibration, another size
        raise _Unfit(str(error)) from None
    while sample is not None and plan is not None and len(wanted):
        nearest = int(wanted[np.abs(wanted - sample.frame.stamp_ns).argmin()])
        if abs(nearest - sample.frame.stamp_ns) <= STAMP_TOLERANCE_NS:
            plans[nearest] = plan.trajectory
        sample = next(samples, None)
        plan = None if sample is None else planner.plan(sample.frame)
    return plans


def plans_to_json(plans: Mapping[str, Plans]) -> str:
    """The plans of one planner by drive, as JSON; numbers as they are."""
    rows: Any = {name: [[stamp, np.asarray(plan.points, float).tolist(), np.asarray(plan.times_s, float).tolist()]
                        for stamp, plan in sorted(one.items())] for name, one in sorted(plans.items())}
    return json.dumps(rows) + "\n"


def plans_from_json(path: Path) -> dict[str, dict[int, Trajectory]]:
    """What ``plans_to_json`` wrote.

    Raises:
        BagError: the file cannot be read.
    """
    with reading(BagError, f"plans in {path}", "delete the file and run the command again"):
        return {name: {int(stamp): Trajectory(int(stamp), np.array(points, float).reshape(-1, 2), np.array(times, float))
                       for stamp, points, times in rows} for name, rows in json.loads(path.read_text()).items()}
