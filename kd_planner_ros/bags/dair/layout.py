"""The files of DAIR-V2X: which pictures there are, which belong together, and where each camera and LiDAR was.

    vehicle-side/         image/ID.jpg  data_info.json  calib/{camera_intrinsic,lidar_to_camera,lidar_to_novatel,novatel_to_world}/ID.json
    infrastructure-side/  image/ID.jpg  data_info.json  calib/{camera_intrinsic,virtuallidar_to_camera,virtuallidar_to_world}/ID.json
    cooperative/          data_info.json  label_world/VEHICLE.json (C) or label/VEHICLE.json (sequential)

Point clouds are never read and need not be there. Stamps are microseconds as text; offsets may be "", which is 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading

VEHICLE, STATION, BOTH = "vehicle-side", "infrastructure-side", "cooperative"
_REMEDY = "give the folder that holds vehicle-side, infrastructure-side and cooperative, as published"


@dataclass(frozen=True)
class Shot:
    """One picture of one side.

    Attributes:
        side: VEHICLE or STATION.
        frame: its id, six digits.
        image: path of the picture.
        stamp_ns: when it was taken.
        sequence: the batch (C) or sequence (sequential set) that it belongs to.
        place: the intersection, or "".
    """

    side: str
    frame: str
    image: Path
    stamp_ns: int
    sequence: str
    place: str


@dataclass(frozen=True)
class Pair:
    """Two pictures of one instant; ``offset`` [2] metres is the published correction of their relative place."""

    vehicle: Shot
    station: Shot
    label: Path
    offset: np.ndarray


class DairV2x:
    """The set at ``folder``; ``sequential`` says which of the two layouts it has.

    Raises:
        BagError: a list of pictures that is missing or broken.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._pairs = self._list(BOTH)
        if not self._pairs:
            raise BagError(f"pairs in {self.folder / BOTH / 'data_info.json'}", "an empty list", _REMEDY)
        self.sequential = "vehicle_frame" in self._pairs[0]

    @cached_property
    def vehicle(self) -> Mapping[str, Shot]:
        """The vehicle's pictures by id."""
        return self._shots(VEHICLE)

    @cached_property
    def station(self) -> Mapping[str, Shot]:
        """The stations' pictures by id."""
        return self._shots(STATION)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair whose two pictures are listed, in the vehicle's order of time."""
        found = []
        for entry in self._pairs:
            mine, other = _ids(entry, self.sequential)
            if mine in self.vehicle and other in self.station:
                label = self.folder / BOTH / ("label" if self.sequential else "label_world") / f"{mine}.json"
                found.append(Pair(self.vehicle[mine], self.station[other], label, _offset(entry.get("system_error_offset"))))
        return tuple(sorted(found, key=lambda pair: (pair.vehicle.sequence, pair.vehicle.stamp_ns)))

    @property
    def unlisted(self) -> int:
        """Pairs of which a picture is not listed."""
        return len(self._pairs) - len(self.pairs)

    def earlier(self, shot: Shot, frames: int) -> Shot | None:
        """The station's picture ``frames`` ids before ``shot``, of the same batch; None where there is none.

        Raises:
            BagError: the id is no number.
        """
        with reading(BagError, "ids of the station's pictures that are numbers, as published", "leave --delay-frames out"):
            wanted = int(shot.frame) - frames
        other = self.station.get(f"{wanted:06d}")
        return other if other is not None and other.sequence == shot.sequence else None

    # --- calibration -------------------------------------------------------------------------------------------------

    def intrinsics(self, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
        """Pinhole matrix [3, 3] and distortion [D] of the camera.

        Raises:
            BagError: the file is missing or broken.
        """
        path = self._calibration(shot, "camera_intrinsic")
        data = _read(path)
        with reading(BagError, f"cam_K and cam_D in {path}", "fetch the file again"):
            return np.array(data["cam_K"], float).reshape(3, 3), np.array(data.get("cam_D", ()), float).ravel()

    def lidar_to_camera(self, shot: Shot) -> np.ndarray:
        """Matrix [4, 4] from the side's LiDAR to its camera (x right, y down, z ahead); of a station from its virtual LiDAR.

        Raises:
            BagError: the file is missing or broken.
        """
        return rigid(self._calibration(shot, "lidar_to_camera" if shot.side == VEHICLE else "virtuallidar_to_camera"))

    def lidar_to_world(self, shot: Shot) -> np.ndarray:
        """Matrix [4, 4] from the side's LiDAR to the set's world, which is metric and has no place on earth.

        Raises:
            BagError: a file is missing or broken.
        """
        if shot.side == VEHICLE:
            return rigid(self._calibration(shot, "novatel_to_world")) @ rigid(self._calibration(shot, "lidar_to_novatel"))
        path = self._calibration(shot, "virtuallidar_to_world")
        found = rigid(path)
        found[:2, 3] += _offset(_read(path).get("relative_error"))
        return found

    def _calibration(self, shot: Shot, kind: str) -> Path:
        return self.folder / shot.side / "calib" / kind / f"{shot.frame}.json"

    def _list(self, side: str) -> list[dict[str, Any]]:
        path = self.folder / side / "data_info.json"
        data = _read(path)
        if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
            raise BagError(f"a list of pictures in {path}", type(data).__name__, _REMEDY)
        return data

    def _shots(self, side: str) -> dict[str, Shot]:
        found = {}
        for entry in self._list(side):
            with reading(BagError, f"image_path and image_timestamp of each entry of {self.folder / side / 'data_info.json'}", _REMEDY):
                image = self.folder / side / entry["image_path"]
                frame = str(entry.get("frame_id") or image.stem)
                found[frame] = Shot(side, frame, image, int(entry["image_timestamp"]) * 1000,
                                    str(entry.get("sequence_id") or entry.get("batch_id") or ""), str(entry.get("intersection_loc") or ""))
        return found


def _ids(entry: Mapping[str, Any], sequential: bool) -> tuple[str, str]:
    with reading(BagError, "the frames of each pair in cooperative/data_info.json", _REMEDY):
        if sequential:
            return str(entry["vehicle_frame"]), str(entry["infrastructure_frame"])
        return Path(entry["vehicle_image_path"]).stem, Path(entry["infrastructure_image_path"]).stem


def _offset(given: Any) -> np.ndarray:
    """An offset [2] in metres; what is empty is 0."""
    with reading(BagError, "delta_x and delta_y of an offset, numbers or \"\"", "fetch the file again"):
        return np.array([float(given[name] or 0.0) for name in ("delta_x", "delta_y")]) if given else np.zeros(2)


def rigid(path: Path) -> np.ndarray:
    """The matrix [4, 4] in a file with rotation and translation, which may stand under "transform".

    Raises:
        BagError: the file is missing or broken, or its rotation is none.
    """
    data = _read(path)
    with reading(BagError, f"rotation [3, 3] and translation [3] in {path}", "fetch the file again"):
        data = data.get("transform", data)
        found = np.eye(4)
        found[:3, :3] = np.array(data["rotation"], float).reshape(3, 3)
        found[:3, 3] = np.array(data["translation"], float).reshape(3)
    if not np.isfinite(found).all() or np.abs(found[:3, :3] @ found[:3, :3].T - np.eye(3)).max() > 1e-2:
        raise BagError(f"a rotation in {path}", str(np.round(found[:3, :3], 3).tolist()), "fetch the file again")
    return found


def _read(path: Path) -> Any:
    if not path.is_file():
        raise BagError(f"a file {path.name} in {path.parent}", "no such file", _REMEDY)
    with reading(BagError, f"JSON in {path}", "fetch the file again"):
        return json.loads(path.read_text())


def read_labels(path: Path) -> list[dict[str, Any]]:
    """The road users that a label file lists, as published.

    Raises:
        BagError: the file is missing or broken.
    """
    data = _read(path)
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise BagError(f"a list of road users in {path}", type(data).__name__, "fetch the file again")
    return data
