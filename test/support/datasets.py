"""Small files in the true layouts of KITTI's raw data and of Cityscapes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, FOCAL = 124, 37, 72.0
DAY, DRIVE = "2011_09_26", "2011_09_26/2011_09_26_drive_0002_sync"
"""A tenth of KITTI's size."""
LIDAR = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), np.array([-0.004, -0.076, -0.272])
"""KITTI's LiDAR in camera 0, its rotation straightened."""
PROJECTION = np.array([[FOCAL, 0.0, 60.9, 4.5], [0.0, FOCAL, 17.3, 0.02], [0.0, 0.0, 1.0, 0.003]])


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_png(path: Path, array: np.ndarray) -> None:
    """RGB or ids as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array if array.ndim == 2 else array[..., ::-1])


def _line(name, values):
    return f"{name}: " + " ".join(f"{value:.12e}" for value in np.asarray(values, float).ravel())


def write_kitti(folder: Path, frames=(0, 1, 5), scans=(0, 1, 5), drive=DRIVE, points=200) -> Path:
    """A drive with pictures of ``frames`` and random points for ``scans``."""
    day = folder / drive.split("/")[0]
    day.mkdir(parents=True, exist_ok=True)
    (day / "calib_cam_to_cam.txt").write_text("\n".join([
        "calib_time: 09-Jan-2012 13:57:47", _line("S_rect_02", (WIDTH, HEIGHT)), _line("R_rect_00", np.eye(3)),
        _line("P_rect_02", PROJECTION), _line("P_rect_03", PROJECTION)]) + "\n")
    (day / "calib_velo_to_cam.txt").write_text("\n".join([
        "calib_time: 15-Mar-2012 11:37:16", _line("R", LIDAR[0]), _line("T", LIDAR[1])]) + "\n")
    for number in frames:
        write_png(folder / drive / "image_02" / "data" / f"{number:010d}.png", noise(HEIGHT, WIDTH, number))
    for number in scans:
        path = folder / drive / "velodyne_points" / "data" / f"{number:010d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number)
        cloud = np.stack([random.uniform(-20.0, 60.0, points), random.uniform(-20.0, 20.0, points), random.uniform(-2.0, 4.0, points),
                          random.random(points)], 1)
        path.write_bytes(cloud.astype("<f4").tobytes())
    return folder


def write_cityscapes(folder: Path, city="frankfurt", count=2, split="val", depth=True, labels=True) -> Path:
    """Pictures of 64x32: road (7) below, a car (26) and a group of persons (24), an ego vehicle (1), sky (23)."""
    for number in range(count):
        name = f"{city}_{number:06d}_000019"
        write_png(folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", noise(32, 64, number))
        if labels:
            ids = np.full((32, 64), 23, np.uint8)
            ids[16:], ids[30:], ids[10:20, 20:30], ids[12:18, 50:60] = 7, 1, 26, 24
            members = ids.astype(np.uint16)
            members[ids == 26] = 26_000 + number
            write_png(folder / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", ids)
            write_png(folder / "gtFine" / split / city / f"{name}_gtFine_instanceIds.png", members)
        if depth:
            write_png(folder / "disparity" / split / city / f"{name}_disparity.png", np.full((32, 64), 256 * 7 + 1, np.uint16))
            path = folder / "camera" / split / city / f"{name}_camera.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 70.0, "fy": 70.0, "u0": 31.5, "v0": 15.5}}))
    return folder
