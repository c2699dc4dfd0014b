"""Frames from their parts: the one place where a Frame is put together, for node, evaluator, trainer and bench alike."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState, NavigationGoal, Pose
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView

KEPT_MESSAGES = 8
"""Messages of one kind kept of each station: 0.8 s at 10 Hz."""
PAIRING_NS = 100_000_000
"""A roadside picture that was taken longer before the car's than this is no pair with it: a car at 12 m/s has moved 1.2 m."""
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


def history_phases(rig: SensorRig, period: int, tick_s: float) -> frozenset[int]:
    """The ticks, modulo the ``period`` ticks between two runs of a model, whose frames are within reach of an offset of ``history_s`` from
    a run: in a world of ticks no other frames need to be remembered."""
    tick_ns = round(tick_s * 1e9)
    offsets = [round(age_s * 1e9) for age_s in rig.history_s]
    return frozenset(-back % period for offset in offsets for back in range(1, (offset + HISTORY_TOLERANCE_NS) // tick_ns + 1)
                     if abs(back * tick_ns - offset) <= HISTORY_TOLERANCE_NS)


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


class RoadsideBuffer:
    """The newest messages of each station, and the views that a model is given of them.

    Pictures and object lists come one by one, late, out of order or not at all: none of it is an error. Messages are kept
    as they came and decoded when they are asked for. One thread may take messages while another asks for views.

    Attributes:
        unpaired: roadside pictures that were given with a frame of the car taken more than 0.1 s later, each counted once.
    """

    def __init__(self, wish: RoadsideWish):
        self._wish = wish
        self._feet: dict[str, Pose] = {}
        self._pictures: dict[str, deque[tuple[int, CameraSpec, Any]]] = {}
        self._objects: dict[str, deque[tuple[int, Any]]] = {}
        self._counted: dict[str, int] = {}
        self.unpaired = 0

    def hears(self, lists: bool) -> bool:
        """Whether object lists (``lists``) or pictures are kept."""
        return self._wish.hears(lists)

    def take_picture(self, station: Station, camera: CameraSpec, stamp_ns: int, item: Any) -> None:
        """Keep a picture that ``camera`` (pose in ``map``) of ``station`` took at ``stamp_ns``; a no-op where the model wants none."""
        if self._wish.pictures:
            self._feet[station.id] = station.pose
            self._pictures.setdefault(station.id, deque(maxlen=KEPT_MESSAGES)).append((stamp_ns, camera, item))

    def take_objects(self, station: Station, stamp_ns: int, item: Any) -> None:
        """Keep the object list of ``station`` at ``stamp_ns``; a no-op where the model wants none."""
        if self._wish.objects:
            self._feet[station.id] = station.pose
            self._objects.setdefault(station.id, deque(maxlen=KEPT_MESSAGES)).append((stamp_ns, item))

    def take(self, view: RoadsideView) -> None:
        """Keep a view whose parts are already decoded, and which says where its mast stands."""
        if view.foot is None:
            raise ValueError(f"a view of station {view.station!r} without the foot of its mast")
        station = Station(view.station, view.foot)
        if view.image is not None and view.camera is not None:
            self.take_picture(station, view.camera, view.stamp_ns, view.image)
        if view.objects is not None:
            self.take_objects(station, view.stamp_ns, view.objects)

    def views(self, stamp_ns: int, x: float, y: float, image_of: Callable[[Any], np.ndarray | None] = lambda item: item,
              objects_of: Callable[[Any], np.ndarray | None] = lambda item: item) -> tuple[RoadsideView, ...]:
        """At most ``wish.views`` views for a car at (x, y) in ``map`` at ``stamp_ns``: nearest first, none older than
        ``wish.max_age_s``, none of a station whose mast is further away than ``wish.range_m``; what is newer than ``stamp_ns`` waits
        for a later frame. A station without a usable picture may still give its object list; where pictures are wanted, such stations come
        last.

        Args:
            image_of, objects_of: from a kept item to RGB uint8 [H, W, 3] and ACTOR_DTYPE [N]; None: unusable, and that
                part is missing.
        """
        found: list[tuple[bool, float, str, Pose]] = []
        for station, foot in dict(self._feet).items():
            blind = self._fresh(self._pictures.get(station, ()), stamp_ns) is None
            away_m = math.hypot(foot.x - x, foot.y - y)
            if away_m <= self._wish.range_m and not (blind and self._fresh(self._objects.get(station, ()), stamp_ns) is None):
                found.append((blind, away_m, station, foot))
        nearest = sorted(found, key=lambda one: one[:3])[: self._wish.views]
        views = (self._view(station, foot, stamp_ns, image_of, objects_of) for *_, station, foot in nearest)
        return tuple(view for view in views if view is not None)

    def forget(self, station: str) -> None:
        """Forget the messages of the station of this id: another one has its name from now on, or none."""
        for kept in (self._feet, self._pictures, self._objects):
            kept.pop(station, None)

    def reset(self) -> None:
        """Forget every message."""
        self._feet.clear()
        self._pictures.clear()
        self._objects.clear()
        self._counted.clear()

    def _fresh(self, kept: Iterable[tuple], stamp_ns: int) -> Any:
        oldest = stamp_ns - round(self._wish.max_age_s * 1e9)
        return max((one for one in tuple(kept) if oldest <= one[0] <= stamp_ns), key=lambda one: one[0], default=None)

    def _view(self, station: str, foot: Pose, stamp_ns: int, image_of: Callable[[Any], np.ndarray | None],
              objects_of: Callable[[Any], np.ndarray | None]) -> RoadsideView | None:
        picture, rows = self._fresh(self._pictures.get(station, ()), stamp_ns), self._fresh(self._objects.get(station, ()), stamp_ns)
        image, objects = image_of(picture[2]) if picture else None, objects_of(rows[1]) if rows else None
        if image is None and objects is None:
            return None
        taken_ns = picture[0] if image is not None else rows[0]
        if image is not None and stamp_ns - taken_ns > PAIRING_NS and self._counted.get(station) != taken_ns:
            self._counted[station] = taken_ns
            self.unpaired += 1
        return RoadsideView(station, picture[1] if picture else None, image, objects, taken_ns, (stamp_ns - taken_ns) / 1e9,
                            foot, (stamp_ns - rows[0]) / 1e9 if objects is not None else None)


def unknown_ego(stamp_ns: int) -> EgoState:
    """The ego of a frame without odometry: every number is NaN."""
    nan = math.nan
    return EgoState(stamp_ns, Pose(nan, nan, nan, nan, nan, nan), nan, nan, nan, nan)


class FrameMaker:
    """Makes one Frame after another for a model with ``rig``: adds the earlier frames and the roadside views that it
    declares. Used by the node, the evaluator and the recorder alike. ``roadside`` is None where the model wants no views."""

    def __init__(self, rig: SensorRig):
        self._rig, self._history = rig, FrameHistory(rig)
        self.roadside = RoadsideBuffer(rig.roadside) if rig.roadside is not None else None

    def make(self, ego: EgoState, goal: NavigationGoal | None, images: Mapping[str, np.ndarray], clouds: Mapping[str, np.ndarray],
             ages_s: Mapping[str, float] | None = None, *, stamp_ns: int | None = None,
             image_of: Callable[[Any], np.ndarray | None] = lambda item: item,
             objects_of: Callable[[Any], np.ndarray | None] = lambda item: item) -> Frame:
        """The Frame of these parts (``make_frame``); the arguments of ``RoadsideBuffer.views`` decode its roadside views."""
        stamp = ego.stamp_ns if stamp_ns is None else stamp_ns
        views = () if self.roadside is None else self.roadside.views(stamp, ego.pose.x, ego.pose.y, image_of, objects_of)
        frame = make_frame(self._rig.cameras, ego, goal, images, clouds, ages_s, stamp_ns=stamp, roadside=views)
        past = self._history.before(stamp)
        self._history.remember(frame)
        return replace(frame, history=past) if past else frame

    def reset(self) -> None:
        """Forget earlier frames and roadside messages: time was set back, or another drive begins."""
        self._history.reset()
        if self.roadside is not None:
            self.roadside.reset()
