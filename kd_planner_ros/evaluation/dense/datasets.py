"""Public data sets as instants: each picture as the perceiver's camera would have taken it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.cityscapes import Cityscapes
from kd_planner_ros.bags.kitti import Kitti
from kd_planner_ros.bags.labelled import Dataset, LabelledPicture
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.dense.config import DenseConfig
from kd_planner_ros.evaluation.dense.instants import Grid, Instant, Labels
from kd_planner_ros.imaging.resize import resize_rgb

if TYPE_CHECKING:
    from kd_planner_ros.networks.planner import Perceiver

SAME_FOV_DEG, SAME_ASPECT = 1.0, 0.02
"""A camera whose field of view and aspect differ by no more is the network's: its pictures are scaled, as published protocols do."""


def find_dataset(config: DenseConfig) -> DatasetFrames:
    """The data set that ``config`` names.

    Raises:
        BagError: it is missing or has another layout.
    """
    if config.kitti is not None:
        return DatasetFrames(Kitti(config.kitti, Path(config.split) if config.split else None))
    assert config.cityscapes is not None
    return DatasetFrames(Cityscapes(config.cityscapes, config.split or "val"))


class DatasetFrames:
    """The pictures of ``dataset``; pictures that are no video are seen one by one."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._notes: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._dataset.sequences)

    def instants(self, perceiver: Perceiver) -> Iterator[Instant]:
        """See ``LabelledFrames``.

        Raises:
            ConfigError: a perceiver of several cameras or of a LiDAR.
            BagError: a file that cannot be read.
        """
        rig = perceiver.rig
        if len(rig.cameras) != 1 or rig.lidars:
            raise ConfigError("a perceiver with one camera for pictures of a data set",
                              f"'{perceiver.name}' with {len(rig.cameras)} cameras and {len(rig.lidars)} LiDARs",
                              "give recordings with --bag")
        before = ""
        for number, picture in enumerate(self._dataset):
            if picture.sequence != before or not self._dataset.video:
                perceiver.reset()
            before = picture.sequence
            yield self._instant(picture, rig.cameras[0], number / len(self._dataset))

    def facts(self) -> dict[str, Any]:
        """Notes by sequence: what was not fetched, and how pictures were made to fit."""
        notes = self._dataset.notes()
        for sequence, lines in self._notes.items():
            notes.setdefault(sequence, []).extend(lines)
        return {"incomplete": 0, **({"notes": notes} if notes else {})}

    def _instant(self, picture: LabelledPicture, camera: CameraSpec, share: float) -> Instant:
        rgb, grid, note = fitted(picture, camera)
        if note and note not in self._notes.setdefault(picture.sequence, []):
            self._notes[picture.sequence].append(note)
        unknown = Pose(*[math.nan] * 6)
        frame = make_frame([camera], EgoState(picture.stamp_ns, unknown, math.nan), None, {camera.id: rgb}, {})
        labels = Labels(grid, picture.depth, picture.tags, picture.single, picture.joined, rgb=picture.rgb, smooth=True)
        return Instant(picture.sequence, frame, camera.id, share, labels)


def fitted(picture: LabelledPicture, camera: CameraSpec) -> tuple[np.ndarray, Grid, str]:
    """(RGB as ``camera`` takes it, where the labels' pixels lie in it, what was done to it).

    A picture of the camera's own field of view and aspect is scaled. Another one is scaled to the camera's focal length and laid so
    that both optical axes meet; what the camera would see beside it is black.
    """
    height, width = picture.rgb.shape[:2]
    fx, fy = picture.intrinsics[0, 0], picture.intrinsics[1, 1]
    fov = math.degrees(2.0 * math.atan(width / (2.0 * fx)))
    aspect = (camera.width / camera.height) / (width / height)
    if abs(fov - camera.fov_deg) <= SAME_FOV_DEG and abs(aspect - 1.0) <= SAME_ASPECT:
        grid = Grid((height, width), (camera.height, camera.width), (camera.height / height, camera.width / width))
        return resize_rgb(picture.rgb, camera.height, camera.width), grid, ""
    rows, columns = (max(round(size * camera.focal_px / focal), 1) for size, focal in ((height, fy), (width, fx)))
    scale = rows / height, columns / width
    centre = picture.intrinsics[1, 2] + 0.5, picture.intrinsics[0, 2] + 0.5
    top, left = (round(size / 2.0 - factor * at) for size, factor, at in zip((camera.height, camera.width), scale, centre, strict=True))
    rgb, share = laid(resize_rgb(picture.rgb, rows, columns), top, left, camera)
    note = (f"pictures of {width}x{height} with {fov:.1f} degrees were fitted to the network's camera ({camera.width}x{camera.height}, "
            f"{camera.fov_deg:.1f} degrees): they cover {100.0 * share:.0f} % of its picture, the rest is black")
    return rgb, Grid((height, width), (camera.height, camera.width), scale, (float(top), float(left))), note


def laid(rgb: np.ndarray, top: int, left: int, camera: CameraSpec) -> tuple[np.ndarray, float]:
    """(a black picture of ``camera``'s size with ``rgb`` at row ``top`` and column ``left``, the share that it covers)."""
    out = np.zeros((camera.height, camera.width, 3), np.uint8)
    height, width = rgb.shape[:2]
    rows, columns = slice(max(top, 0), min(top + height, camera.height)), slice(max(left, 0), min(left + width, camera.width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return out, 0.0
    out[rows, columns] = rgb[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left]
    return out, (rows.stop - rows.start) * (columns.stop - columns.start) / (camera.height * camera.width)
