"""nuScenes' layout as published: JSON tables in a folder named after the version, pictures beside it, lines in the map expansion.

    v1.0-mini/scene.json, sample.json, sample_data.json, ego_pose.json, calibrated_sensor.json, sensor.json, sample_annotation.json,
              instance.json, category.json, log.json
    samples/CAM_FRONT/*.jpg
    maps/expansion/LOCATION.json        (optional)

Point clouds are never read and need not be there. Source: the schema in nuscenes-devkit's ``docs/schema_nuscenes.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading

TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "sample_annotation", "instance", "category", "log")
_REMEDY = "give the folder that holds a folder of tables (v1.0-mini, v1.0-trainval) and samples, as published"
Row = Mapping[str, Any]
EGO_BOX = "4.084 1.85 1.44"
"""``ego_box`` of a recording's notes: length, width and centre before ``base_link``, metres.
SparseDrive has the centre 0.5 m ahead of the LiDAR, which stands
0.94 m ahead of the rear axle, where ``base_link`` lies."""


class NuScenes:
    """The set at ``folder``; ``version`` names the folder of its tables, the only one unless given.

    Raises:
        BagError: no such folder, several and none named, or a table that is missing or broken.
    """

    def __init__(self, folder: Path, version: str = ""):
        self.folder = Path(folder)
        found = sorted(path.parent.name for path in self.folder.glob("*/scene.json"))
        if version and version not in found or not found:
            raise BagError(f"tables of nuScenes in {self.folder / (version or '<version>')}",
                           f"tables in {', '.join(found) or 'no folder'}", _REMEDY)
        if len(found) > 1 and not version:
            raise BagError(f"one version of nuScenes in {self.folder}", ", ".join(found), "name one with --set-version")
        self.version = version or found[0]
        self._tables = {name: self._read(name) for name in TABLES}

    def row(self, table: str, token: str) -> Row:
        """The row ``token`` of ``table``.

        Raises:
            BagError: there is none.
        """
        try:
            return self._tables[table][token]
        except KeyError:
            raise BagError(f"row '{token}' in {table}.json of {self.folder / self.version}", "none",
                           "fetch the tables anew: they do not fit") from None

    @property
    def scenes(self) -> list[Row]:
        """All scenes, in the order of the table."""
        return list(self._tables["scene"].values())

    def samples(self, scene: Row) -> list[Row]:
        """The key frames of ``scene``, in time order."""
        found, token = [], scene["first_sample_token"]
        while token:
            found.append(self.row("sample", token))
            token = found[-1]["next"]
        return found

    def shot(self, sample: Row, channel: str) -> Row | None:
        """The sample_data of ``channel`` at a key frame; None where there is none."""
        return self._shots.get((sample["token"], channel))

    def annotations(self, sample: Row) -> list[Row]:
        """The boxes at a key frame."""
        return self._annotations.get(sample["token"], [])

    def category(self, annotation: Row) -> str:
        """The category's name of a box."""
        return str(self.row("category", self.row("instance", annotation["instance_token"])["category_token"])["name"])

    def location(self, scene: Row) -> str:
        """Where ``scene`` was recorded."""
        return str(self.row("log", scene["log_token"])["location"])

    def track(self, annotation: Row) -> int:
        """A number of the box's instance, from 1."""
        return self._numbers[annotation["instance_token"]]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self._tables["instance"], start=1)}

    @cached_property
    def _shots(self) -> dict[tuple[str, str], Row]:
        found = {}
        for one in self._tables["sample_data"].values():
            if one["is_key_frame"]:
                sensor = self.row("calibrated_sensor", one["calibrated_sensor_token"])["sensor_token"]
                found[one["sample_token"], str(self.row("sensor", sensor)["channel"])] = one
        return found

    @cached_property
    def _annotations(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for one in self._tables["sample_annotation"].values():
            found.setdefault(one["sample_token"], []).append(one)
        return found

    def _read(self, name: str) -> dict[str, Row]:
        path = self.folder / self.version / f"{name}.json"
        with reading(BagError, f"a table of nuScenes in {path}", _REMEDY):
            rows = json.loads(path.read_text())
            return {str(row["token"]): row for row in rows}


def matrix(row: Row) -> np.ndarray:
    """[4, 4] of ``translation`` (metres) and ``rotation`` (w, x, y, z): from the row's own frame to its parent's.

    Raises:
        BagError: a rotation that is none.
    """
    w, x, y, z = (float(one) for one in row["rotation"])
    norm = float(np.sqrt(w * w + x * x + y * y + z * z))
    if not 0.5 < norm < 2.0:
        raise BagError("a rotation as a quaternion of length 1", str(row["rotation"]), "fetch the tables anew")
    w, x, y, z = w / norm, x / norm, y / norm, z / norm
    found = np.eye(4)
    found[:3, :3] = [[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    found[:3, 3] = [float(one) for one in row["translation"]]
    return found
