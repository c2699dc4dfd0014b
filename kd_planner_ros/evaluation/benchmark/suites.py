"""The suites: a map, its routes and the town's traffic; where their files are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.runtime.paths import SHARED

SUITES = ("town05-short", "town05-long", "default-town")


@dataclass(frozen=True)
class Suite:
    """``map`` and ``routes`` as ``evaluate closed-loop`` takes them; ``town`` names the map that no model may have been
    trained on ("" where the routes alone are held out)."""

    name: str
    map: str
    routes: str
    town: str


def find_suite(name: str, maps_dir: Path | None, routes_dir: Path | None) -> Suite:
    """The suite ``name`` with its files.

    Raises:
        ConfigError: an unknown name, or a file that is not there: it says which option to give.
    """
    if name not in SUITES:
        raise ConfigError(f"a suite out of {', '.join(SUITES)}", repr(name), "correct --suite")
    if name == "default-town":
        return Suite(name, "default", "default", "")
    routes = name.replace("-", "_") + ".xml"
    return Suite(name, _file(maps_dir, "maps", "Town05.net.xml", "--maps-dir"),
                 _file(routes_dir, "routes", routes, "--routes-dir"), "Town05")


def _file(folder: Path | None, shared: str, name: str, option: str) -> str:
    place = Path(folder) if folder is not None else SHARED / shared
    for path in (place / name, place / name.replace(".net.xml", ".xodr")):
        if path.is_file():
            return str(path)
    raise ConfigError(f"{name} in {place}", "no such file",
                      f"give {option} with its folder, or take --suite default-town, which needs no files")
