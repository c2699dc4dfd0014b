"""KITTI's raw data as published, with the depth that Eigen et al. (NeurIPS 2014) evaluate: the LiDAR's points in the colour camera.

Layout: ``DATE/calib_cam_to_cam.txt``, ``DATE/calib_velo_to_cam.txt``, ``DATE/DATE_drive_NNNN_sync/image_02/data/NNNNNNNNNN.png`` (or
``.jpg``), ``DATE/DATE_drive_NNNN_sync/velodyne_points/data/NNNNNNNNNN.bin``. The depth of a pixel is, as in the published evaluations,
the point's distance ahead of the LiDAR, and only the section of Garg et al. (ECCV 2016) counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from kd_planner_ros.bags.labelled import LabelledPicture, read_rgb
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading

GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
"""First and last row and column that count, as shares of the picture's size."""
STEP_NS = 100_000_000
"""KITTI's cameras take 10 pictures a second."""
SIDES = {"l": "02", "r": "03", "2": "02", "3": "03"}
"""Camera of each side that a list of frames may name; 2 and 3 are the colour cameras."""
_PATH = re.compile(r"(?P<drive>\S+?)/image_(?P<camera>02|03)/data/(?P<number>\d+)\.(?:png|jpg)")
_LINE = re.compile(r"(?P<drive>\S+/\S+)\s+(?P<number>\d+)\s*(?P<side>[lr23]?)\s*")


@dataclass(frozen=True)
class KittiFrame:
    """Where a frame lies: ``drive`` below the data's folder, its number, and the camera (``02`` or ``03``)."""

    drive: str
    number: int
    camera: str

    def __str__(self) -> str:
        return f"{self.drive}/image_{self.camera}/data/{self.number:010d}"


class Kitti:
    """KITTI's raw data at ``folder``: the frames that the file ``split`` lists, or every frame of the left colour camera with a scan.

    Raises:
        BagError: no such folder or list, a line that names no frame, a listed frame without a picture, or no frame at all.
    """

    video = True

    def __init__(self, folder: Path, split: Path | None = None):
        if not folder.is_dir():
            raise BagError(f"KITTI's raw data in {folder}", "no such folder", "correct --kitti")
        self.folder = folder
        self._frames = read_split(split) if split is not None else find_frames(folder)
        missing = [frame for frame in self._frames if self._picture(frame) is None]
        if missing:
            raise BagError(f"a picture of each of the {len(self._frames)} frames of {split} in {folder}",
                           f"none of {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""),
                           "fetch the drives that are missing, or shorten the list")
        if not self._frames:
            raise BagError(f"drives with image_02/data and velodyne_points/data in {folder}", "none",
                           "give the folder that holds the folders of dates, such as 2011_09_26")
        self._frames.sort(key=lambda frame: (frame.drive, frame.camera, frame.number))
        self.sequences = tuple(dict.fromkeys(self._sequence(frame) for frame in self._frames))
        self._bare: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[LabelledPicture]:
        """Every frame, drive by drive in the order of time; without a scan its depth is None.

        Raises:
            BagError: a calibration or a file that cannot be read.
        """
        for frame in self._frames:
            path = self._picture(frame)
            assert path is not None
            rgb, calibration = read_rgb(path), read_calibration(self.folder / frame.drive.split("/")[0])
            calibration.require_size(rgb, path)
            scan = self.folder / frame.drive / "velodyne_points" / "data" / f"{frame.number:010d}.bin"
            depth = None
            if scan.exists():
                depth = garg_crop(calibration.depth(read_scan(scan), frame.camera, (rgb.shape[0], rgb.shape[1])))
            else:
                self._bare[self._sequence(frame)] = self._bare.get(self._sequence(frame), 0) + 1
            yield LabelledPicture(self._sequence(frame), f"{frame.number:010d}", frame.number * STEP_NS, rgb,
                                  calibration.projection[frame.camera][:, :3], depth)

    def notes(self) -> dict[str, list[str]]:
        """Drives in which scans were missing."""
        return {name: [f"{count} frames have no scan in velodyne_points"] for name, count in self._bare.items()}

    def _picture(self, frame: KittiFrame) -> Path | None:
        base = self.folder / frame.drive / f"image_{frame.camera}" / "data"
        return next((path for ending in ("png", "jpg") if (path := base / f"{frame.number:010d}.{ending}").exists()), None)

    @staticmethod
    def _sequence(frame: KittiFrame) -> str:
        return frame.drive.rsplit("/", 1)[-1] + ("" if frame.camera == "02" else f" image_{frame.camera}")


def read_split(path: Path) -> list[KittiFrame]:
    """The frames of a list as published: ``DRIVE NUMBER SIDE`` a line (``l``, ``r``), or the path of a picture first.

    Raises:
        BagError: no such file, or a line of another form.
    """
    frames = []
    lines = read_lines(path, f"a list of frames at {path}", "correct --split: Eigen's list is called test_files.txt")
    for number, line in enumerate(lines, 1):
        found = _PATH.match(line) or _LINE.fullmatch(line)
        if found is None and line.strip():
            raise BagError(f"'DRIVE NUMBER SIDE' or the path of a picture in line {number} of {path}", repr(line.strip()[:80]),
                           "give a list as Eigen's test_files.txt")
        if found is not None:
            part = found.groupdict()
            frames.append(KittiFrame(part["drive"], int(part["number"]), part.get("camera") or SIDES[part.get("side") or "l"]))
    return list(dict.fromkeys(frames))


