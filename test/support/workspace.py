"""An install space as colcon leaves it, made in a moment: the package's executables and its mark in the ament index."""

import re
import runpy
import sys
from pathlib import Path
from unittest import mock

import setuptools

ROOT = Path(__file__).parents[2]
PACKAGE = "kd_planner_ros"


def executables():
    """(name, module, function) of every console script of setup.py."""
    told = {}
    with mock.patch.object(setuptools, "setup", told.update):
        runpy.run_path(str(ROOT / "setup.py"))
    return [re.fullmatch(r"([\w-]+) = ([\w.]+):(\w+)", text).groups() for text in told["entry_points"]["console_scripts"]]


def install_space(folder: Path) -> Path:
    """``folder`` with what ``ros2 run`` and ``ros2 launch`` look for; name it in AMENT_PREFIX_PATH."""
    index = folder / "share" / "ament_index" / "resource_index" / "packages" / PACKAGE
    scripts = folder / "lib" / PACKAGE
    for place in (index.parent, scripts):
        place.mkdir(parents=True, exist_ok=True)
    index.write_text("")
    for name, module, function in executables():
        script = scripts / name
        script.write_text(f"#!{sys.executable}\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n")
        script.chmod(0o755)
    return folder
