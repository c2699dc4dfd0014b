"""``kd-planner drive``: world, planner and controller as ROS 2 processes, then a report."""

from __future__ import annotations

import argparse
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args
from kd_planner_ros.core.stopping import exit_status

EPILOG = """\
examples:
  kd-planner drive                                       the shipped planner through the default town
  kd-planner drive --planner constant_velocity           the baseline that only follows the navigation
  kd-planner drive --map Town05.net.xml --route routes.xml --seed 3

A status line shows simulated time, speed and route completion while it runs; Ctrl-C stops the car and still writes
the report; the exit status is 130 then. The folder holds report.html, the animation, statistics.json in the CARLA
leaderboard's layout, and every number behind the plots."""

TRUE_FALSE = ["true", "false"]
"""Choices of an argument that is an option without a value, too."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``drive``."""
    from kd_planner_ros.ros.graph.drive import DriveConfig, further_arguments

    parser.epilog = EPILOG
    add_fields(parser, DriveConfig)
    for name, default, text, choices in further_arguments():
        flag = {"nargs": "?", "const": "true"} if choices == TRUE_FALSE else {}
        parser.add_argument("--" + name.replace("_", "-"), default=default, help=text, choices=choices, required=default is None, **flag)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Any:
    from kd_planner_ros.ros.graph.drive import DriveConfig, drive, further_arguments

    result = drive(from_args(DriveConfig, args, asked={name: getattr(args, name) for name, *_ in further_arguments()}))
    args.status = exit_status() if result["interrupted"] else 0
    return result