def read_lines(path: Path, expected: str, remedy: str) -> list[str]:
    """The lines of the text file at ``path``.

    Raises:
        BagError: no such file, or no text.
    """
    with reading(BagError, expected, remedy):
        return path.read_text().splitlines()


def find_frames(folder: Path) -> list[KittiFrame]:
    """Every frame of image_02 below ``folder`` that has a scan."""
    scans = folder.glob("*/*_sync/velodyne_points/data/*.bin")
    frames = [KittiFrame(str(scan.parents[2].relative_to(folder)), int(scan.stem), "02") for scan in scans if scan.stem.isdigit()]
    return [frame for frame in frames if any((folder / f"{frame}.{ending}").exists() for ending in ("png", "jpg"))]


@dataclass(frozen=True)
class Calibration:
    """Calibration of one day.

    Attributes:
        size: width and height of the rectified pictures.
        projection: rectified camera 0 to the pixels of each camera, [3, 4].
        rectified: rotation of camera 0 to its rectified axes, [4, 4].
        lidar: LiDAR to camera 0, [4, 4].
    """

    where: Path
    size: tuple[int, int]
    projection: Mapping[str, np.ndarray]
    rectified: np.ndarray
    lidar: np.ndarray

    def require_size(self, rgb: np.ndarray, path: Path) -> None:
        """Refuse a picture of another size than the calibration's.

        Raises:
            BagError: as it says.
        """
        found = rgb.shape[1], rgb.shape[0]
        if found != self.size:
            raise BagError(f"a picture of {self.size[0]}x{self.size[1]} at {path}, as {self.where} says", f"{found[0]}x{found[1]}",
                           "give the pictures as published, not scaled")

    def depth(self, points: np.ndarray, camera: str, shape: tuple[int, int]) -> np.ndarray:
        """Distance ahead of the LiDAR in each pixel of ``camera`` that one of ``points`` [N, 4] falls on, the nearest where several
        do; float32 [H, W], NaN elsewhere."""
        ahead = points[points[:, 0] >= 0.0].astype(float)
        ahead[:, 3] = 1.0
        seen = ahead @ (self.projection[camera] @ self.rectified @ self.lidar).T
        with np.errstate(divide="ignore", invalid="ignore"):
            places = np.round(seen[:, :2] / seen[:, 2:]) - 1.0  # the published evaluation counts pixels from 1
        height, width = shape
        inside = (seen[:, 2] > 0.0) & (places >= 0.0).all(1) & (places[:, 0] < width) & (places[:, 1] < height)
        column, row = places[inside].astype(np.int64).T
        out = np.full(height * width, np.inf, np.float32)
        np.minimum.at(out, row * width + column, ahead[inside, 0].astype(np.float32))
        return np.where(np.isfinite(out) & (out > 0.0), out, np.float32(np.nan)).reshape(shape)


@lru_cache(maxsize=8)
def read_calibration(day: Path) -> Calibration:
    """The calibration in the folder ``day``.

    Raises:
        BagError: a file is missing, or lacks a matrix.
    """
    cameras = _matrices(day / "calib_cam_to_cam.txt", {"S_rect_02": 2, "R_rect_00": 9, "P_rect_02": 12, "P_rect_03": 12})
    lidar = _matrices(day / "calib_velo_to_cam.txt", {"R": 9, "T": 3})
    turn, place = np.eye(4), np.eye(4)
    turn[:3, :3] = cameras["R_rect_00"].reshape(3, 3)
    place[:3, :3], place[:3, 3] = lidar["R"].reshape(3, 3), lidar["T"]
    width, height = cameras["S_rect_02"].astype(int).tolist()
    projection = {camera: cameras[f"P_rect_{camera}"].reshape(3, 4) for camera in ("02", "03")}
    return Calibration(day / "calib_cam_to_cam.txt", (width, height), projection, turn, place)


def _matrices(path: Path, wanted: Mapping[str, int]) -> dict[str, np.ndarray]:
    text = read_lines(path, f"{path.name} in {path.parent}", "fetch the day's calibration")
    lines = dict(line.partition(":")[::2] for line in text if ":" in line)
    found = {}
    for name, count in wanted.items():
        try:
            found[name] = np.array(lines.get(name, "").split(), float)
        except ValueError:
            found[name] = np.zeros(0)
        if found[name].shape != (count,) or not np.isfinite(found[name]).all():
            raise BagError(f"{name} with {count} numbers in {path}", lines.get(name, "").strip()[:80] or "none",
                           "fetch the day's calibration")
    return found


def read_scan(path: Path) -> np.ndarray:
    """The points float32 [N, 4] (ahead, left, up, reflectance) of a scan.

    Raises:
        BagError: it is cut off.
    """
    raw = path.read_bytes()
    if len(raw) % 16:
        raise BagError(f"points of 16 bytes in {path}", f"{len(raw)} bytes", "fetch the file again")
    return np.frombuffer(raw, "<f4").reshape(-1, 4)


def garg_crop(depth: np.ndarray) -> np.ndarray:
    """``depth`` [H, W], NaN outside of ``GARG``."""
    height, width = depth.shape
    top, bottom, left, right = (int(share * size) for share, size in zip(GARG, (height, height, width, width), strict=True))
    out = np.full_like(depth, np.nan)
    out[top:bottom, left:right] = depth[top:bottom, left:right]
    return out
