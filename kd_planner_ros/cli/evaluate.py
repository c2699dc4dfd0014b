"""``kd-planner evaluate WHAT``: score models without the ROS graph, in closed loop or on recordings, and compare evaluations."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_planner_ros.cli.options import add_fields, add_json, from_args
from kd_planner_ros.networks.planner import PLANNER

EPILOG = """\
examples:
  kd-planner evaluate closed-loop --planner tcp64_7m6 --seeds 3 --jobs 2 --out runs/student
  kd-planner evaluate closed-loop --planner expert --map Town05.net.xml --routes town05_short.xml --out runs/e
  kd-planner evaluate closed-loop --planner tcp64_7m6 --latency measured --out runs/student_late
  kd-planner evaluate closed-loop --planner tcp64_7m6 --fallback-planner constant_velocity --out runs/two_planners
  kd-planner evaluate closed-loop --planner tcp64_7m6 --routes hidden --v2x on --v2x-loss 0.3 --out runs/v2x
  kd-planner evaluate compare --baseline runs/student --other runs/student_late
  kd-planner evaluate latency-sweep --models tcp64_7m6 --out runs/latency
  kd-planner evaluate open-loop --bag recordings/default_drawn_0-0_WetSunset_s0 --planner tcp64_7m6 --json
  kd-planner evaluate pdms --bag recordings --out runs/pdms
  kd-planner evaluate dense --bag recordings/shared --model unified_nano --out runs/dense
  kd-planner evaluate steering --bag recordings/shared --models MODEL --out runs/steering

Open-loop error is not driving quality: read it together with the closed-loop score. 'evaluate' scores one model;
'benchmark' compares many models in tables; 'bench' measures speed."""
CLOSED = """\
example:
  kd-planner evaluate closed-loop --planner constant_velocity --seeds 3 --jobs 2 --out runs/baseline

