"""``kd-planner benchmark plankd``: every model of the paper over its routes, beside the paper's tables."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args

EPILOG = """\
examples:
  kd-planner benchmark plankd --suite town05-short --bags recordings/town01 recordings/town03 --jobs 2
  kd-planner benchmark plankd --suite default-town --no-train --models tcp64_7m6 constant_velocity --seeds 1
  kd-planner benchmark plankd --suite town05-long --seeds 1 --ray auto

Trains what is missing (teachers first), drives every model over the suite with each seed, and writes table.json,
table.csv, table.md and report.html beside the paper's Tables 1 to 7. The same command goes on where it was stopped. The
Town05 suites need Town05.net.xml and the route files; default-town needs nothing."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the benchmarks."""
    from kd_planner_ros.evaluation.benchmark.run import BenchmarkConfig

    parser.epilog = EPILOG
    ways = parser.add_subparsers(dest="way", metavar="BENCHMARK", required=True, help="which benchmark")
    summary = "PlanKD's planners, its rivals and its ablations over the routes of the paper"
    way = ways.add_parser("plankd", help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EPILOG)
    add_fields(way, BenchmarkConfig)
    add_json(way)
    way.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.evaluation.benchmark.report import lines
    from kd_planner_ros.evaluation.benchmark.run import BenchmarkConfig, run

    result = run(from_args(BenchmarkConfig, args))
    print("\n".join(lines(result.rows)))
    print(f"details: {result.page}, table.csv, table.md and table.json beside it")
    return asdict(result)
