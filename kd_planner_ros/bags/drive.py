"""A recording as a ``Drive``: its timeline, its route, and, when asked for, road users over time and the map's lines."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.captions import Caption
from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.core.true_scene import TrueScene
from kd_planner_ros.wire.topics import CAPTIONS, TRUTH_OBJECTS


def drive_of(recording: Recording) -> Drive:
    """The drive of ``recording``, which must stay open until tracks and lines have been read.

    Raises:
        BagError: there is no odometry.
    """
    return Drive(recording.timeline, recording.usable_route, lambda: tracks_of(recording), lambda: recording.map_lines,
                 lambda: captions_of(recording))


def scene_of(drive: Drive, actors: np.ndarray | None, signals: np.ndarray | None) -> TrueScene | None:
    """The scene itself at an instant of ``drive`` whose tables are ``actors`` and ``signals``; None without an object list."""
    if actors is None:
        return None
    signals = np.zeros(0, SIGNAL_DTYPE) if signals is None else signals
    lines = np.zeros(0, MAP_LINE_DTYPE) if drive.lines is None else drive.lines
    return TrueScene(actors, signals, lines, drive.tracks, has_future=True)


def tracks_of(recording: Recording) -> Tracks | None:
    """Every recorded object list; None where none was recorded. Of two lists with one stamp the first counts.

    Raises:
        BagError: a list that cannot be read.
    """
    if recording.lacks(TRUTH_OBJECTS):
        return None
    tables = recording.records_by_stamp("objects")
    stamps = np.array(sorted(tables), np.int64)
    lists = [tables[stamp] for stamp in stamps.tolist()]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return Tracks(stamps, starts, np.concatenate(lists) if lists else np.zeros(0, ACTOR_DTYPE))


def captions_of(recording: Recording) -> dict[tuple[str, int], Caption] | None:
    """Every recorded caption by view and stamp of the picture; None where none was recorded.

    Raises:
        BagError: a message that cannot be read.
    """
    if recording.lacks(CAPTIONS):
        return None
    return {(one.view, one.stamp_ns): one for _, told in recording.records("captions") for one in told}
