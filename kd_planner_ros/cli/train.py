"""``kd-planner train``: recordings in, weights with their card out."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.network_options import add_training_options, training_options
from kd_planner_ros.cli.options import add_fields, add_json, given, show

EPILOG = """\
examples:
  kd-planner train --bags bags/town01 bags/town03 --name my_student
  kd-planner train --recipe my_student.yaml --epochs 10
  torchrun --nproc-per-node 4 -m kd_planner_ros.cli.main train --bags bags/town01 --name my_student

Stop it at any time; the same command goes on behind the last checkpoint. The weights that are best on the validation
routes are written to models/<name>/ together with their card. A recipe is a YAML file with the names of these options
(underscores for dashes), a section for each network and method ('plankd: {rank_loss: paper}'), and 'stages'; options on the
command line win over the recipe's; a start there (--init, --warm-start) replaces that of the recipe, --warm-start '' leaves it out."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``train``."""
    from kd_planner_ros.distill.config import TrainConfig

    parser.epilog = EPILOG
    parser.add_argument("--recipe", type=Path, metavar="PATH", help="YAML file with options, sections and stages")
    add_fields(parser, TrainConfig, given_only=True)
    add_training_options(parser)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Any:
    from kd_planner_ros.distill.config import TrainConfig
    from kd_planner_ros.distill.recipes import read_recipe, train_config
    from kd_planner_ros.distill.train import train
    from kd_planner_ros.ros.guard import follow_torchrun

    follow_torchrun()
    recipe = read_recipe(args.recipe) if args.recipe else {}
    result = train(train_config(given(args, TrainConfig) | training_options(args), recipe, str(args.recipe)))
    if os.environ.get("RANK", "0") != "0":  # torchrun: one process speaks for all
        args.json = False
        return result
    show(asdict(result))
    return result
