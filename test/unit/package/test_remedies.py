"""What an error tells its reader to do exists: options of the very commands that can raise it, subcommands, files, and places in pages."""

import argparse
import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import parser_of

from kd_planner_ros.cli import main as cli
from kd_planner_ros.cli.options import subparsers
from kd_planner_ros.core import errors as named

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "kd_planner_ros"
ERRORS = {name for name, kind in vars(named).items() if isinstance(kind, type) and issubclass(kind, named.KdPlannerError)}
OPTION = re.compile(r"(?<![\w-])(--[a-z0-9][\w.-]*[\w])")
FOREIGN = {"--ros-args", "--head", "--src", "--dst"}
"""Options of other programs that remedies name."""
NAMES = {"remedy", "_REMEDY", "REMEDY", "_EXAMPLE", "have", "missing", "remedies"}
"""Variables that hold remedies."""
READERS = ("train", "evaluate open-loop", "evaluate pdms", "evaluate dense", "evaluate steering", "explain", "replay", "benchmark")
"""Commands that read recordings."""
MEASURERS = ("evaluate closed-loop", "evaluate latency-sweep")
USERS = {  # room or module: the commands that reach it, most special first
    "bags/find": ("train", "benchmark"), "bags/kitti": ("evaluate dense",), "bags/cityscapes": ("evaluate dense",),
    "bags/nuscenes": ("bags nuscenes",), "bags/navsim": ("bags navsim",), "bags/dair": ("bags dair",), "bags": READERS,
    "samples": ("train",), "distill/teacher": ("train",),
    "distill": ("train",), "networks": ("train",), "record": ("record",), "evaluation/benchmark": ("benchmark",),
    "evaluation/closed_loop": ("evaluate closed-loop",), "evaluation/worker": ("evaluate closed-loop",),
    "evaluation/compare": ("evaluate compare",), "evaluation/drives": MEASURERS,
    "evaluation/horizons": ("evaluate open-loop", "evaluate pdms"), "evaluation/recorded_drives": ("evaluate open-loop",),
    "evaluation/latency_sweep": ("evaluate latency-sweep",), "evaluation/latency": ("evaluate closed-loop",),
    "evaluation/open_loop": ("evaluate open-loop",), "evaluation/pdm": ("evaluate pdms",), "evaluation/dense": ("evaluate dense",),
    "evaluation/cooperative": ("benchmark",),
    "evaluation/perceive/strip": ("explain",), "evaluation/perceive/first": ("bench latency",), "cli/bench": ("bench latency",),
    "evaluation/perceive/run": ("perceive",), "evaluation/perceive/inputs": ("perceive",),
    "evaluation/steering": ("evaluate steering",), "evaluation/explain": ("explain",),
    "evaluation/bench_": ("bench train",),
    "evaluation/run_folder": ("drive", *MEASURERS, "evaluate pdms", "evaluate steering", "benchmark"),
    "core/folders": ("drive", "record", *MEASURERS, "evaluate pdms", "evaluate steering", "benchmark"),
    "ros/graph/drive": ("drive",),
    "ros/graph/replay": ("replay",), "ros/world_setup": ("drive",), "cli/models": ("models list", "models check"),
    "runtime/find": ("evaluate closed-loop", "evaluate open-loop", "evaluate dense", "evaluate steering", "explain", "replay", "drive",
                     "models check", "train"),
    "runtime/facts": ("evaluate closed-loop", "evaluate open-loop", "replay", "drive", "bench latency"),
    "runtime/engines": ("evaluate closed-loop", "drive", "replay", "bench latency"), "ros/profiles": ("drive", "replay"),
    "ros/carla_objects": ("models sensors",), "wire/topics": ("drive", "record", "replay"), "world/routes": ("record",),
    "world/route_listing": ("routes",), "cli/v2x": ("v2x keys",), "world/hidden_routes": ("evaluate closed-loop", "record", "drive"),
    "bags/roadside": ("evaluate open-loop", "replay", "record"), "evaluation/v2x_setup": ("evaluate closed-loop",)}
