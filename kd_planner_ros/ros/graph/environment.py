"""The environment variables of a graph: those that its nodes get, and those of the user's shell with which no graph can form.

Imports no rclpy: a missing middleware ends the process that imports it.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.graph.probe import UP
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.runtime.processes import module_command

LARGE_TICK_BYTES = 250_000
"""When a tick's sensors are larger, default Fast DDS loses samples between processes (docs/ros.md)."""
ROADSIDE_BYTES = 4 * 384 * 216
"""Of a picture as the built-in world's stations take it."""
PROFILES_FILE, OLD_PROFILES_FILE = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
_OLD_DISTRIBUTIONS = ("humble", "iron", "jazzy")
"""Their rmw_fastrtps reads the old name only; later ones warn of it."""
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_RANGES = ("SUBNET", "LOCALHOST", "SYSTEM_DEFAULT")
_PREFIXES = ("ROS_", "RMW_", "FASTDDS_", "FASTRTPS_", "CYCLONEDDS_", "ZENOH_")
_SET_UP = {"ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION", "ROS_PACKAGE_PATH", "ROS_ROOT", "ROS_ETC_DIR", "ROS_MASTER_URI",
           "ROS_PYTHON_CHECK_FIELDS"}
"""Set by every set-up file, or without a say in who hears whom."""
_CHECKED = {"ROS_DOMAIN_ID", RANGE}
"""Checked without a probe."""
UP_S, HEAR_S = 60.0, 8.0
"""Longest time for the two processes of a probe to stand, then to hear each other."""
_START_REMEDIES = {"RMW_IMPLEMENTATION": "install that middleware and source its set-up file, or unset the variable"}
_HEAR_REMEDIES = {"ROS_DISCOVERY_SERVER": "start that discovery server, or unset the variable"}


def graph_environment(rig: SensorRig) -> dict[str, str]:
    """Environment variables of the nodes: a ROS domain of its own on this machine, unless the shell names one."""
    domain = os.environ.get("ROS_DOMAIN_ID") or str(random.SystemRandom().randint(1, 99))
    environment = {"ROS_DOMAIN_ID": domain, "PYTHONUNBUFFERED": "1", RANGE: os.environ.get(RANGE) or "LOCALHOST"}
    return environment | transport_environment(rig)


def shell_words(environment: Mapping[str, str]) -> str:
    """The variables of ``environment`` that another shell needs to hear the graph, as they stand before a command."""
    return " ".join(f"{name}={environment[name]}" for name in ("ROS_DOMAIN_ID", RANGE))


def transport_environment(rig: SensorRig) -> dict[str, str]:
    """The variable that gives Fast DDS shared memory for a tick of ``rig``, pictures of roadside stations included; empty where the
    default has room for it, or where the shell says how."""
    sizes = [4 * spec.width * spec.height for spec in rig.cameras]
    sizes += [ROADSIDE_BYTES] * (rig.roadside.views if rig.roadside is not None else 0)
    sizes += [int(16 * spec.points_per_second * spec.period_s) for spec in rig.lidars]
    own = (PROFILES_FILE, OLD_PROFILES_FILE, "FASTDDS_BUILTIN_TRANSPORTS")
    if sum(sizes) <= LARGE_TICK_BYTES or any(name in os.environ for name in own):
        return {}
    name = OLD_PROFILES_FILE if os.environ.get("ROS_DISTRO") in _OLD_DISTRIBUTIONS else PROFILES_FILE
    return {name: str(config_folder() / "transport" / "fastdds.xml")}