Writes OUT/statistics.json (the CARLA leaderboard's fields; means and deviations over seeds), one folder a route below
OUT/seed_S/, and a report.html in each where pictures are kept. The same command goes on where it was stopped."""
COMPARE = """\
example:
  kd-planner evaluate closed-loop --planner tcp64_7m6 --routes hidden --routes-count 40 --v2x off --out runs/off
  kd-planner evaluate closed-loop --planner tcp64_7m6 --routes hidden --routes-count 40 --v2x on --out runs/on
  kd-planner evaluate compare --baseline runs/off --other runs/on

Compares two closed-loop evaluations drive by drive: the drives of one route, seed and weather are a pair. Prints in how many drives
there was a collision, and completed drives, with the exact McNemar test of the pairs that differ; and the means of driving score, route
completion and share of drives with a collision, with the paired difference and its interval (95 %, bootstrap over routes). The
evaluations may differ in planner, latency and V2X; map, routes and traffic must be the same. Drives that only one of them has are
counted and left out."""
SWEEP = """\
example:
  kd-planner evaluate latency-sweep --map Town05.net.xml --routes town05_short.xml --seeds 3 --out runs/latency

Writes OUT/latency.json, OUT/latency.md and OUT/latency.png (driving score over latency, mean and deviation over seeds).
The same command goes on where it was stopped. Latencies of the same number of ticks (50 ms) are driven once."""
OPEN = """\
example:
  kd-planner evaluate open-loop --bag recordings/default_drawn_0-0_WetSunset_s0 --planner constant_velocity --json

Prints the L2 distance to the recorded car's positions at each of --horizons (metres), the share of plans that collide with a
recorded actor until then, nuScenes' L2 and collision rate to 1, 2 and 3 s by the VAD and by the UniAD convention, AP of the
road users and map lines that a planner reports, minADE of its forecasts and over its candidates, and the steering error against the
recorded expert (share of full lock)."""

PDMS = """\
examples:
  kd-planner evaluate pdms --bag recordings --out runs/pdms
  kd-planner evaluate pdms --bag recordings --planners tcp64_7m6 expert --horizons 2,4 --extend constant-speed --json

Drives each plan with a tracker through the scene it was made in, while the others do what was recorded, and judges the drive:
  PDMS  = NC DAC (5 EP + 5 TTC + 2 C) / 12                             (navsim v1)
  EPDMS = NC DAC DDC TLC (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16      (navsim v2.2)
NC no collision of one's own fault, DAC drivable area, DDC driving direction, TLC traffic lights, EP progress, TTC time to collision, LK
lane keeping, C, HC and EC comfort (alone, behind the recorded history, against the plan before). The recorded driver, the built-in
expert, stands for PDM-Closed's progress and for the human: with the human filter a sub-score counts as 1 where the driver has 0.
All planners are compared on the same scenes. Intervals are of 95 %, by bootstrap over blocks of time. Models whose trainings differ in
the seed alone are pooled in a second table, with intervals over seeds and blocks. Record scenes without disturbances
('kd-planner record --no-disturb'), once with the sensors of each network. docs/guides/score_plans.md says what each figure means."""

DENSE = """\
examples:
  kd-planner evaluate dense --bag recordings/shared --model unified_nano --out runs/dense
  kd-planner evaluate dense --kitti KITTI_RAW --split eigen/test_files.txt --model MODEL --out runs/kitti
  kd-planner evaluate dense --cityscapes CITYSCAPES --model MODEL --out runs/cityscapes

Compares everything that a perception model gives with labels, by the kind of output: depth (Abs Rel, Sq Rel, RMSE, RMSE of the
logarithm, share of pixels within 1.25, 1.25^2 and 1.25^3; as predicted, and after median scaling), classes (IoU), panoptic segments
(PQ, SQ, RQ), instances (AP 0.50:0.95), drivable area and lane markings (IoU; lines one pixel wider), 3D flow (end-point error of
static and moving pixels, and the photometric error of the picture before, warped by it), motion mask (IoU, F1), the camera's motion
(rotation, translation, ATE) and steering (MSE). Baselines without pictures are fitted to the first half of the frames and compared
with the model over the second half. Pixels and frames that are left out are counted. --out writes dense.json, dense.md and strip.png.
docs/guides/evaluate_a_perception_network.md says what each figure means."""

STEERING = """\
example:
  kd-planner evaluate steering --bag recordings/shared --models MODEL --out runs/steering

Trains a steering head on windows of 16 pictures behind each frozen encoder, behind one with random weights, and with the first
encoder fine-tuned, and tests it on parts of the recordings that it has not seen: folds of whole blocks of time. Prints the mean
and sample deviation over folds of the square error in degrees of the front wheels, the trivial predictors, and the encoders
pair by pair over the folds that both have. Writes OUT/steering.json and OUT/steering.md. The same command goes on where it was
stopped."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the kinds of evaluation."""
    from kd_planner_ros.evaluation.compare import CompareConfig
    from kd_planner_ros.evaluation.dense.config import DenseConfig
    from kd_planner_ros.evaluation.drives import ClosedLoopConfig
    from kd_planner_ros.evaluation.latency_sweep import SweepConfig
    from kd_planner_ros.evaluation.open_loop import OpenLoopConfig
    from kd_planner_ros.evaluation.pdm.config import PdmsConfig
    from kd_planner_ros.evaluation.steering import SteeringConfig

    parser.epilog = EPILOG
    ways = parser.add_subparsers(dest="way", metavar="WHAT", required=True, help="drive in the world, or compare with recordings")
    for name, config, run, epilog, summary in (
            ("closed-loop", ClosedLoopConfig, _closed, CLOSED, "drive routes in the built-in world and score them"),
            ("compare", CompareConfig, _compare, COMPARE, "compare two closed-loop evaluations drive by drive"),
            ("latency-sweep", SweepConfig, _sweep, SWEEP, "drive models with increasing plan latency"),
            ("open-loop", OpenLoopConfig, _open, OPEN, "compare plans with what a recording's driver did"),
            ("pdms", PdmsConfig, _pdms, PDMS, "score plans by driving them through recorded scenes (PDMS, EPDMS)"),
            ("dense", DenseConfig, _dense, DENSE, "compare everything a perception model gives with labels"),
            ("steering", SteeringConfig, _steering, STEERING, "compare encoders by the steering that a head learns from them")):
        way = ways.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=epilog)
        add_fields(way, config)
        if config not in (CompareConfig, DenseConfig, PdmsConfig, SteeringConfig):  # no model, or it is a field
            way.add_argument("--models-dir", default="", metavar="DIR", help="folder of models (default: the shipped ones)")
        add_json(way)
        way.set_defaults(run=run)


def _closed(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.closed_loop import run
    from kd_planner_ros.evaluation.drives import ClosedLoopConfig
    from kd_planner_ros.runtime.facts import planner_place, tell_same_fallback
    from kd_planner_ros.world.route_scenarios import sentences

    tell_same_fallback((args.planner, args.models_dir), (args.fallback_planner, args.models_dir))
    fallback = planner_place(args.fallback_planner, args.models_dir) if args.fallback_planner else ""
    result = run(from_args(ClosedLoopConfig, args, planner=planner_place(args.planner, args.models_dir), fallback_planner=fallback))
    for key, value in result["mean"].items():
        print(f"{key:<26} {value:8.3f}" + (f"  +- {result['std'][key]:.3f} over seeds" if len(result["seeds"]) > 1 else ""))
    for line in sentences(result["scenarios"]):
        print(line)
    if radio := result["v2x"]:
        refused = ", ".join(f"{name} {count}" for name, count in radio["refused"].items()) or "nothing"
        print(f"V2X: {radio['accepted']} messages accepted; refused: {refused}; the supervisor was more cautious in "
              f"{radio['cautious_ticks']} ticks")
    print(f"simulated latency: {result['latency_text']}\ndetails: {args.out / 'report.html'}, {args.out / 'statistics.json'}")
    return result


def _compare(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.compare import CompareConfig, run, table

    result = run(from_args(CompareConfig, args))
    print("\n".join(table(result)))
    left = ", ".join(f"{count} of {name}" for name, count in result["unpaired"].items() if count) or "none"
    print(f"{result['drives']} pairs of drives on {result['routes']} routes; drives without a partner, left out: {left}")
    return result


def _sweep(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.latency_sweep import SweepConfig, run
    from kd_planner_ros.runtime.facts import models_of
    from kd_planner_ros.runtime.find import find_model

    names = args.models or [folder.name for folder in models_of(PLANNER, args.models_dir)]
    models = {Path(name).name: find_model(name, args.models_dir or None) for name in names}
    result = run(from_args(SweepConfig, args, models=tuple(models)), models)
    print((args.out / "latency.md").read_text(), end="")
    print(f"details: {args.out / 'latency.json'}, {args.out / 'latency.png'}")
    return result


def _open(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.open_loop import OpenLoopConfig, run
    from kd_planner_ros.evaluation.plan_figures import lines
    from kd_planner_ros.evaluation.seen_maps import sentence
    from kd_planner_ros.runtime.facts import planner_place

    result = run(from_args(OpenLoopConfig, args, planner=planner_place(args.planner, args.models_dir)))
    print("\n".join(lines(result, f"{result['incomplete']} instants incomplete")))
    if result["same_drive"]:
        print(f"{result['same_drive']} recordings show a drive that another one shows too: each drive counts once, as the first of its "
              f"recordings that has the sensors of {result['planner']} shows it")
    if result["trained_on"]:
        print(sentence(result["planner"], result["trained_on"]))
    _print_notes(result)
    return result


def _pdms(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.pdm.config import PdmsConfig
    from kd_planner_ros.evaluation.pdm.run import run
    from kd_planner_ros.evaluation.pdm.summary import tables

    result = run(from_args(PdmsConfig, args))
    print("\n".join(tables(result)))
    left = ", ".join(f"{count} {reason}" for reason, count in result["left_out"].items()) or "nothing"
    print(f"{result['scenes']} scenes of {result['drives']} drives; left out: {left}")
    for name, count in result["without_plan"].items():
        print("".join([f"{name}: no plan in {count} scenes"] * bool(count)), end="\n" * bool(count))
    for name, why in result["no_sensors"].items():
        print(f"{name} is left out: {why}")
    for name, why in result["no_label"].items():
        print(f"{name} counts in no label: {why}")
    if args.out is not None:
        print(f"details: {args.out / 'pdms.json'}, pdms.md and scenes.jsonl beside it")
    return result


def _print_notes(result: dict) -> None:
    for bag, notes in result.get("notes", {}).items():
        print("\n".join(f"{bag}: {note}" for note in notes))


def _dense(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.dense.config import DenseConfig
    from kd_planner_ros.evaluation.dense.run import run
    from kd_planner_ros.evaluation.dense.table import left_out, recordings_table, seen_lines, table

    result = run(from_args(DenseConfig, args))
    print("\n".join(table(result)))
    if len(result["recordings"]) > 1:
        print("\n".join(["", *recordings_table(result)]))
    print("".join(f"{line}\n" for line in seen_lines(result)), end="")
    for name, one in result["outputs"].items():
        pixels = f", {one['pixels']} pixels" if isinstance(one.get("pixels"), int) else ""
        print(f"{name}: {one['frames']} frames{pixels}; left out: {left_out(one)}")
        for text, trivial in one["second_half"]["baselines"].items():
            print(f"{name}: baseline {text}: {trivial['rule']}")
    for name, reason in result["not_scored"].items():
        print(f"{name}: not scored: {reason}")
    speed = result["speed"]
    print(f"{result['frames']} frames of {result['bags']} recordings; {result['incomplete']} instants incomplete, "
          f"{result['unlabelled']} frames without labels; {speed['frames_per_s']:.1f} frames/s")
    print("milliseconds a frame: " + ", ".join(f"{part} {speed[part + '_ms']:.1f}" for part in ("reading", "network", "judging")))
    _print_notes(result)
    if args.out is not None:
        print(f"details: {args.out / 'dense.json'}, dense.md and strip.png beside it")
    return result


def _steering(args: argparse.Namespace) -> dict:
    from kd_planner_ros.evaluation.steering import SteeringConfig, run, table

    result = run(from_args(SteeringConfig, args))
    print("\n".join(table(result)))
    left = ", ".join(f"{count} {reason}" for reason, count in result["left_out"].items() if count)
    print(f"{result['samples']} samples in {result['blocks']} blocks of time; left out: {left or 'nothing'}")
    print(f"details: {args.out / 'steering.json'}, {args.out / 'steering.md'}")
    return result
