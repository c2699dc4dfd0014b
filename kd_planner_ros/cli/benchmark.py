"""``kd-planner benchmark BENCHMARK``: many models over a suite, one table beside the published numbers."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.options import add_fields, add_json, from_args

EPILOG = """\
benchmarks:
{known}

examples:
  kd-planner benchmark plankd --suite town05-short --bags recordings/town01 recordings/town03 --jobs 2
  kd-planner benchmark plankd --suite default-town --no-train --models tcp64_7m6 constant_velocity --seeds 1
  kd-planner benchmark plankd --suite town05-long --seeds 1 --ray auto
  kd-planner benchmark v2x --suite loss-30 --bags recordings/town01 recordings/town03
  kd-planner benchmark v2x_hazards --suite all --seeds 1 --no-train
  kd-planner benchmark my_benchmark.yaml

The command trains what is missing (teachers first), measures every model over the suite, and writes table.json, table.csv,
table.md and report.html beside the published tables. The same command goes on where it was stopped. A benchmark is one
YAML file: one of config/benchmarks/ (above), one of another package (entry points kd_planner_ros.benchmarks), or a path. The
Town05 suites of plankd need Town05.net.xml and the route files; default-town needs nothing.

'benchmark' compares many models in tables; 'evaluate' scores one model; 'bench' measures speed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument and the options of ``benchmark``."""
    from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
    from kd_planner_ros.evaluation.benchmark.spec import benchmark_files, load_yaml

    files = benchmark_files()
    texts = {name: load_yaml(path).get("summary") or "" for name, path in files.items()}
    parser.epilog = EPILOG.format(known="\n".join(f"  {name:<12} {text}" for name, text in texts.items()))
    parser.add_argument("benchmark", metavar="BENCHMARK", help=f"{', '.join(files)}, or a path to a benchmark's .yaml file")
    add_fields(parser, BenchmarkConfig)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.evaluation.benchmark.all_suites import asks_for_all, run_all
    from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
    from kd_planner_ros.evaluation.benchmark.report import lines
    from kd_planner_ros.evaluation.benchmark.run import run
    from kd_planner_ros.evaluation.benchmark.spec import find_spec

    config = from_args(BenchmarkConfig, args)
    if asks_for_all(config):
        whole = run_all(config)
        print(Path(whole["page"]).read_text() + f"details: {whole['page']}, and the folders of the suites beside it")
        return whole
    result = run(config)
    print("\n".join(lines(find_spec(args.benchmark), result.rows)))
    print(f"details: {result.page}, table.csv, table.md and table.json beside it")
    return asdict(result)
