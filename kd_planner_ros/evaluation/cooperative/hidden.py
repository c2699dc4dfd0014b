"""Instants at which the roadside alone knows of a road user that is about to get in the car's way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kd_planner_ros.core.captions import KIND_WORDS
from kd_planner_ros.core.sensors import RoadsideWish, SensorRig
from kd_planner_ros.core.timeline import POSE_COLUMNS
from kd_planner_ros.evaluation.metrics import HALF_TICK_NS
from kd_planner_ros.geometry.polyline import arc_lengths, project

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording
    from kd_planner_ros.core.drive import Drive

WINDOW_S, STEP_S = 4.5, 0.1
"""How far ahead is looked, and in which steps."""
IN_THE_WAY_M = 2.0
"""A road user whose middle is no further than this from the car's way is in the way: half a car's width, and what the other one needs."""
UNSEEN_PIXELS = 3
"""A road user with at most so many pixels in the instance picture of the car's camera is not seen by it."""
WISH = RoadsideWish(views=2, range_m=150.0, max_age_s=0.5, objects=True, pictures=False)
"""Whose lists count: those of the two nearest stations, which the shared recordings hold, as far and as old as V2X-VLM takes them."""
_SPEED = POSE_COLUMNS.index("speed_mps")


@dataclass(frozen=True)
class HiddenUsers:
    """Of which instants it is known whether a hidden road user is about to get in the way.

    Attributes:
        stamps_ns: int64 [K], increasing. hidden: bool [K].
        why: why there is no instant; "" where there is one.
    """

    stamps_ns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    hidden: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    why: str = ""

    def at(self, stamp_ns: int) -> bool | None:
        """Whether one is hidden at ``stamp_ns``; None where it is not known."""
        if not len(self.stamps_ns):
            return None
        nearest = int(np.abs(self.stamps_ns - stamp_ns).argmin())
        return bool(self.hidden[nearest]) if abs(int(self.stamps_ns[nearest]) - stamp_ns) <= HALF_TICK_NS else None


def hidden_users(recording: Recording) -> HiddenUsers:
    """The instants of ``recording`` at which the list of one of the two nearest stations holds a road user that the car's camera does not
    show and that gets in the way ahead of the car within the next 4.5 s, while it is not in the way yet.

    The camera is the first one with instance labels; what is outside of its picture is not seen. The way is where the car was driven
    from then on, as far as it came in 4.5 s or would have come at the speed it had: a car that brakes for somebody does not reach him.

    Raises:
        BagError: the recording is broken.
    """
    from kd_planner_ros.bags.drive import drive_of

    eyes = [camera for camera in recording.cameras if recording.has_label(camera, "instance")]
    if not eyes:
        return HiddenUsers(why="no instance labels, which say whom the car's camera sees: record with --labels all")
    drive = drive_of(recording)
    if drive.tracks is None:
        return HiddenUsers(why="no road users were recorded")
    judged = list(_judged(recording, drive, eyes[0]))
    if not judged:
        return HiddenUsers(why=f"no instant with road users and instance labels of camera '{eyes[0]}'")
    stamps, hidden = zip(*judged, strict=True)
    return HiddenUsers(np.array(stamps, np.int64), np.array(hidden, bool))


def _judged(recording: Recording, drive: Drive, eye: str) -> Iterator[tuple[int, bool]]:
    from kd_planner_ros.bags.cameras import samples_for

    for sample in samples_for(recording, (eye,), (), SensorRig(roadside=WISH, needs_route=False), {eye: ("instance",)}):
        frame, actors, shot = sample.frame, sample.truth.actors, sample.truth.labels[eye]
        if actors is None or shot.instance is None:
            continue
        lists = [view.objects["id"] for view in frame.roadside if view.objects is not None]
        told = np.concatenate(lists) if lists else np.zeros(0, np.int32)
        alone = actors["id"][unseen(actors, shot.instance) & np.isin(actors["id"], told)]
        yield frame.stamp_ns, bool(len(alone)) and in_the_way(drive, frame.stamp_ns, alone)


def unseen(actors: np.ndarray, instance: np.ndarray) -> np.ndarray:
    """bool [N]: which rows of ACTOR_DTYPE are road users that ``instance`` (int32 [H, W], 1 + row) does not show."""
    inside = instance[(instance > 0) & (instance <= len(actors))]
    pixels = np.bincount(inside.ravel(), minlength=len(actors) + 1)[1:]
    return np.isin(actors["kind"], list(KIND_WORDS)) & (pixels <= UNSEEN_PIXELS)


def in_the_way(drive: Drive, stamp_ns: int, ids: np.ndarray) -> bool:
    """Whether one of the road users ``ids`` [N] of ``drive`` is not in the car's way at ``stamp_ns`` and is within WINDOW_S of it, ahead of
    where the car is then: who drives behind the car drives over its way as well, and is no hazard."""
    way = way_ahead(drive, stamp_ns)
    times = stamp_ns + np.round(1e9 * STEP_S * np.arange(round(WINDOW_S / STEP_S) + 1)).astype(np.int64)
    assert drive.tracks is not None
    places = drive.tracks.states(ids, times)[..., :2]
    known = np.isfinite(places).all(-1)
    away, along = np.full(known.shape, np.inf), np.zeros(known.shape)
    if known.any():
        nearest = project(places[known], way)
        away[known], along[known] = np.abs(nearest.offset_m), nearest.arc_m
    meets = (away <= IN_THE_WAY_M) & (along > _driven_m(drive, stamp_ns, times))
    return bool((known[:, 0] & (away[:, 0] > IN_THE_WAY_M) & meets[:, 1:].any(1)).any())


def _driven_m(drive: Drive, stamp_ns: int, times: np.ndarray) -> np.ndarray:
    """Metres [T] that the car was driven from ``stamp_ns`` until ``times``; behind the end of the drive those until its end."""
    first = _tick_of(drive, stamp_ns)
    return np.interp(times, drive.stamps_ns[first:], arc_lengths(drive.poses[first:, :2]))


def _tick_of(drive: Drive, stamp_ns: int) -> int:
    return int(np.clip(np.searchsorted(drive.stamps_ns, stamp_ns), 0, len(drive.stamps_ns) - 1))


def way_ahead(drive: Drive, stamp_ns: int) -> np.ndarray:
    """The car's way [K >= 2, 2] in ``map`` from ``stamp_ns`` on: as far as it was driven in WINDOW_S, or as the speed at ``stamp_ns``
    would have brought it, whichever is further."""
    stamps, speeds = drive.stamps_ns, drive.timeline.ego.values[:, _SPEED]
    first = _tick_of(drive, stamp_ns)
    points = drive.poses[first:, :2]
    arc = arc_lengths(points)
    driven = arc[min(int(np.searchsorted(stamps[first:], stamp_ns + round(1e9 * WINDOW_S))), len(arc) - 1)]
    reach = max(float(driven), WINDOW_S * float(speeds[first]))
    kept = points[:max(2, int(np.searchsorted(arc, reach, side="right")))]
    return kept if len(kept) > 1 else np.repeat(kept, 2, axis=0)