def graph_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The set variables of ``environment`` that ROS 2 and its middlewares read, in the order of their names."""
    return {name: environment[name] for name in sorted(environment) if name.startswith(_PREFIXES) and environment[name]}


def variables_text(environment: Mapping[str, str]) -> str:
    """``graph_variables`` as ``NAME=value`` words, without those that every set-up file sets; "none" where there are none."""
    return " ".join(f"{name}={value}" for name, value in graph_variables(environment).items() if name not in _SET_UP) or "none"


def require_graph() -> None:
    """Refuse a shell in which nodes cannot hear each other, within seconds; the variable at fault is named.

    Values that can only be wrong are refused at once. Where the shell sets other variables that decide about the middleware or its
    discovery, two small processes try it. A shell without such variables costs nothing. Call it before anything imports rclpy.

    Raises:
        ConfigError: the domain is none, discovery is off, a file of profiles is missing, the middleware cannot be loaded, or the
            two processes did not hear each other.
    """
    _check_values(os.environ)
    suspects = {name: value for name, value in graph_variables(os.environ).items() if name not in _SET_UP | _CHECKED}
    if suspects:
        _probe({RANGE: "LOCALHOST", **os.environ}, suspects)


def _check_values(environment: Mapping[str, str]) -> None:
    domain = environment.get("ROS_DOMAIN_ID") or "0"
    if not (domain.isdecimal() and int(domain) <= 232):
        raise ConfigError("a ROS_DOMAIN_ID from 0 to 232", repr(domain), "unset it, or export another")
    reach = environment.get(RANGE) or "LOCALHOST"
    if reach not in _RANGES and environment.get("ROS_DISTRO") != "humble":  # Humble does not read it
        why = ", with which no node finds another" if reach == "OFF" else ""
        raise ConfigError(f"{RANGE} of {', '.join(_RANGES)}", f"{reach!r}{why}", "unset it, or export another")
    for name in (PROFILES_FILE, OLD_PROFILES_FILE):
        if environment.get(name) and not Path(environment[name]).is_file():
            raise ConfigError(f"a file at {name}", repr(environment[name]), "unset the variable, or correct its path")


def _probe(environment: Mapping[str, str], suspects: Mapping[str, str]) -> None:
    """Let two processes hear each other with the variables ``suspects``."""
    shown = " ".join(f"{name}={value}" for name, value in suspects.items())
    with _children(environment) as children:
        if trouble := _await(children, UP_S, lambda texts: all(UP in text for text in texts)):
            raise ConfigError(f"ROS 2 nodes that start with {shown}", trouble, _remedy(_START_REMEDIES, suspects))
        if trouble := _await(children, HEAR_S, lambda texts: False):
            raise ConfigError(f"ROS 2 nodes that hear each other with {shown}", trouble, _remedy(_HEAR_REMEDIES, suspects))


def _remedy(remedies: Mapping[str, str], suspects: Mapping[str, str]) -> str:
    return next((text for name, text in remedies.items() if name in suspects), "unset the variables that you do not need")


@contextmanager
def _children(environment: Mapping[str, str]) -> Iterator[list[tuple[subprocess.Popen, IO[str]]]]:
    """The processes ``hear`` and ``say`` with what they print; both are ended on leaving."""
    started: list[tuple[subprocess.Popen, IO[str]]] = []
    try:
        for role in ("hear", "say"):
            said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed below
            started.append((subprocess.Popen([*module_command("kd_planner_ros.ros.graph.probe"), role], stdout=said, stderr=said,
                                             stdin=subprocess.DEVNULL, env=dict(environment)), said))
        yield started
    finally:
        for process, said in started:
            process.kill()
            process.wait()
            said.close()


def _await(children: list[tuple[subprocess.Popen, IO[str]]], longest_s: float, done: Callable[[list[str]], bool]) -> str:
    """Wait until ``done(what each has printed)`` holds or ``hear`` has ended well; else a sentence about what was wrong."""
    until_s = time.monotonic() + longest_s
    while time.monotonic() < until_s:
        states = [process.poll() for process, _ in children]
        texts = [_text(said) for _, said in children]
        if states[0] == 0 or done(texts):
            return ""
        for status, text in zip(states, texts, strict=True):
            if status is not None:
                return f"{_sentence(text)} (status {status})"
        time.sleep(0.05)
    return f"silence for {longest_s:g} s"


def _text(file: IO[str]) -> str:
    """All that a child has written so far; the child's own offset is not ours to move, so the file is read by position."""
    return os.pread(file.fileno(), 100_000, 0).decode(errors="replace")


def _sentence(text: str) -> str:
    """The last line of ``text``, without the stamp and the place in the source that rcl adds."""
    last = (text.strip().splitlines() or ["no message"])[-1]
    return re.sub(r"^(\[[^\]]*\] )*(\[[^\]]*\]: )?|, at /\S+:\d+$", "", last)
