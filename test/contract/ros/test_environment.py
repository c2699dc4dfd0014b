"""A shell in which no graph can form is named within seconds: by `drive` and `replay`, before anything is written."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.bags import write_bag

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.graph import environment
from kd_planner_ros.ros.graph.environment import graph_environment, graph_variables, require_graph, shell_words, variables_text

SHELL = {name: value for name, value in os.environ.items() if not name.startswith(("RMW_", "FASTDDS_", "FASTRTPS_"))}


def command(*words, **variables):
    """`kd-planner WORDS` in a shell with ``variables``; (status, stderr)."""
    done = subprocess.run([sys.executable, "-m", "kd_planner_ros.cli.main", *words], env={**SHELL, **variables}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=240)
    return done.returncode, done.stderr.strip()


@pytest.fixture
def shell(monkeypatch):
    """A function that sets variables in a shell without any that ask for a probe."""
    for name in list(os.environ):
        if name not in SHELL:
            monkeypatch.delenv(name)

    def export(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return export


@pytest.mark.parametrize("variables", [{"RMW_IMPLEMENTATION": "rmw_none_cpp"}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}])
def test_drive_names_the_variable_and_leaves_nothing(tmp_path, variables):
    status, said = command("drive", "--planner", "constant_velocity", "--out", str(tmp_path / "run"), **variables)
    (name, value), = variables.items()
    assert status == 2 and name in said and value in said and said.count("\n") == 0
    assert not (tmp_path / "run").exists()


def test_replay_names_the_variable(tmp_path):
    write_bag(tmp_path / "bag")
    status, said = command("replay", "--bag", str(tmp_path / "bag"), "--planner", "constant_velocity", RMW_IMPLEMENTATION="rmw_none_cpp")
    assert status == 2 and "RMW_IMPLEMENTATION=rmw_none_cpp" in said and said.count("\n") == 0


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_discovery_server_that_is_not_there_is_named(shell, monkeypatch):
    monkeypatch.setattr(environment, "HEAR_S", 2.0)
    address = f"127.0.0.1:{free_port()}"
    shell(ROS_DISCOVERY_SERVER=address)
    with pytest.raises(ConfigError) as refused:
        require_graph()
    assert f"ROS_DISCOVERY_SERVER={address}" in str(refused.value) and "start that discovery server" in str(refused.value)


@contextmanager
def discovery_server(port):
    """A real discovery server; a Fast DDS before 3.2 takes no number of a command in front."""
    program = shutil.which("fast-discovery-server", path=os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ.get("PATH", ""))))
    if program is None:
        pytest.skip("fast-discovery-server is not installed: use the pinned environment ('make setup') or source ROS 2")
    libraries = [Path(sys.prefix) / "lib", *Path(sysconfig.get_path("platlib")).glob("ros_*.libs")]
    variables = {**SHELL, "LD_LIBRARY_PATH": os.pathsep.join([*map(str, libraries), os.environ.get("LD_LIBRARY_PATH", "")])}
    for first in (["42"], []):
        server = subprocess.Popen([program, *first, "-i", "0", "-l", "127.0.0.1", "-p", str(port)], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables)
        try:
            if "Server started" in server.stdout.readline():
                yield
                return
        finally:
            server.kill()
            server.wait()
    pytest.skip(f"{program} ends at once, as that of Jazzy's wheels does: run the test in the environment of 'make setup', or source ROS 2")


def test_a_discovery_server_that_is_there_is_used(shell):
    port = free_port()
    with discovery_server(port):
        shell(ROS_DISCOVERY_SERVER=f"127.0.0.1:{port}")
        require_graph()


@pytest.mark.parametrize("variables, text", [
    ({"ROS_DOMAIN_ID": "300"}, "'300'"), ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "no node finds another"),
    ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "local"}, "'local'"),
    ({"FASTDDS_DEFAULT_PROFILES_FILE": "/no/profiles.xml"}, "/no/profiles.xml"),
    ({"FASTRTPS_DEFAULT_PROFILES_FILE": "/no/profiles.xml"}, "FASTRTPS_DEFAULT_PROFILES_FILE"),
    ({"ROS_LOG_DIR": "/proc/no/logs"}, "ROS_LOG_DIR=/proc/no/logs")])
def test_a_value_that_cannot_work_is_named(shell, variables, text):
    shell(**variables)
    with pytest.raises(ConfigError) as refused:
        require_graph()
    assert text in str(refused.value) and "\n" not in str(refused.value)


def test_a_shell_without_such_variables_starts_no_process(shell, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    shell(ROS_DISTRO="kilted", ROS_DOMAIN_ID="7")
    require_graph()


def test_the_variables_that_decide_are_listed():
    there = {"PATH": "/bin", "ROS_DISTRO": "jazzy", "RMW_IMPLEMENTATION": "rmw_x", "ROS_DOMAIN_ID": "3", "ROS_LOCALHOST_ONLY": ""}
    assert list(graph_variables(there)) == ["RMW_IMPLEMENTATION", "ROS_DISTRO", "ROS_DOMAIN_ID"]
    assert variables_text(there) == "RMW_IMPLEMENTATION=rmw_x ROS_DOMAIN_ID=3"
    assert variables_text({"PATH": "/bin"}) == "none"


@pytest.mark.parametrize("said", ["", "SUBNET"])
def test_what_another_shell_needs_to_look_inside_is_printed_whole(shell, monkeypatch, said):
    shell(ROS_DOMAIN_ID="42")
    monkeypatch.delenv(environment.RANGE, raising=False)
    if said:
        shell(ROS_AUTOMATIC_DISCOVERY_RANGE=said)
    assert shell_words(graph_environment(SensorRig())) == f"ROS_DOMAIN_ID=42 ROS_AUTOMATIC_DISCOVERY_RANGE={said or 'LOCALHOST'}"
