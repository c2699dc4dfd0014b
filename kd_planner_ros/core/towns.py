"""Names of maps: CARLA and its users call one town by several."""

from __future__ import annotations

from pathlib import Path

OPENDRIVE_ENDINGS = (".xodr", ".xodr.gz")
MAP_ENDINGS = (".net.xml", ".net.xml.gz", *OPENDRIVE_ENDINGS)
"""How the names of map files end that can be loaded."""


def without_ending(name: str) -> str:
    """The file name ``name`` without the ending that makes it a map file."""
    return next((name.removesuffix(ending) for ending in MAP_ENDINGS if name.endswith(ending)), name)


def map_file(folder: Path, *names: str) -> Path | None:
    """The map file in ``folder`` of the first of ``names`` (towns, "" counts as none) that has one; None where none has."""
    return next((path for name in names if name for ending in MAP_ENDINGS if (path := folder / f"{name}{ending}").is_file()), None)


def town_of(name: str) -> str:
    """The town that a map called ``name`` shows: Town05 for ``Carla/Maps/Town05_Opt``, ``Town05HD`` and ``maps/Town05.net.xml``;
    "" for ""."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return without_ending(last).removesuffix("_Opt").removesuffix("HD")
