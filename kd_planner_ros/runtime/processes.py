"""Commands for processes of this package's own modules."""

from __future__ import annotations

import sys


def module_command(module: str) -> list[str]:
    """The first words of a command that runs ``module``. The folder that the user stands in is left out of the search: where it holds a
    checkout of this repository, its folder ``kd_planner_ros`` would be taken for the package. Python 3.10 cannot leave it out."""
    return [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), "-m", module]
