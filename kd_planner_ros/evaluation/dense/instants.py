"""Instants of a recording: what a perceiver sees, and everything that is known about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.dense.motion import Look, Motion
from kd_planner_ros.evaluation.dense.vocabulary import tag_numbers
from kd_planner_ros.geometry.frames import camera_in_map
from kd_planner_ros.imaging.palette import THINGS

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording, Sample
    from kd_planner_ros.core.records import Frame
    from kd_planner_ros.core.sensors import CameraImage, CameraSpec
    from kd_planner_ros.networks.planner import Perceiver

KINDS = ("depth", "semantic", "instance")
"""Labels that are read where they were recorded."""
PAIR_S = 1.0
"""Frames further apart are no pair."""
_ASPECT = 0.05


@dataclass(frozen=True)
class Grid:
    """Where the pixels of the labels lie in the picture that the network gets.

    Attributes:
        shape: rows and columns of the labels.
        picture: rows and columns of the network's picture.
        scale, shift: a label's row r lies at ``scale[0] * (r + 0.5) + shift[0]`` of the picture's rows, counted from its upper edge;
            likewise the columns.
    """

    shape: tuple[int, int]
    picture: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    def lift(self, array: np.ndarray, nothing: float, name: str) -> np.ndarray:
        """``array`` [h, w, ...], which lies over the network's picture, at the nearest pixel of each label, so that no values are mixed
        across edges; ``nothing`` where the picture does not reach.

        Raises:
            ConfigError: its aspect is another, so that it does not lie over the picture.
        """
        (rows, columns), (height, width) = array.shape[:2], self.picture
        if abs(columns * height / (rows * width) - 1.0) > _ASPECT:
            raise ConfigError(f"output '{name}' of the camera's aspect {width}x{height}", f"{columns}x{rows}",
                              "give recordings of the camera that the model was made for")
        if array.shape[:2] == self.shape == self.picture and self.scale == (1.0, 1.0) and self.shift == (0.0, 0.0):
            return array
        (row, row_ok), (column, column_ok) = (self._nearest(axis, own) for axis, own in enumerate((rows, columns)))
        out = array[row[:, None], column[None]]
        if not (row_ok.all() and column_ok.all()):
            out[~row_ok] = nothing
            out[:, ~column_ok] = nothing
        return out

    def lift_smooth(self, array: np.ndarray, name: str) -> np.ndarray:
        """``array`` float32 [h, w] at each label by bilinear interpolation, NaN where the picture does not reach.

        Raises:
            ConfigError: as ``lift``.
        """
        nearest = self.lift(array, np.nan, name)
        rows, columns = (((np.arange(self.shape[axis]) + 0.5) * self.scale[axis] + self.shift[axis]) * own / self.picture[axis] - 0.5
                         for axis, own in enumerate(array.shape))
        x, y = (one.astype(np.float32) for one in np.meshgrid(columns, rows))
        smooth = cv2.remap(array.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(np.isnan(nearest), np.float32(np.nan), smooth)

    @cached_property
    def covered(self) -> np.ndarray | None:
        """bool [H, W]: the labels' pixels that lie in the network's picture; None: all of them."""
        (_, rows), (_, columns) = (self._nearest(axis, own) for axis, own in enumerate(self.picture))
        return None if rows.all() and columns.all() else rows[:, None] & columns[None]

    def _nearest(self, axis: int, own: int) -> tuple[np.ndarray, np.ndarray]:
        """(index int64 of the nearest of ``own`` pixels for each label along ``axis``, bool: the picture reaches there)."""
        at = ((np.arange(self.shape[axis]) + 0.5) * self.scale[axis] + self.shift[axis]) * own / self.picture[axis]
        return np.clip(np.floor(at).astype(np.int64), 0, own - 1), (at >= 0.0) & (at < own)


@dataclass(frozen=True)
class Labels:
    """What is known of one picture, all at the labels' size; None: not known.

    Attributes:
        depth: float32 [H, W] along z in metres, NaN unknown.
        tags: CARLA's tags uint8 [H, W].
        single: int32 [H, W], above 0: number of the road user.
        joined: groups of tags that these labels do not tell apart.
        look: for the motion since ``before``.
        steer: the driver's steering, share of full lock, positive LEFT.
        rgb: the picture at the labels' size, where the network gets another one.
        smooth: found depth is compared after bilinear scaling of its inverse, as published protocols do; else at the nearest pixel.
    """

    grid: Grid
    depth: np.ndarray | None = None
    tags: np.ndarray | None = None
    single: np.ndarray | None = None
    joined: tuple[tuple[str, ...], ...] = ()
    look: Look | None = None
    before: Look | None = None
    steer: float | None = None
    rgb: np.ndarray | None = None
    smooth: bool = False


@dataclass(frozen=True)
class Instant:
    """One frame of ``recording`` with its labels, at ``share`` (0 to 1) of everything that is evaluated; the labels lie over ``camera``.
    """

    recording: str
    frame: Frame
    camera: str
    share: float
    labels: Labels | None = None

    @cached_property
    def motion(self) -> Motion | None:
        """The motion since the frame before; None where it is not known."""
        labels = self.labels
        if labels is None or labels.look is None or labels.before is None:
            return None
        tags = labels.tags
        things = labels.look.single > 0 if tags is None else _THING[tags]
        return Motion(labels.look, labels.before, things)


_THING = np.zeros(256, bool)
_THING[tag_numbers(THINGS)] = True


def bag_instants(perceiver: Perceiver, recording: Recording, name: str, part: tuple[float, float] = (0.0, 1.0)) -> Iterator[Instant]:
    """Frames as the perceiver declares them, with the labels of its first camera; the recording, called ``name``, makes up the share
    from ``part[0]`` to ``part[1]`` of everything.

    Raises:
        BagError: a topic is missing, or the file is broken.
    """
    from kd_planner_ros.bags.cameras import recorded_names, samples_for

    rig = perceiver.rig
    cameras, clouds = tuple(spec.id for spec in rig.cameras), tuple(spec.id for spec in rig.lidars)
    recorded = recorded_names(recording, cameras)[:1]
    kinds = tuple(kind for kind in KINDS if recorded and recording.has_label(recorded[0], kind))
    stamps = recording.timeline.ego.stamps
    first, lasted = int(stamps[0]), max(int(stamps[-1]) - int(stamps[0]), 1)
    alone = len(cameras) == 1
    shots = _Shots(recording, recorded[0], kinds) if kinds and not alone else None  # other cameras need no labels
    before: Look | None = None
    for sample in samples_for(recording, cameras, clouds, rig, kinds if alone else ()):
        stamp = sample.frame.stamp_ns
        shot = sample.truth.labels.get(cameras[0]) if shots is None else shots.at(stamp)
        share = part[0] + (part[1] - part[0]) * min((stamp - first) / lasted, 1.0)
        labels = _labels(sample, shot, rig.cameras[0], before)
        yield Instant(name, sample.frame, cameras[0], share, labels)
        before = labels.look if labels is not None else None


def _labels(sample: Sample, shot: CameraImage | None, declared: CameraSpec, before: Look | None) -> Labels:
    frame, truth = sample.frame, sample.truth
    rows, columns = frame.images[declared.id].shape[:2]
    look = None if shot is None else _look(sample, shot, declared)
    pair = before if look is not None and before is not None and 0 < look.stamp_ns - before.stamp_ns <= PAIR_S * 1e9 else None
    steer = None if truth.control is None else float(truth.control.steer)
    if shot is None:
        return Labels(Grid((rows, columns), (rows, columns)), steer=steer)
    known = next((one for one in (shot.depth, shot.semantic, shot.instance) if one is not None), shot.rgb)
    height, width = known.shape[:2]
    grid = Grid((height, width), (rows, columns), (rows / height, columns / width))
    return Labels(grid, shot.depth, shot.semantic, shot.instance, (), look, pair, steer)


def _look(sample: Sample, shot: CameraImage, declared: CameraSpec) -> Look | None:
    """What motion is made of; None where a part of it was not recorded."""
    frame, actors = sample.frame, sample.truth.actors
    rgb = frame.images[declared.id]
    if shot.depth is None or shot.instance is None or actors is None or shot.depth.shape != rgb.shape[:2]:
        return None
    spec = frame.calibrations.get(declared.id, declared)
    pose = declared.pose if spec.pose == Pose() else spec.pose  # the recording does not say
    height, width = rgb.shape[:2]
    focal = spec.focal_px * width / spec.width
    intrinsics = np.array([[focal, 0.0, (width - 1) / 2.0], [0.0, focal, (height - 1) / 2.0], [0.0, 0.0, 1.0]])
    return Look(frame.stamp_ns, rgb, intrinsics, camera_in_map(frame.ego.pose, pose), shot.depth, shot.instance, actors)


class _Shots:
    """The labels of one camera, taken by their stamps in time order."""

    def __init__(self, recording: Recording, camera: str, kinds: tuple[str, ...]):
        from kd_planner_ros.bags.reader import open_bag

        self._recording = open_bag(recording.source)  # its own: what it lacks is not counted twice
        self._samples, self._camera = self._recording.samples((camera,), (), kinds, SensorRig(needs_route=False)), camera
        self._next: Sample | None = next(self._samples, None)

    def at(self, stamp_ns: int) -> CameraImage | None:
        """The labels at ``stamp_ns``, None where there are none; earlier ones are gone."""
        while self._next is not None and self._next.frame.stamp_ns < stamp_ns:
            self._next = next(self._samples, None)
        found = self._next
        return found.truth.labels[self._camera] if found is not None and found.frame.stamp_ns == stamp_ns else None
