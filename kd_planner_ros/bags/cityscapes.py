"""Cityscapes as published: fine labels, and depth from the stereo disparity where it was fetched.

Layout: ``leftImg8bit/SPLIT/CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png``, ``gtFine/SPLIT/CITY/..._gtFine_labelIds.png`` and
``..._gtFine_instanceIds.png``, ``disparity/SPLIT/CITY/..._disparity.png``, ``camera/SPLIT/CITY/..._camera.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.labelled import LabelledPicture, read_ids, read_rgb
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.imaging.palette import TAGS

CLASSES = {7: "Road", 8: "Sidewalk", 11: "Building", 12: "Wall", 13: "Fence", 17: "Pole", 19: "TrafficLight", 20: "Sign", 21: "Vegetation",
           22: "Terrain", 23: "Sky", 24: "Pedestrian", 25: "Rider", 26: "Car", 27: "Truck", 28: "Bus", 31: "Train", 32: "Motorcycle",
           33: "Bicycle"}
"""CARLA's tag of each label id that is evaluated; the others (ego vehicle, parking, bridge, caravan, ...) are not."""
JOINED = (("Road", "RoadLine"),)
"""Cityscapes' road holds its markings."""
VOID = 255
SPLITS = ("train", "val", "test")
DEPTH_PART = (0.25, 0.75, 0.09375, 0.90625)
"""First and last row and column whose depth counts, as shares of the picture's size: rows 256 to 768, columns 192 to 1856."""
FOCAL, CENTRE, SIZE = (2262.52, 2265.30), (1096.98, 513.137), (2048, 1024)
"""Focal lengths and principal point in pixels at ``SIZE``, where a picture has no camera.json: those of most of the data."""
MEMBER = 1000
"""Instance ids from here on are label id * 1000 + number; lower ones are whole groups."""


class Cityscapes:
    """The ``split`` of Cityscapes at ``folder``, city by city.

    Raises:
        BagError: no such folder or split, or no picture in it.
    """

    video = False

    def __init__(self, folder: Path, split: str = "val"):
        self.folder, self._split = folder, split
        if split not in SPLITS:
            raise BagError(f"--split {', '.join(SPLITS)} of Cityscapes", repr(split), "correct --split")
        pictures = folder / "leftImg8bit" / split
        if not pictures.is_dir():
            raise BagError(f"Cityscapes' pictures in {pictures}", "no such folder", "correct --cityscapes, or unpack leftImg8bit there")
        self._pictures = sorted(pictures.glob("*/*_leftImg8bit.png"))
        if not self._pictures:
            raise BagError(f"CITY/*_leftImg8bit.png in {pictures}", "none", "unpack leftImg8bit there")
        self.sequences = tuple(dict.fromkeys(path.parent.name for path in self._pictures))
        self._lacking: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[LabelledPicture]:
        """Every picture; what was not fetched is None.

        Raises:
            BagError: a file that cannot be read, or labels of another size than their picture.
        """
        for number, path in enumerate(self._pictures):
            name, rgb = path.name.removesuffix("_leftImg8bit.png"), read_rgb(path)
            camera = self._camera(path.parent.name, name)
            labels, members = (self._ids(path.parent.name, name, kind, rgb.shape[:2]) for kind in ("labelIds", "instanceIds"))
            single = None if members is None else np.where(members >= MEMBER, members, 0).astype(np.int32)
            yield LabelledPicture(path.parent.name, name, number * 1_000_000_000, rgb, intrinsics_of(camera, rgb.shape[:2]),
                                  self._depth(path.parent.name, name, camera, rgb.shape[:2]),
                                  None if labels is None else tags_of(labels), single, JOINED)

    def notes(self) -> dict[str, list[str]]:
        """What was missing, by city."""
        return {city: [f"{count} pictures have no {what}" for what, count in lacking.items()] for city, lacking in self._lacking.items()}

    def _file(self, folder: str, city: str, name: str, end: str) -> Path | None:
        path = self.folder / folder / self._split / city / f"{name}_{end}"
        if path.exists():
            return path
        counted = self._lacking.setdefault(city, {})
        counted[end] = counted.get(end, 0) + 1
        return None

    def _ids(self, city: str, name: str, kind: str, shape: tuple[int, ...]) -> np.ndarray | None:
        path = self._file("gtFine", city, name, f"gtFine_{kind}.png")
        return None if path is None else read_ids(path, shape)

    def _camera(self, city: str, name: str) -> dict[str, Any] | None:
        path = self._file("camera", city, name, "camera.json")
        if path is None:
            return None
        try:
            found = json.loads(path.read_text())
            return {**found["intrinsic"], "baseline": float(found["extrinsic"]["baseline"])}
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise BagError(f"'intrinsic' and 'extrinsic' with a baseline in {path}", f"{type(error).__name__}: {error}",
                           "fetch the file again") from error

    def _depth(self, city: str, name: str, camera: dict[str, Any] | None, shape: tuple[int, ...]) -> np.ndarray | None:
        path = self._file("disparity", city, name, "disparity.png")
        if path is None or camera is None:
            return None
        raw = read_ids(path)
        if raw.shape != shape:
            raise BagError(f"a disparity of {shape[1]}x{shape[0]} at {path}", f"{raw.shape[1]}x{raw.shape[0]}", "fetch the file again")
        return depth_of(raw, float(intrinsics_of(camera, shape)[0, 0]), camera["baseline"])


def tags_of(labels: np.ndarray) -> np.ndarray:
    """CARLA's tags uint8 [H, W] of label ids, ``VOID`` where a label is not evaluated."""
    number = {name: tag for tag, (name, _) in enumerate(TAGS)}
    table = np.full(256, VOID, np.uint8)
    table[list(CLASSES)] = [number[name] for name in CLASSES.values()]
    return table[labels.astype(np.uint8)]


def intrinsics_of(camera: dict[str, Any] | None, shape: tuple[int, ...]) -> np.ndarray:
    """Pinhole matrix [3, 3]: of a camera.json's ``intrinsic``, else the usual one for pictures of ``shape``.

    Raises:
        BagError: a focal length or a centre is missing or no number.
    """
    across, down = shape[1] / SIZE[0], shape[0] / SIZE[1]
    usual = {"fx": FOCAL[0] * across, "fy": FOCAL[1] * down, "u0": CENTRE[0] * across, "v0": CENTRE[1] * down}
    try:
        fx, fy, u0, v0 = (float((usual if camera is None else camera)[name]) for name in ("fx", "fy", "u0", "v0"))
    except (KeyError, TypeError, ValueError) as error:
        raise BagError("fx, fy, u0 and v0 in camera.json", f"{type(error).__name__}: {error}", "fetch the file again") from error
    return np.array([[fx, 0.0, u0], [0.0, fy, v0], [0.0, 0.0, 1.0]])


def depth_of(raw: np.ndarray, focal_px: float, baseline_m: float) -> np.ndarray:
    """Depth float32 [H, W] of a published disparity uint16: 0 unknown, else (value - 1) / 256 pixels; NaN where it is unknown or outside
    of ``DEPTH_PART``."""
    height, width = raw.shape
    top, bottom, left, right = (int(share * size) for share, size in zip(DEPTH_PART, (height, height, width, width), strict=True))
    out = np.full(raw.shape, np.nan, np.float32)
    part = (raw[top:bottom, left:right].astype(np.float32) - 1.0) / 256.0
    out[top:bottom, left:right] = np.where(part > 0.0, np.float32(focal_px * baseline_m) / np.where(part > 0.0, part, 1.0), np.nan)
    return out
