"""Frames from their parts: the one place where a Frame is put together, for node, evaluator, trainer and bench alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from kd_planner_ros.core.records import EgoState, Frame, NavigationGoal
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.core.v2x import RoadsideView

HISTORY_TOLERANCE_NS = 25_000_000
"""Half a tick of 20 Hz: a remembered frame that is nearer to a declared offset stands for that offset."""


def make_frame(cameras: Iterable[CameraSpec], ego: EgoState, goal: NavigationGoal | None, images: Mapping[str, np.ndarray],
               clouds: Mapping[str, np.ndarray], ages_s: Mapping[str, float] | None = None, *, stamp_ns: int | None = None,
               history: tuple[Frame | None, ...] = (), roadside: tuple[RoadsideView, ...] = ()) -> Frame:
    """The Frame at ``stamp_ns`` (None: the ego's).

    Args:
        cameras: calibrations; those of cameras that have no picture in ``images`` are left out.
        ages_s: age of each sensor's data; None: nothing is old.
    """
    ages_s = {sensor: 0.0 for sensor in (*images, *clouds)} if ages_s is None else ages_s
    return Frame(ego.stamp_ns if stamp_ns is None else stamp_ns, ego, goal, images, clouds, ages_s,
                 {spec.id: spec for spec in cameras if spec.id in images}, history, roadside)


class FrameHistory:
    """Remembers the frames that ``rig.history_s`` looks back at, and gives them back by their age.

    A frame is remembered without its own history, so that memory stays bounded.
    """

    def __init__(self, rig: SensorRig):
        self._offsets_ns = tuple(round(age_s * 1e9) for age_s in rig.history_s)
        self._kept: deque[Frame] = deque()

    def before(self, stamp_ns: int) -> tuple[Frame | None, ...]:
        """One frame an offset of ``history_s``, in its order: the nearest within half a tick, None where there is none."""
        return tuple(self._nearest(stamp_ns - offset) for offset in self._offsets_ns)

    def remember(self, frame: Frame) -> None:
        """Keep ``frame`` for later calls of ``before``; frames older than the oldest offset are dropped. A frame that is
        older than the newest one kept means that time was set back: everything kept is dropped first."""
        if not self._offsets_ns:
            return
        if self._kept and frame.stamp_ns < self._kept[-1].stamp_ns:
            self.reset()
        self._kept.append(frame)
        oldest = frame.stamp_ns - max(self._offsets_ns) - HISTORY_TOLERANCE_NS
        while self._kept[0].stamp_ns < oldest:
            self._kept.popleft()

    def reset(self) -> None:
        """Forget every frame."""
        self._kept.clear()

    def _nearest(self, stamp_ns: int) -> Frame | None:
        best = min(self._kept, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)
        return best if best is not None and abs(best.stamp_ns - stamp_ns) <= HISTORY_TOLERANCE_NS else None


def with_history(frame: Frame, history: FrameHistory) -> Frame:
    """``frame`` with what ``history`` holds before it; ``history`` then remembers ``frame`` as it came."""
    past = history.before(frame.stamp_ns)
    history.remember(frame)
    return replace(frame, history=past) if past else frame
