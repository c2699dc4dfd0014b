"""Where shipped weights lie, in a checkout and in an installed package."""

from __future__ import annotations

from pathlib import Path

import kd_planner_ros


def models_folder() -> Path:
    """The folder of shipped models: ``models/`` of the checkout, else ``share/kd_planner_ros/models`` of the prefix
    the package is installed under. Neither need exist."""
    package = Path(kd_planner_ros.__file__).resolve().parent
    checkout = package.parent / "models"
    if (package.parent / "package.xml").is_file() or checkout.is_dir():
        return checkout
    for parent in package.parents:
        installed = parent / "share" / "kd_planner_ros" / "models"
        if installed.is_dir():
            return installed
    return checkout
