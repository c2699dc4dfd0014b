"""``kd-planner perceive``: a perceiver on a picture, a folder of pictures or a recording."""

from __future__ import annotations

import argparse
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args

EPILOG = """\
examples:
  kd-planner perceive --input street.png --fov 90 --model MODEL --out seen
  kd-planner perceive --input kitti/image_02/data --fov 81 --rate 10 --model MODEL --out seen
  kd-planner perceive --input recordings/default_drawn_0-0_WetSunset_s0 --frames 50 --model MODEL --out seen

Each picture is scaled and cut as the model's own camera would see it; what the picture does not reach is unknown in the outputs.
NAME is a picture's name without its ending, with it where two pictures would have one name. Its files: NAME_depth.png (16-bit,
millimetres, 0 unknown; 65.535 m and farther is 65535, and depth_clipped_share of perceive.json is the share of such pixels),
NAME_classes.png (8-bit ids, 255 unknown), ids as 16-bit PNG, masks as 8-bit PNG, flow and probabilities as .npy, NAME_overview.png.
perceive.json has the numbers, under formats what each file holds, and under labels the name of each class id; a pixel of panoptic and
instances holds (class + 1) * 1000 + a number within the class. Under left_out and refused stand the files that hold no picture and the
pictures that show nothing (black, white, without contrast, fewer than 32 pixels), each with the reason.
Of a recording the folder outputs is a new recording with the topics of the perception node, but for points and label_info."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``perceive``."""
    from kd_planner_ros.evaluation.perceive.run import PerceiveConfig

    parser.epilog = EPILOG
    add_fields(parser, PerceiveConfig)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.evaluation.perceive.run import PerceiveConfig, run, summary

    result = run(from_args(PerceiveConfig, args))
    print(summary(result))
    return result
