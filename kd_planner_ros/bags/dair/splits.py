"""The published split of DAIR-V2X: which pairs are for training, validation and test.

    {"cooperative_split": {"train": [VEHICLE, ...], "val": [...], "test": [...], "test_A": [...]}, "batch_split": ..., ...}

The ids are those of the vehicle's pictures. ``test_A`` is the part of ``test`` whose labels are published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.foreign import reading

PARTS = ("train", "val", "test")
"""Every pair is in one of them."""
ASKED = (*PARTS, "test_A")
NAMES = ("cooperative-split-data.json", "cooperative-split-data-spd.json")
"""The files' names as published: of DAIR-V2X-C and of the sequential set."""
_REMEDY = "give the split file as published (cooperative-split-data.json, or cooperative-split-data-spd.json)"


def find_split(folder: Path, sequential: bool) -> Path | None:
    """The split file that lies in the set's folder under its published name; None where there is none."""
    path = folder / NAMES[sequential]
    return path if path.is_file() else None


class Split:
    """The split in the file at ``path``; with ``only``, its parts of these names alone.

    Raises:
        BagError: no such file, a broken one, or a pair in two parts. ConfigError: a name in ``only`` that is no part of it.
    """

    def __init__(self, path: Path, only: tuple[str, ...] = ()):
        if not path.is_file():
            raise BagError(f"a split file at {path}", "no such file", _REMEDY)
        with reading(BagError, f"'cooperative_split' with train, val and test, lists of ids, in {path}", _REMEDY):
            data = json.loads(path.read_text())["cooperative_split"]
            found = {part: frozenset(_ids(data[part])) for part in ASKED if part in data or part in PARTS}
        if missing := [part for part in only if part not in found]:
            raise ConfigError(f"--split out of {', '.join(found)}, the parts in {path}", ", ".join(missing), "correct --split")
        _require_apart(found, path)
        self._only, self._parts = only, found

    def part_of(self, vehicle: str) -> str | None:
        """The part of the pair with this picture of the vehicle; "" where it is in none, None where its part is not asked for."""
        part = next((one for one in PARTS if vehicle in self._parts[one]), "")
        if not part or not self._only:
            return part
        return part if any(vehicle in self._parts[one] for one in self._only) else None


def _ids(listed: object) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ValueError("no list of ids")
    return listed


def _require_apart(found: Mapping[str, frozenset[str]], path: Path) -> None:
    for number, part in enumerate(PARTS):
        for other in PARTS[number + 1:]:
            if both := sorted(found[part] & found[other]):
                raise BagError(f"each pair in one part of {path}", f"{both[0]} in {part} and {other}", _REMEDY)
