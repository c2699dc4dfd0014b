"""Launch actions out of the one description of the graph. Imported by launch/*.launch.py only: it needs launch and launch_ros.

Nothing but launch and the standard library is needed here: what to start is asked of the installed ``describe_graph`` (``prepare.py``),
and nodes are started as installed executables, in the Python that they were installed with.
"""

from __future__ import annotations

import atexit
import difflib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, LogInfo, RegisterEventHandler, SetEnvironmentVariable
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch_ros.actions import Node

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.graph.arguments import DRIVE, REPLAY, TRAIN, Argument
from kd_planner_ros.ros.graph.spares import SPARES, drives_on
from kd_planner_ros.ros.guard import PARENT
from kd_planner_ros.ros.together import PROCESSES

PACKAGE = "kd_planner_ros"
ENDED_WELL = (0, -2)
"""Exit statuses of a process that ended by itself, or at Ctrl-C."""
NODE_STOP_S, TRAINER_STOP_S = "2", "40"


def _declare(table: Sequence[Argument]) -> list[DeclareLaunchArgument]:
    actions = []
    for name, default, text, choices in table:
        more = {"choices": choices} if choices else {}
        actions.append(DeclareLaunchArgument(name, default_value=default, description=text, **more))
    return actions


def drive_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of drive.launch.py, each with its text."""
    return _declare(DRIVE)


def replay_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of replay.launch.py."""
    return _declare(REPLAY)


def train_arguments() -> list[DeclareLaunchArgument]:
    """The arguments of train.launch.py."""
    return _declare(TRAIN)


def _values(context: Any, kind: str, table: Sequence[Argument]) -> dict[str, str]:
    """The arguments of launch file ``kind`` by name.

    Raises:
        ConfigError: the command line has another one; launch passes over it in silence.
    """
    names = [name for name, *_ in table]
    if any(Path(word).name == f"{kind}.launch.py" for word in sys.argv):  # not where another launch file includes it
        given = [word.partition(":=")[0] for word in sys.argv if ":=" in word]
        if unknown := [name for name in given if name not in names]:
            near = difflib.get_close_matches(unknown[0], names, 1)
            settings = "settings of training go into args; " if kind == "train" else ""
            where = f"the nearest to '{unknown[0]}' is '{near[0]}'; " if near else settings
            raise ConfigError(f"arguments that {kind}.launch.py has", ", ".join(unknown), f"{where}correct the name")
    return {name: context.launch_configurations[name] for name, *_ in table}


def installed(executable: str) -> str:
    """The path of one of the package's installed executables.

    Raises:
        ConfigError: the package was not built with colcon, or its workspace is not sourced.
    """
    try:
        path = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / executable
    except PackageNotFoundError:
        raise ConfigError(f"package {PACKAGE} in a sourced workspace", "none", "run 'colcon build' and source install/setup.bash") from None
    if not path.is_file():
        raise ConfigError(f"the executable {path}", "none", "build the package again")
    return str(path)


