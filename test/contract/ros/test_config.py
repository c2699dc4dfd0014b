"""The parameter tables, the YAML files, the graph's description and the launch files say the same thing."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.graph import PROCESSES_DOMAIN

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.graph.describe import GraphConfig, describe
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes.controller_node import ControllerNode
from kd_planner_ros.ros.profiles import load_profile
from kd_planner_ros.ros.specs import known_ports, node_specs

ROOT = Path(__file__).parents[3]
TABLES = {name: spec.params for name, spec in node_specs().items() if spec.params is not None}
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


@pytest.mark.parametrize("name", TABLES)
def test_yaml_holds_known_parameters_with_their_defaults(name):
    own = yaml.safe_load((ROOT / "config" / "nodes" / f"{name}.yaml").read_text())["/**"]["ros__parameters"]
    defaults = {field.name: field.default for field in fields(TABLES[name])}
    assert set(own) <= set(defaults)
    assert {key: (type(value), value) for key, value in own.items()} == {
        key: (type(defaults[key]), defaults[key]) for key in own}


@pytest.mark.parametrize("table", TABLES.values())
def test_every_parameter_is_described_and_every_number_has_a_range(table):
    for field in fields(table):
        assert len(field.metadata["text"]) > 10, field.name
        if type(field.default) in (int, float):
            assert field.metadata["low"] <= field.default <= field.metadata["high"], field.name


def graph(**more):
    return describe(GraphConfig(load_profile("carla_bridge", "hero"), "constant_velocity", 0.1, **more))


def test_the_description_holds_what_the_nodes_declare(tmp_path):
    nodes = graph(world_parameters={"map": "default", "route": "0"})
    assert [node.name for node in nodes] == ["planner", "controller", "world"]
    for node in nodes:
        known = {field.name for field in fields(TABLES[node.name])} | {"use_sim_time"}
        assert set(node.parameters) <= known
        words = node.command(tmp_path)
        assert words[:3] == [sys.executable, "-m", node.module] and "control:=vehicle_control_cmd" in words
        written = yaml.safe_load((tmp_path / f"{node.name}.yaml").read_text())["/**"]["ros__parameters"]
        assert written == dict(node.parameters)
    assert written["route"] == "0", "a number in a string must stay a string"


@pytest.mark.parametrize("world, names", [("carla", ["planner", "controller"]), ("none", ["planner", "controller"])])
def test_the_world_is_left_out_where_another_one_runs(world, names):
    assert [node.name for node in graph(world=world)] == names


def need_launch():
    """Skip where the real launch and launch_ros are absent. launch/ of this checkout is no package and is not them."""
    code = "import launch.actions, launch_ros.actions"
    if subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True).returncode:
        pytest.skip("launch and launch_ros are not installed: source ROS 2, or put both (ros2/launch, ros2/launch_ros, "
                    "osrf-pycommon) on PYTHONPATH")


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "ROS_DOMAIN_ID": str(PROCESSES_DOMAIN)}


def launch(script, *words, timeout=120):
    """Run ``script`` to its end."""
    return subprocess.run([sys.executable, "-c", script, *map(str, words)], cwd="/", capture_output=True, text=True,
                          timeout=timeout, env=ENVIRONMENT)


def launch_until(wanted, *words, seconds=150):
    """Run a launch file until every text of ``wanted`` was printed, then Ctrl-C it; gives back (output, status)."""
    process = subprocess.Popen([sys.executable, "-c", RUN, *map(str, words)], cwd="/", text=True, env=ENVIRONMENT,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    text = ""
    try:
        for line in process.stdout:
            text += line
            if all(one in text for one in wanted):
                process.send_signal(signal.SIGINT)
                break
        text += process.stdout.read()
        return text, process.wait(20.0)
    finally:
        watchdog.cancel()
        process.kill()


ARGUMENTS = """
import sys
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch import LaunchContext
description = PythonLaunchDescriptionSource(sys.argv[1]).get_launch_description(LaunchContext())
for argument in description.get_launch_arguments():
    print(argument.name, "|", argument.description)
"""
REPLAYED = """
from launch import LaunchContext
from kd_planner_ros.ros.graph.launching import replay_actions, replay_arguments
context, names = LaunchContext(), [argument.name for argument in replay_arguments()]
context.launch_configurations.update({name: "given_" + name for name in names})
words = [part.perform(context) for word in replay_actions(context)[-1].cmd for part in word]
print(*sorted({"given_" + name for name in names} - set(words)))
"""
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=[tuple(w.split(":=", 1)) for w in sys.argv[2:]])]))
sys.exit(service.run())
"""


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_launch_argument_has_a_text(path):
    need_launch()
    result = launch(ARGUMENTS, path)
    assert result.returncode == 0, result.stderr
    lines = dict(line.split(" | ", 1) for line in result.stdout.splitlines())
    assert all(len(text) > 10 for text in lines.values()) and lines
    if path.name == "drive.launch.py":
        assert {"world", "planner", "role_name", "carla_profile", "carla_version", "map", "route", "device",
                "engine"} <= set(lines)


def test_replay_launch_hands_on_every_argument():
    need_launch()
    result = launch(REPLAYED)
    assert result.returncode == 0 and result.stdout.split() == [], result.stdout + result.stderr


