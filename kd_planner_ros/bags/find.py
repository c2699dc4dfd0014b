"""Recordings below folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kd_planner_ros.core.errors import BagError


def find_bags(folders: Iterable[Path]) -> list[Path]:
    """Every recording in ``folders``: themselves, or in any depth below them; sorted, ``.partial`` left out.

    Raises:
        BagError: a folder is missing, or holds no recording.
    """
    found: list[Path] = []
    folders = [Path(folder) for folder in folders]
    if not folders:
        raise BagError("recordings", "no path", "give folders with --bags; 'kd-planner record' writes some")
    for folder in folders:
        if not folder.is_dir():
            raise BagError(f"recordings in {folder}", "a file" if folder.exists() else "no such folder",
                           "check the path; 'kd-planner record' writes some")
        here = sorted(p.parent for p in folder.rglob("metadata.yaml")
                      if not any(part.endswith(".partial") for part in p.parts))
        if not here:
            raise BagError(f"recordings in {folder}", "none", "record some with 'kd-planner record'")
        found += here
    return list(dict.fromkeys(found))
