"""Every subcommand explains itself: exit status 0, every option named with a text, an example to copy."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
import time

import pytest
from support.commands import parser_of

from kd_planner_ros.cli import main as cli
from kd_planner_ros.cli.options import subparsers

CONFIGS = {
    ("drive",): "kd_planner_ros.ros.graph.drive.DriveConfig", ("record",): "kd_planner_ros.record.jobs.RecordConfig",
    ("train",): "kd_planner_ros.distill.config.TrainConfig", ("replay",): "kd_planner_ros.ros.graph.replay.ReplayConfig",
    ("evaluate", "closed-loop"): "kd_planner_ros.evaluation.drives.ClosedLoopConfig",
    ("evaluate", "compare"): "kd_planner_ros.evaluation.compare.CompareConfig",
    ("evaluate", "open-loop"): "kd_planner_ros.evaluation.open_loop.OpenLoopConfig",
    ("evaluate", "pdms"): "kd_planner_ros.evaluation.pdm.config.PdmsConfig",
    ("evaluate", "dense"): "kd_planner_ros.evaluation.dense.config.DenseConfig",
    ("evaluate", "steering"): "kd_planner_ros.evaluation.steering.SteeringConfig",
    ("benchmark",): "kd_planner_ros.evaluation.benchmark.config.BenchmarkConfig",
    ("explain",): "kd_planner_ros.evaluation.explain.ExplainConfig",
    ("perceive",): "kd_planner_ros.evaluation.perceive.run.PerceiveConfig",
}
OTHERS = [("evaluate",), ("bench",), ("models",), ("routes",), ("bags",), ("bags", "check"), ("bags", "dair"), ("bags", "dair-example"),
          ("bags", "nuscenes"), ("bags", "navsim"),
          *(("bench", name) for name in ("world", "record", "train", "latency", "sizes", "drive", "v2x")), ("v2x",), ("v2x", "keys"),
          *(("models", name) for name in ("list", "params", "check", "sensors"))]


def _help(capsys, words) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def _config(path: str):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def test_the_first_help_is_quick_and_names_every_command():
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", "import sys; from kd_planner_ros.cli.main import main; "
                           "assert not {'torch', 'rclpy', 'numpy', 'libsumo'} & set(sys.modules); main(['--help'])"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and time.monotonic() - began < 5.0  # 0.1 s on a quiet machine
    for name, summary in cli.COMMANDS.items():
        assert name in done.stdout and summary in " ".join(done.stdout.split())


@pytest.mark.parametrize("words", [*CONFIGS, *OTHERS], ids=" ".join)
def test_help(capsys, words):
    text = _help(capsys, words)
    assert "kd-planner " + words[0] in text and "example" in text


@pytest.mark.parametrize("words", CONFIGS, ids=" ".join)
def test_every_field_of_the_config_is_an_option_with_a_text(capsys, words):
    text = " ".join(_help(capsys, words).split())
    for field in dataclasses.fields(_config(CONFIGS[words])):
        if field.init and field.metadata.get("cli") is not False:
            assert "--" + field.metadata.get("flag", field.name).replace("_", "-") in text
            assert len(field.metadata.get("help", "")) > 5, f"{field.name} has no help text"


@pytest.mark.parametrize("words", [*CONFIGS, *OTHERS], ids=" ".join)
def test_every_option_has_a_text(words):
    for action in parser_of(*words)._actions:
        assert action.help, f"{action.dest} of {' '.join(words)} has no text"


def test_the_summary_of_bench_names_every_measurement():
    ways = subparsers(parser_of("bench"))
    assert list(ways) == cli.COMMANDS["bench"].partition(": ")[2].split(", ")
    assert all("auto, cpu" in option.help for option in ways["train"]._actions if option.dest == "device")


def test_every_command_is_tested():
    assert {words[0] for words in [*CONFIGS, *OTHERS]} == set(cli.COMMANDS)