ELSEWHERE = {  # (module, option): why another command's option is meant
    ("samples/shards", "--network"): "of 'kd-planner record', which the sentence names",
    ("samples/shards", "--labels"): "of 'kd-planner record', which the sentence names",
    ("ros/graph/replay_topics", "--width"): "of 'kd-planner record': the remedy begins with 'record with'",
    ("ros/graph/replay_topics", "--height"): "of 'kd-planner record': the remedy begins with 'record with'",
    ("networks/blocks/inputs", "--width"): "of 'kd-planner record', which the sentence names",
    ("networks/blocks/inputs", "--height"): "of 'kd-planner record', which the sentence names",
    ("bags/scenes", "--plankd.no-safe-attention"): "of 'kd-planner train', which alone reads the scenes",
    ("distill/methods/plankd/bev_frames", "--maps-dir"): "of 'explain' and 'benchmark', which the sentence names beside train's",
    ("evaluation/pdm/run", "--no-disturb"): "of 'kd-planner record', which the sentence names",
    ("evaluation/recorded_drives", "--network"): "of 'kd-planner record', which the sentence names",
    ("evaluation/explain_state", "--method"): "of 'kd-planner train', which wrote the folder",
    ("evaluation/benchmark/training", "--name"): "of 'kd-planner train', which the sentence names",
}


def remedies() -> Iterator[tuple[str, int, str]]:
    """(module, line, text) of the remedy of every error that is made, names of values left out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = str(path.relative_to(PACKAGE).with_suffix(""))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in ERRORS and len(node.args) == 3:
                yield module, node.lineno, text_of(node.args[2])
            elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") in NAMES for target in node.targets):
                yield module, node.lineno, text_of(node.value)


def text_of(tree: ast.AST) -> str:
    return " ".join(part.value for part in ast.walk(tree) if isinstance(part, ast.Constant) and isinstance(part.value, str))


@functools.cache
def every() -> list[tuple[str, int, str]]:
    """``remedies``, read by the tests that need them and not by every worker that collects this file."""
    return list(remedies())


def options_of(command: str) -> set[str]:
    shown = (action for action in parser_of(*command.split())._actions if action.help is not argparse.SUPPRESS)
    return {word for action in shown for word in action.option_strings}


def commands_of(module: str) -> tuple[str, ...]:
    return next((commands for place, commands in USERS.items() if module.startswith(place)), ())


def test_most_errors_have_a_remedy_that_is_read_here():
    assert len(every()) > 250


@pytest.mark.parametrize("command", sorted({command for commands in USERS.values() for command in commands}))
def test_options_in_remedies_are_options_of_the_commands_that_say_them(command):
    known = options_of(command) | FOREIGN
    wrong = [f"{module}:{line}: {option}" for module, line, text in every() if command in commands_of(module)
             for option in OPTION.findall(text) if option not in known and (module, option) not in ELSEWHERE]
    assert wrong == [], f"'kd-planner {command}' has no such option"


def test_modules_whose_remedies_name_options_have_their_commands_in_the_table():
    known = set().union(*(options_of(command) for commands in USERS.values() for command in commands)) | FOREIGN
    named_by = {(module, option) for module, _, text in every() for option in OPTION.findall(text)}
    assert sorted(f"{module}: {option}" for module, option in named_by if option not in known) == []
    assert sorted({module for module, _ in named_by if not commands_of(module)}) == []


def test_commands_in_remedies_exist():
    for module, line, text in every():
        for words in re.findall(r"kd-planner ([a-z][a-z0-9]*(?: [a-z-]+)?)", text):
            command, _, way = words.partition(" ")
            assert command in cli.COMMANDS, f"{module}:{line}: {words}"
            ways = subparsers(parser_of(command))
            assert not ways or not way or way in ways, f"{module}:{line}: {words}"


def test_files_in_remedies_exist():
    for module, line, text in every():
        for name in re.findall(r"(?<![\w/])((?:docs|config|networks|wire|ros|world|launch)/[\w/.]+\.(?:md|yaml|py))", text):
            assert (ROOT / name).is_file() or (PACKAGE / name).is_file(), f"{module}:{line}: {name}"


def test_exceptions_are_still_needed():
    for module, option in ELSEWHERE:
        assert any(one == module and option in OPTION.findall(text) for one, _, text in every()), (module, option)
