"""Where shipped weights and settings lie, in a checkout and in an installed package."""

from __future__ import annotations

from pathlib import Path

import kd_planner_ros

SHARED = Path("../shared")
"""Where maps/ and routes/ of CARLA's towns are looked for when no folder is given."""


def models_folder() -> Path:
    """The folder of shipped models: ``models/`` of the checkout, else ``share/kd_planner_ros/models`` of the prefix
    the package is installed under. Neither need exist."""
    return _folder("models")


def config_folder() -> Path:
    """``config/`` of the checkout, else ``share/kd_planner_ros/config`` of the prefix of the installed package."""
    return _folder("config")


def _folder(name: str) -> Path:
    package = Path(kd_planner_ros.__file__).resolve().parent
    checkout = package.parent / name
    if (package.parent / "package.xml").is_file() or checkout.is_dir():
        return checkout
    installed = (parent / "share" / "kd_planner_ros" / name for parent in package.parents)
    return next((place for place in installed if place.is_dir()), checkout)
