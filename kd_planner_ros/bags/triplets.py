"""Triplets of pictures to learn depth and motion from, out of KITTI's raw data and Cityscapes' snippets as published.

KITTI: the frames of a published list (Zhou et al., CVPR 2017: ``DRIVE NUMBER SIDE`` a line) with the pictures before and after them; frames
in which the car stands are left out where their list is given (``DATE DRIVE NUMBER`` a line, as SfMLearner's ``static_frames.txt``).
Cityscapes: ``leftImg8bit_sequence/SPLIT/CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png``, snippets of 30 pictures at 17 Hz; the sources lie two
pictures before and after the target, and the lowest quarter, which shows the car itself, is cut off. A target that has fine labels
(``gtFine``, published for the twentieth picture of a snippet) brings them along.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_planner_ros.bags.cityscapes import MEMBER, SPLITS, intrinsics_of, tags_of
from kd_planner_ros.bags.kitti import STEP_NS, KittiFrame, read_calibration, read_lines, read_split
from kd_planner_ros.bags.labelled import read_ids, read_rgb
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.sensors import CameraSpec

CAMERA = "front"
SNIPPET_HZ = 17.0
APART = 2
"""Pictures of a snippet between target and source."""
KEPT = 0.75
"""Share of a Cityscapes picture's rows above the car's own bonnet."""
_STATIC = re.compile(r"(?P<day>\S+)\s+(?P<drive>\S+)\s+(?P<number>\d+)\s*")
_SNIPPET = re.compile(r"(?P<snippet>.+_\d{6})_(?P<number>\d{6})_leftImg8bit")


@dataclass(frozen=True)
class Triplet:
    """A target picture between two sources.

    Attributes:
        sequence: drive or snippet.
        name: of the target, unique within the sequence.
        pictures: RGB uint8 [3, H, W, 3]: before, target, after.
        intrinsics: pinhole matrix [3, 3] of them; pixel centres are whole numbers.
        step_s: from one picture to the next.
        tags: CARLA's tags of the target uint8 [H, W], 255 where no class is evaluated; None: no labels.
        single: numbers of its road users int32 [H, W], 0 elsewhere; None likewise.
    """

    sequence: str
    name: str
    pictures: np.ndarray
    intrinsics: np.ndarray
    step_s: float
    tags: np.ndarray | None = None
    single: np.ndarray | None = None


class KittiTriplets:
    """The triplets of KITTI's raw data at ``folder`` whose targets the list ``split`` names. ``left_out`` counts the others by reason.

    Args:
        static: list of frames in which the car stands; None: none is left out for that.

    Raises:
        BagError: no such folder or list, a line of another form, or not one triplet.
    """

    name, part = "KITTI", ""

    def __init__(self, folder: Path, split: Path, static: Path | None = None):
        if not folder.is_dir():
            raise BagError(f"KITTI's raw data in {folder}", "no such folder", "give the folder of the folders of dates")
        self.folder, self.left_out = folder, Counter[str]()
        still = read_static(static) if static is not None else frozenset()
        self.frames = tuple(frame for frame in read_split(split) if self._usable(frame, still))
        if not self.frames:
            raise BagError(f"frames of {split} in {folder} with the pictures before and after them",
                           "; ".join(f"{count} {why}" for why, count in self.left_out.items()) or "an empty list",
                           "fetch the drives, or give another list")

    def _usable(self, frame: KittiFrame, still: frozenset[tuple[str, int]]) -> bool:
        why = ""
        if (frame.drive.rsplit("/", 1)[-1], frame.number) in still:
            why = "the car stands"
        elif any(self._picture(frame, step) is None for step in (-1, 0, 1)):
            why = "picture or neighbour missing"
        if why:
            self.left_out[why] += 1
        return not why

    def _picture(self, frame: KittiFrame, step: int) -> Path | None:
        base = self.folder / frame.drive / f"image_{frame.camera}" / "data"
        paths = (base / f"{frame.number + step:010d}.{ending}" for ending in ("png", "jpg"))
        return next((path for path in paths if path.exists()), None)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Triplet:
        """Triplet ``index`` in the order of the list.

        Raises:
            BagError: a picture or a calibration that cannot be read.
        """
        frame = self.frames[index]
        paths = [path for step in (-1, 0, 1) if (path := self._picture(frame, step)) is not None]
        calibration, pictures = read_calibration(self.folder / frame.drive.split("/")[0]), [read_rgb(path) for path in paths]
        for path, picture in zip(paths, pictures, strict=True):
            calibration.require_size(picture, path)
        name = frame.drive.rsplit("/", 1)[-1] + ("" if frame.camera == "02" else f" image_{frame.camera}")
        return Triplet(name, f"{frame.number:010d}", np.stack(pictures), calibration.projection[frame.camera][:, :3], STEP_NS / 1e9)

    def groups(self) -> dict[str, list[int]]:
        """Numbers of the triplets of each drive, both cameras together: they show the same places."""
        return _grouped(frame.drive.rsplit("/", 1)[-1] for frame in self.frames)

    def content(self, numbers: Iterable[int]) -> str:
        """A hash of the names and lengths of the files of triplets ``numbers``; reading all of them would take an hour."""
        paths = (self._picture(self.frames[number], step) for number in numbers for step in (-1, 0, 1))
        return _hash_of(self.folder, filter(None, paths))

    def camera(self) -> CameraSpec:
        """That of the first triplet. The others are scaled to it, and the optical axis counts as the middle, as published protocols do."""
        return _camera(self[0].pictures.shape[2], self[0].pictures.shape[1], self[0].intrinsics)

    def runs(self) -> list[list[int]]:
        """Sequences: numbers of triplets of one drive and camera whose targets follow each other without a gap, in the order of time."""
        return _runs([(f"{frame.drive} {frame.camera}", frame.number) for frame in self.frames], 1)


class CityscapesTriplets:
    """The triplets of the snippets of ``split`` of Cityscapes at ``folder``.

    Raises:
        BagError: no such folder or split, or not one triplet.
    """

    name = "Cityscapes"

    def __init__(self, folder: Path, split: str = "train"):
        if split not in SPLITS:
            raise BagError(f"a split of Cityscapes out of {', '.join(SPLITS)}", repr(split), "correct it")
        self.folder, self.part, self.left_out = folder, split, Counter[str]()
        place = folder / "leftImg8bit_sequence" / split
        self._paths: dict[tuple[str, int], Path] = {}
        for path in sorted(place.glob("*/*_leftImg8bit.png")):
            found = _SNIPPET.fullmatch(path.stem)
            if found is None:
                self.left_out["name of another form"] += 1
                continue
            self._paths[found["snippet"], int(found["number"])] = path
        self.targets = tuple(one for one in self._paths if self._has_sources(*one))
        if not self.targets:
            raise BagError(f"snippets of pictures in {place}", "none" if not self._paths else f"{len(self._paths)} pictures without others "
                           f"{APART} before and after them", "unpack leftImg8bit_sequence there")

    def _has_sources(self, snippet: str, number: int) -> bool:
        whole = all((snippet, number + step) in self._paths for step in (-APART, APART))
        if not whole:
            self.left_out["at an end of its snippet"] += 1
        return whole

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Triplet:
        """Triplet ``index``, snippet by snippet.

        Raises:
            BagError: a file that cannot be read, or pictures of different sizes.
        """
        snippet, number = self.targets[index]
        pictures = [read_rgb(self._paths[snippet, number + step]) for step in (-APART, 0, APART)]
        if len({picture.shape for picture in pictures}) > 1:
            raise BagError(f"pictures of one size in snippet {snippet}", ", ".join(f"{p.shape[1]}x{p.shape[0]}" for p in pictures),
                           "give the pictures as published, not scaled")
        rows, shape = round(KEPT * pictures[0].shape[0]), pictures[0].shape[:2]
        intrinsics = intrinsics_of(self._camera(snippet), shape)  # rows that are cut off below move nothing
        labels, members = (self._labels(snippet, number, kind, shape) for kind in ("labelIds", "instanceIds"))
        told = {} if labels is None or members is None else {
            "tags": tags_of(labels)[:rows], "single": np.where(members >= MEMBER, members, 0).astype(np.int32)[:rows]}
        return Triplet(snippet, f"{number:06d}", np.stack([one[:rows] for one in pictures]), intrinsics, APART / SNIPPET_HZ, **told)

    def _labels(self, snippet: str, number: int, kind: str, shape: tuple[int, ...]) -> np.ndarray | None:
        path = self._label_path(snippet, number, kind)
        return read_ids(path, shape) if path.exists() else None

    def _label_path(self, snippet: str, number: int, kind: str) -> Path:
        return self.folder / "gtFine" / self.part / snippet.split("_")[0] / f"{snippet}_{number:06d}_gtFine_{kind}.png"

    def _camera(self, snippet: str) -> dict[str, object] | None:
        """The ``intrinsic`` of the snippet's camera.json, which is published for its twentieth picture; None where it was not fetched."""
        found = sorted((self.folder / "camera" / self.part / snippet.split("_")[0]).glob(f"{snippet}_*_camera.json"))
        if not found:
            return None
        with reading(BagError, f"fx, fy, u0 and v0 under 'intrinsic' in {found[0]}", "fetch the file again"):
            own = json.loads(found[0].read_text())["intrinsic"]
            camera = {name: float(own[name]) for name in ("fx", "fy", "u0", "v0")}
            if not all(map(math.isfinite, camera.values())):
                raise ValueError(f"a number that is not finite: {camera}")
            return camera

    def groups(self) -> dict[str, list[int]]:
        """Numbers of the triplets of each city."""
        return _grouped(snippet.split("_")[0] for snippet, _ in self.targets)

    def content(self, numbers: Iterable[int]) -> str:
        """A hash of the names and lengths of the files of triplets ``numbers``; reading all of them would take an hour."""
        targets = [self.targets[number] for number in numbers]
        pictures = [self._paths[snippet, number + step] for snippet, number in targets for step in (-APART, 0, APART)]
        labels = [self._label_path(*target, kind) for target in targets for kind in ("labelIds", "instanceIds")]
        return _hash_of(self.folder, [*pictures, *filter(Path.exists, labels)])

    def camera(self) -> CameraSpec:
        """The largest section of the first triplet's pictures with the optical axis in its middle; in the kept rows it lies below that."""
        first = self[0]
        width, height = (2 * int(min(at + 0.5, size - at - 0.5)) for at, size in
                         ((first.intrinsics[0, 2], first.pictures.shape[2]), (first.intrinsics[1, 2], first.pictures.shape[1])))
        return _camera(width, height, first.intrinsics)

    def runs(self) -> list[list[int]]:
        """Sequences: numbers of triplets of one snippet whose targets are ``APART`` pictures from each other, in the order of time."""
        return _runs(list(self.targets), APART)


