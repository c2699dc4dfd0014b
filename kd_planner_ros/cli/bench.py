"""``kd-planner bench world | record | train | latency | sizes | drive | v2x``: the speed figures, each measured on this machine."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.network_options import add_input_options, add_training_options, input_fields, training_options
from kd_planner_ros.cli.options import add_json, show
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.distill.methods.registry import method_names

EPILOG = """\
examples:
  kd-planner bench world --map Town05.net.xml --vehicles 120 --json     frames/s of the built-in world on one core
  kd-planner bench record --json                                        recorded frames/s over two workers
  kd-planner bench train --json                                         training samples/s and peak memory
  kd-planner bench train --network interfuser --interfuser.front-px 128 --batch 16 --json    the same for InterFuser
  kd-planner bench train --method plankd --json                         cost of PlanKD's step over imitation's
  kd-planner bench latency --planner tcp64_7m6 --json                   milliseconds from pixels to waypoints
  kd-planner bench sizes interfuser --json                              the same for every size, beside the paper's
  kd-planner bench drive --json                                         simulated time over wall time, whole graph
  kd-planner bench v2x --json                                           milliseconds a roadside message, and 100 stations at once

Run nothing else on the machine while a figure is taken. 'bench' measures speed; 'evaluate' scores one model; 'benchmark'
compares many models in tables."""
RECORDED = 20
"""Pictures of a recording that a perceiver is measured on, in turn."""
BENCH_ROUTE = "8"
"""Does not change with the route that ``drive`` shows, so that figures of different dates can be compared."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the measurements."""
    from kd_planner_ros.networks.registry import folders, is_weightless

    parser.epilog = EPILOG
    ways = parser.add_subparsers(dest="way", metavar="WHAT", required=True, help="what to measure")

    def way(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        sub = ways.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EPILOG)
        sub.set_defaults(run=run)
        add_json(sub)
        return sub

    sub = way("world", _world, "frames/s of the built-in world with TCP's and InterFuser's sensors")
    _add_map(sub)
    sub.add_argument("--vehicles", type=int, default=120, metavar="N", help="background vehicles")
    sub.add_argument("--frames", type=_whole, metavar="N", default=100, help="frames to measure")
    sub = way("record", _record, "frames/s of recording with TCP's camera at 2 FPS")
    _add_map(sub)
    sub.add_argument("--workers", type=_whole, metavar="N", default=2, help="worker processes")
    sub.add_argument("--count", type=_whole, metavar="N", default=4, help="routes to record")
    _add_train(way("train", _train, "training samples/s and peak memory"))
    sub = way("latency", _latency, "milliseconds from pixels to waypoints, or to a perceiver's outputs")
    _add_planner(sub, "a planner or a perceiver")
    _add_engine(sub)
    sub.add_argument("--frames", type=_whole, metavar="N", default=100, help="frames to measure")
    sub.add_argument("--bag", type=Path, default=None, metavar="DIR",
                     help=f"of a perceiver: the first {RECORDED} pictures of this recording in turn, in place of a picture of noise")
    sub = way("sizes", _sizes, "milliseconds of every size of a network with random weights, beside published ones")
    sub.add_argument("network", metavar="NETWORK", help="one of " + ", ".join(name for name in folders() if not is_weightless(name)))
    add_input_options(sub)
    _add_engine(sub)
    sub.add_argument("--frames", type=_whole, metavar="N", default=30, help="frames to measure")
    sub = way("drive", _drive, "simulated time over wall time of the whole ROS 2 graph")
    _add_planner(sub)
    sub.add_argument("--seconds", type=float, default=20.0, metavar="X", help="simulated seconds to drive")
    _add_v2x(way("v2x", _v2x, "milliseconds of the V2X gateway a message, and whether it keeps up with 100 stations on one core"))


