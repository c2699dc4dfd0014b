"""``kd-planner train``: recordings in, weights with their card out."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args, show

EPILOG = """\
examples:
  kd-planner train --bags bags/town01 bags/town03 --name my_student
  torchrun --nproc-per-node 4 -m kd_planner_ros.cli.main train --bags bags/town01 --name my_student

Stop it at any time; the same command goes on behind the last checkpoint. The weights that are best on the validation
routes are written to models/<name>/ together with their card."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``train``."""
    from kd_planner_ros.distill.train import TrainConfig

    parser.epilog = EPILOG
    add_fields(parser, TrainConfig)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Any:
    from kd_planner_ros.distill.train import TrainConfig, train

    result = train(from_args(TrainConfig, args))
    if os.environ.get("RANK", "0") != "0":  # torchrun: one process speaks for all
        args.json = False
        return result
    show(asdict(result))
    return result
