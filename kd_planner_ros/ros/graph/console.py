"""What a drive says on the console while it runs and at its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kd_planner_ros.core.folders import RUN

END_FILES = ("statistics.json", "drive.json", "report.html")
"""What a drive writes at its end, in this order."""


def show_status(line: str) -> None:
    """Overwrite the status line on a terminal; a line of its own elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:180]}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def say(line: str) -> None:
    """Print a line that stays."""
    print(("\r\033[K" if sys.stderr.isatty() else "") + line, file=sys.stderr, flush=True)


def tell_scenarios(facts: Sequence[Mapping[str, str]]) -> None:
    """Say what became of the scenarios of a route."""
    from kd_planner_ros.world.route_scenarios import count_by_status, sentences

    for line in sentences(count_by_status(facts)):
        say(line)


def tell_left_out(run_dir: Path, report: bool) -> None:
    """Say what a drive did not write that Ctrl-C or SIGTERM ended at once, and where the rest lies; ``report``: it was to write one."""
    if not (run_dir / RUN).is_file():
        say(f"stopped before the car could move: nothing was driven; logs are in {run_dir / 'graph'}")
        return
    lost = [name for name in END_FILES if (report or name != "report.html") and not (run_dir / name).is_file()]
    say(f"stopped at once: {', '.join(lost) or 'nothing'} left out; what was driven is in {run_dir}")