def test_drive_launch_starts_planner_and_controller_beside_carla(tmp_path):
    need_launch()
    text, status = launch_until(
        ["[carla.hero.planner]: waiting for the route on /carla/hero/global_plan",
         "[carla.hero.controller]: waiting for the planner", "no message on /carla/hero/odometry"],
        ROOT / "launch" / "drive.launch.py", "world:=carla",
        "planner:=constant_velocity", "carla_profile:=carla_bridge_lb2", f"sensors_file:={tmp_path / 'objects.json'}")
    assert status == 0 and "Traceback" not in text, text
    assert text.count("process has finished cleanly") == 2 and (tmp_path / "objects.json").is_file()


def test_drive_launch_refuses_the_builtin_worlds_arguments_beside_carla(tmp_path):
    need_launch()
    result = launch(RUN, ROOT / "launch" / "drive.launch.py", "world:=carla", "planner:=constant_velocity",
                    f"run_dir:={tmp_path}", "seed:=3")
    assert result.returncode != 0 and "seed, run_dir with world:=builtin alone; got world:=carla" in result.stdout + result.stderr


def test_drive_launch_drives_the_builtin_world_to_its_end(tmp_path):
    need_launch()
    result = launch(RUN, ROOT / "launch" / "drive.launch.py", "planner:=constant_velocity", "time:=2",
                    "vehicles:=5", "walkers:=2", "scenarios:=false", "threads:=2", f"run_dir:={tmp_path}", timeout=300)
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    assert text.count("process has finished cleanly") == 3 and "Traceback" not in text
    assert len((tmp_path / "telemetry.csv").read_text().splitlines()) == 41


def test_train_launch_trains_to_its_end(tmp_path):
    need_launch()
    from support.bags import copy_bag
    for number in range(2):
        copy_bag(tmp_path / "bags" / f"b{number}", seconds=4.0, seed=number, labels=False)
    more = " ".join(f"{name}:={tmp_path / name}" for name in ("models_dir", "runs_dir", "cache"))
    result = launch(RUN, ROOT / "launch" / "train.launch.py", f"bags:={tmp_path / 'bags'}", "name:=launched",
                    "args:=size:=3.1m tcp.input_height:=32 tcp.input_width:=64 batch:=2 epochs:=1.0 threads:=1 device:=cpu " + more)
    text = result.stdout + result.stderr
    assert result.returncode == 0 and "finished: step" in text and "Traceback" not in text, text
    assert (tmp_path / "models_dir" / "launched" / "card.json").is_file()


def test_drive_launch_refuses_an_unknown_planner():
    need_launch()
    result = launch(RUN, ROOT / "launch" / "drive.launch.py", "world:=none", "planner:=nobody")
    assert result.returncode != 0 and "nobody" in result.stdout + result.stderr


def test_an_unknown_profile_port_is_refused(tmp_path):
    text = (ROOT / "config" / "profiles" / "carla_native.yaml").read_text() + "  sonar: sonar\n"
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match="sonar"):
        load_profile(str(tmp_path / "mine.yaml"))


def own_profile(tmp_path, without):
    """``carla_bridge`` without some ports, as a profile of its own."""
    data = yaml.safe_load((ROOT / "config" / "profiles" / "carla_bridge.yaml").read_text())
    data["topics"] = {port: topic for port, topic in data["topics"].items() if port not in without}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    return load_profile(str(tmp_path / "mine.yaml"))


def test_a_profile_needs_only_the_ports_of_the_nodes_that_run(tmp_path):
    profile = own_profile(tmp_path, without=("imu", "gnss", "perception_ready", "clock"))
    assert [node.name for node in describe(GraphConfig(profile, "p", 0.1, world="carla"))] == ["planner", "controller"]
    with pytest.raises(ConfigError, match="each port of node world in .*none for clock, imu, gnss"):
        describe(GraphConfig(profile, "p", 0.1))
    with pytest.raises(ConfigError, match="node perception in .*none for perception_ready"):
        describe(GraphConfig(profile, "p", 0.1, world="carla", perceiver="eye"))


def test_the_shipped_profiles_hold_every_port():
    for path in (ROOT / "config" / "profiles").glob("*.yaml"):
        assert set(load_profile(path.stem).topics) == set(known_ports()), path.name


def test_a_perception_node_runs_beside_the_planner(tmp_path):
    nodes = {node.name: node for node in graph(perceiver="eye", device="cpu", threads=2)}
    assert list(nodes) == ["planner", "perception", "controller", "world"]
    assert nodes["perception"].parameters["perceiver"] == "eye" and nodes["perception"].parameters["threads"] == 2
    assert nodes["perception"].parameter_file.is_file() and nodes["perception"].module.endswith("nodes.perception_node")


def test_a_parameter_that_the_node_does_not_declare_is_refused():
    with pytest.raises(ConfigError, match="parameters of node world; got wheels"):
        graph(world_parameters={"wheels": 4})


def test_a_profile_of_ones_own_reaches_every_node(tmp_path, monkeypatch, graph):
    (tmp_path / "mine.yaml").write_text("extends: carla_bridge\nrole_name: mule\ntopics: {odometry: pose_and_speed}\n")
    monkeypatch.chdir(tmp_path)
    profile = load_profile("mine.yaml")
    told = {node.name: node.parameters["carla_profile"] for node in describe(GraphConfig(profile, "constant_velocity", 0.1))}
    assert told == dict.fromkeys(("planner", "controller", "world"), str(tmp_path / "mine.yaml"))
    monkeypatch.chdir("/")
    node = graph.start(ControllerNode, profile=profile.name)
    assert autostart(node)
    assert node.resolve_topic_name("odometry") == "/carla/mule/pose_and_speed" and node.adapter.role_name == "mule"
    graph.spin_in_thread(node)