def read_static(path: Path) -> frozenset[tuple[str, int]]:
    """(drive, number) of the frames in which the car stands.

    Raises:
        BagError: no such file, or a line of another form.
    """
    found = []
    lines = read_lines(path, f"a list of frames in which the car stands at {path}",
                       "correct the path: SfMLearner's list is called static_frames.txt")
    for number, line in enumerate(lines, 1):
        match = _STATIC.fullmatch(line)
        if match is None and line.strip():
            raise BagError(f"'DATE DRIVE NUMBER' in line {number} of {path}", repr(line.strip()[:80]),
                           "give a list as SfMLearner's static_frames.txt")
        if match is not None:
            found.append((match["drive"], int(match["number"])))
    return frozenset(found)


def _grouped(names: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        found.setdefault(name, []).append(number)
    return found


def _hash_of(folder: Path, paths: Iterable[Path]) -> str:
    told = [f"{path.relative_to(folder)} {path.stat().st_size}" for path in sorted(set(paths))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _camera(width: int, height: int, intrinsics: np.ndarray) -> CameraSpec:
    return CameraSpec(CAMERA, Pose(), width, height, math.degrees(2.0 * math.atan(width / (2.0 * intrinsics[0, 0]))))


def _runs(places: list[tuple[str, int]], step: int) -> list[list[int]]:
    """Numbers of ``places`` (sequence, number of its picture) that follow each other at a distance of ``step``."""
    by_phase: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for index, (sequence, number) in enumerate(places):
        by_phase[sequence, number % step].append((number, index))
    found: list[list[int]] = []
    for own in by_phase.values():
        last: int | None = None
        for number, index in sorted(own):
            if last is None or number != last + step:
                found.append([])
            found[-1].append(index)
            last = number
    return found


Triplets = KittiTriplets | CityscapesTriplets


def triplets(of: Triplets) -> Iterator[Triplet]:
    """Every triplet, in order.

    Raises:
        BagError: as their ``[index]``.
    """
    for index in range(len(of)):
        yield of[index]