def _ask(launch: str, values: dict[str, str]) -> dict[str, Any]:
    """What ``prepare.py`` answers; its folder lives as long as this process.

    Raises:
        ConfigError, RuntimeError: the request was refused; the sentence is the refusal's.
    """
    folder = Path(tempfile.mkdtemp(prefix="kd_planner_ros_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "request.json").write_text(json.dumps({"launch": launch, "arguments": values}))
    done = subprocess.run([installed("describe_graph"), str(folder)], stderr=subprocess.PIPE, stdout=sys.stderr, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"describe_graph ended with status {done.returncode}")
    sys.stderr.write(done.stderr)
    return json.loads((folder / "answer.json").read_text())


def _environment() -> dict[str, str]:
    return {"PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())}


def _node(spec: dict[str, Any], log_level: str, stop_s: str = NODE_STOP_S) -> Node:
    return Node(package=PACKAGE, executable=spec["executable"], name=spec["name"], namespace=spec["namespace"], parameters=spec["files"],
                remappings=[tuple(pair) for pair in spec["remappings"]], ros_arguments=_log_words(log_level), output="screen",
                additional_env=_environment(), sigterm_timeout=stop_s, sigkill_timeout=stop_s)


def _log_words(level: str) -> list[str]:
    return ["--log-level", level] if level else []


def drive_actions(context: Any) -> list[Any]:
    """The graph of drive.launch.py. When one node of it ends, the launch ends: no car without a controller."""
    values = _values(context, "drive", DRIVE)
    answer = _ask("drive", values)
    before = [SetEnvironmentVariable(name, value) for name, value in answer["environment"].items()]
    nodes = {spec["name"]: _node(spec, values["log_level"]) for spec in answer["nodes"]}
    topic = next((topic for spec in answer["nodes"] for port, topic in spec["remappings"] if port == "diagnostics"), "/diagnostics")
    names = [spec["full_name"] for spec in answer["nodes"]]
    watch = ExecuteProcess(cmd=[installed("watch"), "--topic", topic, *names], name="watch",
                           output="screen", additional_env=_environment())
    return [*before, *(LogInfo(msg=note) for note in answer["notes"]), *_together({**nodes, "watch": watch}, "world")]


def replay_actions(context: Any) -> list[Any]:
    """``kd-planner replay``: the graph without a world, and the process that plays the bag and scores the plans."""
    given = {name: value for name, value in _values(context, "replay", REPLAY).items() if value}
    words = [word for name, value in given.items()
             for word in ("--" + name.replace("_", "-"), *(shlex.split(value) if name == "camera" else (value,)))]
    command = [installed("kd-planner"), "replay", *words, "--json"]
    return _together({"replay": ExecuteProcess(cmd=command, name="replay", output="screen", additional_env=_environment())}, "replay")


def train_actions(context: Any) -> list[Any]:
    """The trainer node, or one of them with helpers under torchrun."""
    values = _values(context, "train", TRAIN)
    answer = _ask("train", values)
    if values["processes"] == "1":
        spec = {"name": "trainer", "executable": "trainer", "namespace": answer["namespace"], "files": answer["files"], "remappings": []}
        return _together({"trainer": _node(spec, values["log_level"], TRAINER_STOP_S)}, "trainer")
    words = [PROCESSES, values["processes"], "--ros-args"] + [word for path in answer["files"] for word in ("--params-file", path)]
    words += ["-r", f"__ns:={answer['namespace'] or '/'}", *_log_words(values["log_level"])]
    return _together({"trainer": ExecuteProcess(cmd=[installed("trainer"), *words], name="trainer", output="screen",
                                                additional_env=_environment(), sigterm_timeout=TRAINER_STOP_S,
                                                sigkill_timeout=TRAINER_STOP_S)}, "trainer")


def _together(actions: dict[str, Any], finishing: str) -> list[Any]:
    """``actions`` by name, and a handler for each: when the first of them ends, the launch ends. Its exit status is 0 where that was
    ``finishing`` or the launch was asked to end (Ctrl-C), and 1 else: beside CARLA nothing finishes by itself.
    A second shutdown event would be an error of launch_ros. Where one of two planners ends, the other drives on (``spares.py``); the exit
    status is 1 at the end."""
    ended: list[str] = []
    lost: list[str] = []

    def handler(name: str) -> Any:
        def end(event: Any, context: Any) -> list[Any]:
            early, until = name != finishing, f"{finishing} had finished" if finishing in actions else "the launch was asked to end"
            how = (f"{name} ended with status {event.returncode}" + (f" before {until}" if early else "")
                   + ": its last lines above say why")
            if not ended and not context.is_shutdown and drives_on(name, event.returncode, actions.keys() - lost):
                lost.append(name)
                return [LogInfo(msg=f"{how}; {SPARES[name]} drives on")]
            ended.append(name)
            if len(ended) > 1 or context.is_shutdown:
                return []
            if event.returncode not in ENDED_WELL or early:
                raise RuntimeError(how)
            if lost:
                raise RuntimeError(f"{lost[0]} ended before {name} had: its last lines above say why; {SPARES[lost[0]]} drove to the end")
            return [EmitEvent(event=Shutdown(reason=f"{name} has ended"))]
        return end

    return [*(RegisterEventHandler(OnProcessExit(target_action=action, on_exit=handler(name))) for name, action in actions.items()),
            *actions.values()]
