"""Names of maps: CARLA and its users call one town by several."""

from __future__ import annotations


def town_of(name: str) -> str:
    """The town that a map called ``name`` shows: Town05 for ``Carla/Maps/Town05_Opt``, ``Town05HD`` and ``maps/Town05.net.xml``;
    "" for ""."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return last.removesuffix(".net.xml").removesuffix(".xodr").removesuffix("_Opt").removesuffix("HD")
