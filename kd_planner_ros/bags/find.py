"""Recordings below folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kd_planner_ros.bags.files import DATA, PARTIAL, recordings_in
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.notices import say_once


@dataclass(frozen=True)
class Found:
    """The recordings of a search, sorted, and what it left out: (path, why)."""

    bags: tuple[Path, ...]
    left_out: tuple[tuple[Path, str], ...] = ()

    def __str__(self) -> str:
        """One line: how many were found, and what was left out."""
        left = "; ".join(f"{path}: {why}" for path, why in self.left_out[:5])
        more = f"; and {len(self.left_out) - 5} more" if len(self.left_out) > 5 else ""
        return f"{len(self.bags)} recording{'s' * (len(self.bags) != 1)} found" + (f"; left out: {left}{more}" if left else "")


def find_bags(folders: Iterable[Path]) -> list[Path]:
    """Every recording in ``folders``, as ``search`` finds them. What the search found and left out is printed on stderr, each line once
    a process; nothing where each folder is one recording.

    Raises:
        BagError: a folder is missing, or holds no recording.
    """
    folders = [Path(folder) for folder in folders]
    found = search(folders)
    if list(found.bags) != folders or found.left_out:
        say_once(str(found))
    return list(found.bags)


def search(folders: Iterable[Path]) -> Found:
    """Every recording in ``folders``: themselves, or in any depth below them, behind links too. A recording is a folder with
    metadata.yaml, a folder with the parts of one recording, or a data file by itself; a folder or file that is given twice, or that two
    links lead to, counts once.

    Raises:
        BagError: a folder is missing, or holds no recording; what was left out is named.
    """
    folders = [Path(folder) for folder in folders]
    if not folders:
        raise BagError("recordings", "no path", "give folders with --bags; 'kd-planner record' writes some")
    bags: dict[Path, Path] = {}
    left_out: list[tuple[Path, str]] = []
    for folder in folders:
        if not folder.exists():
            raise BagError(f"recordings in {folder}", "no such folder", "check the path; 'kd-planner record' writes some")
        found, left = _below(folder)
        if not found:
            why = "; ".join(f"{path}: {reason}" for path, reason in left)
            raise BagError(f"recordings in {folder}", f"none ({why})" if why else "none", "record some with 'kd-planner record'")
        for bag in found:
            other = bags.setdefault(bag.resolve(), bag)
            if other != bag:
                left.append((bag, f"it is {other}"))
        left_out += left
    return Found(tuple(bags.values()), tuple(dict.fromkeys(left_out)))


def _below(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    if folder.is_file():
        return ([folder], []) if folder.suffix in DATA else ([], [(folder, "no rosbag2 file")])
    found: list[Path] = []
    left_out: list[tuple[Path, str]] = []
    for place, files in _walk(folder):
        if any(part.endswith(PARTIAL) for part in place.relative_to(folder.parent).parts):
            if any(Path(name).suffix in DATA or name == "metadata.yaml" for name in files):
                left_out.append((place, "it was interrupted"))
            continue
        here = recordings_in(place)
        found += here
        left_out += [(place / name, "no .mcap or .db3 file, and no metadata.yaml names it") for name in sorted(files)
                     if not here and name.endswith((".bag", *(f"{one}.zstd" for one in DATA)))]
    return sorted(found), left_out


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder below ``folder`` with the names of its files. Links are followed; a folder that several of them lead to is seen
    once, by its own path where that lies as high."""
    seen: set[Path] = set()
    for place, names, files in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        if here in seen:
            names.clear()
            continue
        seen.add(here)
        names.sort(key=lambda name: ((Path(place) / name).is_symlink(), name))
        yield Path(place), files
