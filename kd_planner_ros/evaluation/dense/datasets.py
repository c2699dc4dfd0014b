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
from kd_planner_ros.evaluation.seen_maps import Part
from kd_planner_ros.imaging.fit import fit

if TYPE_CHECKING:
    from kd_planner_ros.networks.planner import Perceiver


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

    def parts(self) -> list[Part]:
        """None: a data set's pictures are of no map."""
        return []

    def _instant(self, picture: LabelledPicture, camera: CameraSpec, share: float) -> Instant:
        rgb, grid, note = fitted(picture, camera)
        if note and note not in self._notes.setdefault(picture.sequence, []):
            self._notes[picture.sequence].append(note)
        unknown = Pose(*[math.nan] * 6)
        frame = make_frame([camera], EgoState(picture.stamp_ns, unknown, math.nan), None, {camera.id: rgb}, {})
        labels = Labels(grid, picture.depth, picture.tags, picture.single, picture.joined, rgb=picture.rgb, smooth=True)
        return Instant(picture.sequence, frame, camera.id, share, labels)


def fitted(picture: LabelledPicture, camera: CameraSpec) -> tuple[np.ndarray, Grid, str]:
    """(RGB as ``camera`` takes it, where the labels' pixels lie in it, what was done to it); see ``imaging.fit``."""
    shape = picture.rgb.shape[0], picture.rgb.shape[1]
    found = fit(shape, picture.intrinsics, camera)
    scale, (top, left) = (found.size[0] / shape[0], found.size[1] / shape[1]), found.place
    return found.picture(picture.rgb), Grid(shape, (camera.height, camera.width), scale, (float(top), float(left))), found.note
