"""``kd-planner record``: the expert drives, rosbag2 recordings come out."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args, show

EPILOG = """\
examples:
  kd-planner record --out recordings --count 1 --width 448 --height 128     the recording that examples of other commands name
  kd-planner record --rig shared --labels all --count 1 --out recordings/shared     the one that those of perception models name
  kd-planner record --out bags/default --count 40 --width 448 --height 128   routes of the default town at 2 FPS, to train on
  kd-planner record --out bags/replay --count 1 --fps 20 --width 448 --height 128   full rate, for replay
  kd-planner record --map Town01.net.xml --routes town01_short.xml --width 448 --height 128 --out bags/town01
  kd-planner record --out bags/turns --student tcp64_7m6 --width 448 --height 128   a student drives some of the time (DAgger)

A model takes pictures of its own camera alone: 448x128 is that of the shipped TCP planners, and without a size it is that of the
published network, which none of them has. 'kd-planner bags check' names the shipped models that a recording fits.

Stop it at any time; the same command goes on behind the last finished route. 'ros2 bag info' reads the recordings."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``record``."""
    from kd_planner_ros.record.jobs import RecordConfig

    parser.epilog = EPILOG
    add_fields(parser, RecordConfig)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Any:
    from kd_planner_ros.record.jobs import RecordConfig
    from kd_planner_ros.record.record import record

    result = record(from_args(RecordConfig, args))
    show(asdict(result))
    return result
