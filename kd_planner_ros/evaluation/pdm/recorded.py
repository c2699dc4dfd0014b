"""Recordings of the built-in world to scenes: road users, signals and the driver from the recording, the road from its map."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kd_planner_ros.bags.drive import drive_of
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import ActorKind, LightState
from kd_planner_ros.core.timeline import POSE_COLUMNS, STAMP_TOLERANCE_NS, Series
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.evaluation.pdm.scene import HISTORY_STEPS, STEP_S, History, Lights, Others, Scene, Start
from kd_planner_ros.evaluation.pdm.streets import StreetMap
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS

BEFORE_S, BEFORE_TOLERANCE_S = 0.5, 0.15
NEAR_M = 20.0
"""Others and lanes count that lie so far beyond the car's own reach."""
FAST_MPS2 = 3.0
"""The car's reach is that of its speed and of so much acceleration, or the recorded driver's way where that leads further."""
STEP_NS = round(STEP_S * 1e9)
REMEDY = "record it with 'kd-planner record'"


@dataclass
class RecordedScenes:
    """The scenes of one drive by stamp, in order; ``befores`` the stamp of the plan before each; ``left_out`` counts instants by reason."""

    scenes: dict[int, Scene] = field(default_factory=dict)
    befores: dict[int, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def read_scenes(recording: Recording, road: RoadMap, steps: int, every_s: float, disturbed: bool = False) -> RecordedScenes:
    """The scenes of ``recording``, which last ``steps`` steps and begin ``every_s`` seconds apart at instants with an object list and,
    where cameras were recorded, a picture of the first one.

    Raises:
        BagError: no route, object list or signals, or nothing usable of them.
    """
    recording.require_all({REMEDY: (TRUTH_OBJECTS, TRUTH_SIGNALS)})
    reader = _Reader(recording, road, steps)
    found = RecordedScenes()
    every_ns, next_ns = round(every_s * 1e9), 0
    for stamp in reader.instants.tolist():
        if stamp < next_ns - STAMP_TOLERANCE_NS:
            continue
        before = reader.before(stamp)
        if not reader.holds(stamp):
            found.left_out["no history or future in the recording"] += 1
        elif before is None:
            found.left_out["no picture half a second earlier"] += 1
        elif not disturbed and reader.disturbed(stamp):
            found.left_out["driver disturbed"] += 1
        else:
            found.scenes[stamp], found.befores[stamp] = reader.scene(stamp, before), before
        start_ns = next_ns or stamp  # of the grid
        next_ns = start_ns + every_ns * ((stamp + STAMP_TOLERANCE_NS - start_ns) // every_ns + 1)
    return found


class _Reader:
    def __init__(self, recording: Recording, road: RoadMap, steps: int):
        drive, timeline = drive_of(recording), recording.timeline
        tracks, route = drive.tracks, recording.route
        if route is None:
            raise BagError(f"a route in {recording.path}", "none", REMEDY)
        if tracks is None or not len(tracks.stamps_ns):
            raise BagError(f"object lists in {recording.path}", "none", REMEDY)
        self.tracks: Tracks = tracks
        self.instants = _with_pictures(tracks.stamps_ns, recording)
        self._timeline, self._steps = timeline, steps
        self._signals = recording.records_by_stamp("traffic_lights")
        self._signal_stamps = np.array(sorted(self._signals), np.int64)
        if not len(self._signal_stamps):
            raise BagError(f"signals in {recording.path}", "none", REMEDY)
        self._stamps = timeline.ego.stamps
        self._states = timeline.ego.values[:, [POSE_COLUMNS.index(name) for name in _COLUMNS]].copy()
        self._states[:, 2] = np.unwrap(self._states[:, 2])
        self._streets = StreetMap(road, route)
        self._arcs = self._streets.along(self._at(tracks.stamps_ns)[:, :2])

    def before(self, stamp: int) -> int | None:
        """The instant nearest to ``BEFORE_S`` earlier."""
        stamps = self.instants
        nearest = int(stamps[np.abs(stamps - (stamp - round(BEFORE_S * 1e9))).argmin()])
        return nearest if abs((stamp - nearest) / 1e9 - BEFORE_S) <= BEFORE_TOLERANCE_S else None

    def holds(self, stamp: int) -> bool:
        """Whether the recording goes from the history to the last instant of a scene."""
        first = stamp - HISTORY_STEPS * STEP_NS
        last = stamp + self._steps * STEP_NS
        return bool(self._stamps[0] <= first and last <= min(self._stamps[-1], self.tracks.stamps_ns[-1]))

    def disturbed(self, stamp: int) -> bool:
        """Whether the executed control was not the driver's own at some time between history and last instant."""
        ticks = self._stamps
        inside = ticks[(ticks >= stamp - HISTORY_STEPS * STEP_NS) & (ticks <= stamp + self._steps * STEP_NS)]
        return bool(np.nan_to_num(self._timeline.states("disturbance", inside)).any())

    def scene(self, stamp: int, before: int) -> Scene:
        """The scene that begins at ``stamp``."""
        future = np.arange(self._steps + 1) * STEP_NS
        driver, history = self._at(stamp + future), self._at(stamp - np.arange(HISTORY_STEPS, 0, -1) * STEP_NS)
        start = _start(driver[0])
        reach = NEAR_M + _way_m(start.speed_mps, driver[:, :2] - driver[0, :2], self._steps * STEP_S)
        arc = float(self._arcs[int(np.searchsorted(self.tracks.stamps_ns, stamp))])
        return Scene(start, _start(self._at(np.array([before]))[0]), round((stamp - before) / STEP_NS), History(*history[:, 2:].T),
                     driver[:, :3], self._at(before + future)[:, :3], self._others(stamp + future, driver[0, :2], reach),
                     self._lights(stamp + future, driver[0, :2], reach), self._streets.around(driver[0, :2], reach),
                     self._streets.route_near(arc, reach), reach)

    def _at(self, stamps: np.ndarray) -> np.ndarray:
        """The ego's ``_COLUMNS`` at ``stamps`` [K], linear between ticks: [K, 6]."""
        since = self._stamps[0]
        return np.stack([np.interp((stamps - since) / 1e9, (self._stamps - since) / 1e9, column) for column in self._states.T], axis=1)

    def _others(self, stamps: np.ndarray, place: np.ndarray, reach_m: float) -> Others:
        first, last = np.searchsorted(self.tracks.stamps_ns, [stamps[0] - STEP_NS, stamps[-1] + STEP_NS])
        rows = self.tracks.rows[self.tracks.starts[first]:self.tracks.starts[last]]
        rows = rows[np.hypot(rows["x"] - place[0], rows["y"] - place[1]) <= reach_m + NEAR_M]
        ids, at = np.unique(rows["id"], return_index=True)
        states = self.tracks.states(ids, stamps)
        sizes = np.stack([rows["length"][at], rows["width"][at]], axis=1).astype(float).reshape(len(ids), 1, 2)
        boxes = np.concatenate([states[..., :3], np.broadcast_to(sizes, (*states.shape[:2], 2))], axis=2)
        return Others(boxes.transpose(1, 0, 2), np.hypot(states[..., 3], states[..., 4]).T, rows["kind"][at] == ActorKind.STATIC)

    def _lights(self, stamps: np.ndarray, place: np.ndarray, reach_m: float) -> Lights:
        nearest = [int(self._signal_stamps[np.abs(self._signal_stamps - stamp).argmin()]) for stamp in stamps.tolist()]
        first = self._signals[nearest[0]]
        lines = np.stack([np.stack([first[f"stop_x{end}"], first[f"stop_y{end}"]], axis=1) for end in (0, 1)], axis=1).astype(float)
        near = np.flatnonzero(np.hypot(*(lines.mean(axis=1) - place).T) <= reach_m) if len(lines) else np.zeros(0, int)
        red = np.array([_red(self._signals[one], first["id"][near]) for one in nearest], bool).reshape(len(stamps), len(near))
        return Lights(lines[near], first["yaw"][near].astype(float) + math.pi, red)


def _with_pictures(stamps: np.ndarray, recording: Recording) -> np.ndarray:
    """Those of ``stamps`` at which the first camera took a picture; all where no camera was recorded. Lists come more often where
    roadside stations send."""
    times = recording.placed_times(recording.image_topic(recording.cameras[0])) if recording.cameras else None
    if times is None:
        return stamps
    taken = np.sort(times.stamps)
    return stamps[Series(taken, taken).at(stamps) >= 0]


_COLUMNS = ("x", "y", "yaw", "speed_mps", "acceleration_mps2", "yaw_rate_rps")


def _way_m(speed_mps: float, driven: np.ndarray, seconds: float) -> float:
    """How far a car may get in ``seconds``: at ``FAST_MPS2`` from its speed on, or as far as the driver got, ``driven`` [T + 1, 2]."""
    return max(max(speed_mps, 0.0) * seconds + FAST_MPS2 * seconds**2 / 2.0, float(np.hypot(*driven.T).max()))


def _start(row: np.ndarray) -> Start:
    return Start(row[:3], float(row[3]), float(row[4]), float(row[5]))


def _red(table: np.ndarray, ids: np.ndarray) -> list[bool]:
    states: Mapping[int, int] = dict(zip(table["id"].tolist(), table["state"].tolist(), strict=True))
    return [states.get(one) == LightState.RED for one in ids.tolist()]

