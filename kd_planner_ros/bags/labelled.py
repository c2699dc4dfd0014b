"""Pictures of public data sets with what is known about them, in the vocabulary of recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from kd_planner_ros.core.errors import BagError


@dataclass(frozen=True)
class LabelledPicture:
    """One picture of a data set.

    Attributes:
        sequence: what it belongs to: a drive, a city.
        name: unique within the sequence.
        stamp_ns: pictures of one drive keep their distance in time.
        rgb: uint8 [H, W, 3].
        intrinsics: pinhole matrix [3, 3] of ``rgb``; pixel centres are whole numbers.
        depth: float32 [H, W] along the optical axis in metres, NaN where it is unknown or not evaluated; None: not known.
        tags: CARLA's tags uint8 [H, W], 255 where no class is evaluated; None: not known.
        single: int32 [H, W], above 0: number of the road user; None: not known.
        joined: groups of tags that the labels do not tell apart.
    """

    sequence: str
    name: str
    stamp_ns: int
    rgb: np.ndarray
    intrinsics: np.ndarray
    depth: np.ndarray | None = None
    tags: np.ndarray | None = None
    single: np.ndarray | None = None
    joined: tuple[tuple[str, ...], ...] = ()


class Dataset(Protocol):
    """A data set on disk; iterating reads one picture after another, those of a sequence together."""

    sequences: tuple[str, ...]
    """Names of the sequences, in order."""
    video: bool
    """Whether the pictures of a sequence follow each other in time."""

    def __len__(self) -> int:
        """Number of pictures."""

    def __iter__(self) -> Iterator[LabelledPicture]:
        """Every picture."""

    def notes(self) -> dict[str, list[str]]:
        """What was missing and what was done about it, by sequence."""


def read_rgb(path: Path) -> np.ndarray:
    """The picture at ``path`` as RGB uint8 [H, W, 3].

    Raises:
        BagError: it is missing or broken.
    """
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise BagError(f"a picture at {path}", "a broken file" if path.exists() else "no such file", "fetch the file again")
    return np.ascontiguousarray(found[..., ::-1])


def read_ids(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The numbers [H, W] of a PNG of 8 or 16 bits with one channel.

    Args:
        shape: (H, W) of the picture that they label; None: any.

    Raises:
        BagError: it is missing, broken, of another size, or has several channels.
    """
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if found is None or found.ndim != 2:
        got = "no such file" if not path.exists() else "a broken file" if found is None else f"{found.shape[2]} channels"
        raise BagError(f"a PNG of one channel at {path}", got, "fetch the file again")
    if shape is not None and found.shape != shape:
        raise BagError(f"labels of {shape[1]}x{shape[0]} at {path}, as their picture has", f"{found.shape[1]}x{found.shape[0]}",
                       "give pictures and labels as published, not scaled")
    return found
