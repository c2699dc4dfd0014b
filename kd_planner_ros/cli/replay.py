"""``kd-planner replay``: a recording through the real ROS 2 graph, scored."""

from __future__ import annotations

import argparse
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args

EPILOG = """\
examples:
  kd-planner replay --bag recordings/default_drawn_0-0_WetSunset_s0 --planner constant_velocity --json

  kd-planner replay --bag my_bag --planner constant_velocity --perception auto --out my_bag_seen

The recording is played in simulated time through the planner node. Frames that the node did not answer are counted;
above the limit the run is refused rather than scored. --perception runs the perception node too, and --out writes what all
nodes publish into a new recording. 'kd-planner evaluate open-loop' does the same without ROS."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``replay``."""
    from kd_planner_ros.ros.graph.replay import ReplayConfig

    parser.epilog = EPILOG
    add_fields(parser, ReplayConfig)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Any:
    from kd_planner_ros.evaluation.plan_figures import replayed
    from kd_planner_ros.ros.graph.replay import ReplayConfig, replay
    from kd_planner_ros.ros.guard import follow_launch

    follow_launch()
    result = replay(from_args(ReplayConfig, args))
    print("\n".join(replayed(result)))
    return result