def _add_v2x(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--frames", type=_whole, metavar="N", default=200, help="messages of each kind to measure")
    sub.add_argument("--seconds", type=_whole, default=60, metavar="N", help="seconds of stream time of all stations")
    sub.add_argument("--stations", type=_whole, default=100, metavar="N", help="stations in range")
    sub.add_argument("--graph", action="store_true", help="measure the gateway's node through rclpy too, in real time")
    sub.add_argument("--graph-stations", type=_whole, default=10, metavar="N", help="with --graph: stations in range")
    sub.add_argument("--graph-seconds", type=_whole, default=5, metavar="N", help="with --graph: seconds of wall time")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", default="tcp", metavar="TEXT", help="network to train, as 'kd-planner train --network'")
    parser.add_argument("--size", default="", metavar="TEXT",
                        help="network size (default: 13.9m for tcp, else the smallest size)")
    parser.add_argument("--batch", type=_whole, metavar="N", default=24, help="samples a step")
    parser.add_argument("--steps", type=_whole, metavar="N", default=5, help="steps to measure, after one step of warm-up")
    parser.add_argument("--device", default="cpu", metavar="TEXT", help="auto, cpu, cuda, cuda:1 ...")
    parser.add_argument("--method", default="imitation", choices=method_names(),
                        help="method to measure; a distillation method is compared with imitation, with cached teacher outputs")
    add_training_options(parser)


def _add_planner(parser: argparse.ArgumentParser, what: str = "a planner") -> None:
    parser.add_argument("--planner", default="auto", metavar="TEXT",
                        help=f"{what}, as 'models list' names it, or auto: the best shipped planner")
    parser.add_argument("--models-dir", default="", metavar="DIR", help="folder of models (default: the shipped ones)")


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", metavar="TEXT", help="cpu, cuda, cuda:1 ...")
    parser.add_argument("--engine", default="auto", choices=("auto", "torch", "openvino", "onnxruntime"), help="inference engine")


def _whole(text: str) -> int:
    """A number of things to measure, from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1; got {text!r}; give a larger one")
    return int(text)


def _add_map(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--map", default="default", metavar="TEXT",
                        help="default, generated:SEED, or a .net.xml or .xodr file, also with .gz")


def _show(result: dict[str, Any]) -> dict[str, Any]:
    show(result)
    return result


def _latency(args: argparse.Namespace) -> dict[str, Any]:
    import resource

    from kd_planner_ros.runtime.bench import bench_caption, bench_latency, in_turn
    from kd_planner_ros.runtime.bench_parts import bench_parts
    from kd_planner_ros.runtime.facts import model_place
    from kd_planner_ros.runtime.load import load_model_runner
    from kd_planner_ros.runtime.perceiver import NetworkPerceiver

    model = load_model_runner(model_place(args.planner, args.models_dir), None, args.device, args.engine)
    frames = _recorded(model, args.bag) if args.bag else []
    found = bench_latency(model, args.frames, frames=frames)
    if isinstance(model, NetworkPerceiver):
        found |= bench_parts(model, in_turn(model, max(2, len(frames)), frames), args.frames)
    else:
        found |= bench_caption(model_place(args.planner, args.models_dir), model, args.frames)
    return _show(found | {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1)})


def _recorded(model: Any, bag: Path) -> list[Frame]:
    """The first pictures of a recording, as the perceiver's camera would see them."""
    from kd_planner_ros.evaluation.perceive.first import recorded_frames
    from kd_planner_ros.networks.planner import Perceiver

    if not isinstance(model, Perceiver):
        raise ConfigError("a perception model with --bag", f"'{model.name}', a {model.role}", "leave --bag out: a planner gets noise")
    return recorded_frames(model, bag, RECORDED)


def _sizes(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.evaluation.bench_sizes import bench_sizes

    result = bench_sizes(args.network, args.frames, args.device, args.engine, **input_fields(args, args.network))
    print(f"{result['engine']}\n{'size':<8} {'parameters':>12} {'ms':>8} {'paper ms':>8} {'speed-up':>9} {'paper':>8}")
    for row in result["rows"]:
        print(f"{row['size']:<8} {row['parameters']:>12,} {row['p50_ms']:>8.1f} {row['paper_ms'] or '-':>8} "
              f"{row['speed_up']:>9.2f} {row.get('paper_speed_up', '-'):>8}")
    for one in result["left_out"]:
        print(f"{one['size']:<8} left out: {one['why']}")
    return result


def _train(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.evaluation.bench_distill import bench_distill
    from kd_planner_ros.evaluation.bench_train import bench_config, bench_train

    taught = args.method != "imitation"
    fixed = {"method": args.method, "teacher": "teacher"} if taught else {}
    config = bench_config(args.network, args.size, args.batch, args.device, {**training_options(args), **fixed})
    return _show(bench_distill(config, args.steps) if taught else bench_train(config, args.steps))


def _drive(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.ros.graph.drive import DriveConfig, drive

    with tempfile.TemporaryDirectory() as folder:
        result = drive(DriveConfig(planner=args.planner, models_dir=args.models_dir, route=BENCH_ROUTE, time=args.seconds,
                                   out=str(Path(folder) / "run"), report=False))
    keys = ("sim_per_wall", "sim_s", "wall_s", "unanswered_ticks", "status")
    return _show({key: result[key] for key in keys})


def _record(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.record.jobs import RecordConfig
    from kd_planner_ros.record.record import record

    with tempfile.TemporaryDirectory() as folder:
        result = record(RecordConfig(out=Path(folder) / "bags", map=args.map, count=args.count, workers=args.workers))
    return _show({"frames_per_s": result.frames_per_s, "steady_frames_per_s": result.steady_frames_per_s,
                  "frames": result.frames, "routes": result.routes, "seconds": result.seconds,
                  "cpu_ms_per_frame": 1e3 * result.cpu_s / max(result.frames, 1), "megabytes": result.megabytes,
                  "workers": args.workers})


def _world(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.world.render.bench import bench_world

    return _show(bench_world(args.map, vehicles=args.vehicles, frames=args.frames))


def _v2x(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.v2x.bench import bench_messages, bench_stream

    found = {**bench_messages(args.frames), **bench_stream(args.stations, args.seconds)}
    if args.graph:
        from kd_planner_ros.ros.graph.bench_v2x import bench_graph

        found |= bench_graph(args.graph_stations, args.graph_seconds)
    return _show(found)
