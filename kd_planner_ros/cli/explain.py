"""``kd-planner explain``: what a model sees or looks at, frame by frame of a recording."""

from __future__ import annotations

import argparse
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args

EPILOG = """\
examples:
  kd-planner explain --bag recordings/default_drawn_0-0_WetSunset_s0 --frame 40 --model my_student --out pictures
  kd-planner explain --bag recordings/default_drawn_0-0_WetSunset_s0 --frame 40 --model my_student --teacher MODEL --out pictures
  kd-planner explain --bag my_bag --stamp 12.5 31 --model my_student --run-dir runs/train/my_student --out pictures

Of a planner with candidates (DistillDrive) it draws plan_N.png: its map lines, road users with forecasts, candidates by score and plan,
over the camera and from above, and with --teacher those of another planner beside. Every frame before is planned too.

Of a perceiver it draws a strip a frame (strip_N.png): input, panoptic, instances, classes, depth, motion, independent flow, flow.

Of TCP and InterFuser it is for models trained with PlanKD (kd-planner train --method plankd). For each frame it draws the attention that
the waypoints get over the bird's-eye scene (attention_N.png), and the parts of the camera picture that the planning states are read from
(gradcam_N.png). Both need the training run of the model: attention and bottleneck are not shipped with the weights."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``explain``."""
    from kd_planner_ros.evaluation.explain import ExplainConfig

    parser.epilog = EPILOG
    add_fields(parser, ExplainConfig)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.evaluation.explain import ExplainConfig, run

    result = run(from_args(ExplainConfig, args))
    for one in result["frames"]:
        if picture := one.get("strip_png") or one.get("plan_png"):
            print(f"frame {one['frame']} at {one['stamp_s']:.2f} s: {args.out / picture}")
            continue
        weights = " ".join(f"{weight:.3f}" for weight in one.get("attention", ()))
        pictures = [str(args.out / one[key]) for key in ("attention_png", "gradcam_png") if key in one]
        print(f"frame {one['frame']} at {one['stamp_s']:.2f} s: attention {weights or '-'}; {', '.join(pictures)}")
    return result
