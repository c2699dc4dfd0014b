"""The parameter tables, the YAML files and the graph's description say the same thing."""

import importlib
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.perception import install_network, save_tiny

from kd_planner_ros.cli.main import build_parser
from kd_planner_ros.core.car import Car
from kd_planner_ros.core.errors import ConfigError, KdPlannerError
from kd_planner_ros.ros.graph import drive as drive_module
from kd_planner_ros.ros.graph.checks import check_nodes
from kd_planner_ros.ros.graph.describe import GraphConfig, describe
from kd_planner_ros.ros.graph.spares import drives_on
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes.controller_node import ControllerNode
from kd_planner_ros.ros.profiles import load_profile
from kd_planner_ros.ros.specs import known_ports, node_specs

ROOT = Path(__file__).parents[3]
TABLES = {name: spec.params for name, spec in node_specs().items() if spec.params is not None}


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
        assert words[0] == sys.executable and words[words.index("-m") + 1] == node.module and "control:=vehicle_control_cmd" in words
        files = [Path(words[at + 1]) for at, word in enumerate(words) if word == "--params-file"]
        own = [yaml.safe_load(path.read_text())["/**"]["ros__parameters"] for path in files]
        written = own[-1]
        assert (own[0], written) == (dict(node.defaults), dict(node.parameters)) and files[1:-1] == list(node.parameter_files)
    assert written["route"] == "0", "a number in a string must stay a string"


@pytest.mark.parametrize("name", ["controller", "v2x_gateway"])
def test_the_car_of_a_recording_reaches_whom_it_concerns_and_gives_way_to_the_users_file(name, tmp_path):
    def told(**more):
        return next(node for node in graph(asked={"v2x": "true"}, **more) if node.name == name).effective()

    assert not [name for name in told() if name.startswith("car_")], "the node's own: CARLA's default car"
    car = Car(4.084, 1.85, 1.44)
    own = tmp_path / "own.yaml"
    own.write_text(f"/**/{name}: {{ros__parameters: {{car_width_m: 2.0}}}}")
    for file, width in ((None, 1.85), (own, 2.0)):
        found = told(car=car, params_file=file)
        assert (found["car_length_m"], found["car_width_m"], found["car_ahead_m"]) == (4.084, width, 1.44)


NEW_NODE = """
from dataclasses import dataclass
from kd_planner_ros.ros.params import CommonParams, param
from kd_planner_ros.ros.specs.base import DIAGNOSTICS, NodeSpec, Place

@dataclass(frozen=True)
class Params(CommonParams):
    gateway: str = param("", "address of the gateway")
    autostart: bool = param(False, "configure and activate without a lifecycle manager")

NODE = NodeSpec("listener", "Listens.", Params, (DIAGNOSTICS,),
                Place(3, lambda graph: bool(graph.asked.get("gateway")), parameters=lambda graph: {"gateway": graph.asked["gateway"]},
                      arguments=(("gateway", "", "address of the gateway; empty: no listener", None),)))
"""


def test_a_new_node_is_one_file_of_specs(tmp_path, monkeypatch):
    """The graph and the launch arguments are made of what ros/specs holds."""
    from kd_planner_ros.ros import specs
    from kd_planner_ros.ros.graph import arguments

    (tmp_path / "listener.py").write_text(NEW_NODE)
    try:
        monkeypatch.setattr(specs, "__path__", [*specs.__path__, str(tmp_path)])
        specs.node_specs.cache_clear()
        nodes = graph(asked={"gateway": "10.0.0.1"}, use_sim_time=False)
        assert [node.name for node in nodes] == ["planner", "controller", "listener", "world"]
        assert dict(nodes[2].parameters) == {"role_name": "hero", "carla_profile": "carla_bridge", "carla_version": "0.9.13",
                                             "use_sim_time": False, "gateway": "10.0.0.1"}
        assert nodes[2].defaults == {"use_sim_time": True, "autostart": True} and len(graph()) == 3
        assert "gateway" in [name for name, *_ in importlib.reload(arguments).DRIVE]
        parser = build_parser("drive")
        monkeypatch.setattr(drive_module, "drive", lambda config: {"interrupted": False, "asked": config.asked})
        args = parser.parse_args(["drive", "--gateway", "10.0.0.1"])
        assert args.run(args)["asked"]["gateway"] == "10.0.0.1", "kd-planner drive has the option too"
    finally:
        monkeypatch.undo()
        sys.modules.pop("kd_planner_ros.ros.specs.listener", None)
        specs.node_specs.cache_clear()
        importlib.reload(arguments)


def test_every_node_with_a_program_of_its_own_has_an_executable():
    from support.workspace import executables

    own = {name: module for name, module, _ in executables()}
    for name, spec in node_specs().items():
        assert own[spec.executable] == spec.module and (name in own) == (not spec.program)


def test_a_fallback_planner_is_a_second_planner_with_topics_of_its_own(tmp_path):
    nodes = {node.name: node for node in graph(fallback_planner="constant_velocity", fallback_period_s=0.5, device="cpu", engine="torch")}
    assert list(nodes) == ["planner", "fallback_planner", "controller", "world"]
    second, topics = nodes["fallback_planner"], dict(nodes["fallback_planner"].remappings)
    assert (second.module, second.executable) == (nodes["planner"].module, "planner") and second.parameters["engine"] == "torch"
    own = {"plan": "fallback_planner/plan", "planner_ready": "fallback_planner/ready", "diagnostics": "/diagnostics"}
    assert {port: topics[port] for port in own} == own
    assert "__node:=fallback_planner" in second.command(tmp_path) and "plan:=fallback_planner/plan" in second.command(tmp_path)
    assert dict(nodes["planner"].remappings)["plan"] == "planner/plan"
    assert nodes["controller"].defaults["fallback_period_s"] == 0.5 and graph()[1].defaults["fallback_period_s"] == 0.0
    sent = {port.name for port in node_specs()["fallback_planner"].ports}
    heard = {port.name for port in node_specs()["controller"].ports if port.name.startswith("fallback_planner/")}
    assert heard <= sent, "what the controller hears is what that node sends"


def test_drive_tells_every_model_node_where_its_model_lies(tmp_path, monkeypatch):
    install_network(monkeypatch, tmp_path, "told_eye_package")
    models, told = str(save_tiny(tmp_path / "models", "eye")), {}

    def keep(nodes, *rest):
        told.update({node.name: node.effective() for node in nodes})
        raise KeyboardInterrupt

    monkeypatch.setattr(drive_module, "_run", keep)
    with pytest.raises(KeyboardInterrupt):
        drive_module.drive(drive_module.DriveConfig(planner="constant_velocity", perception="eye", fallback_planner="constant_velocity",
                                                    models_dir=models, out=str(tmp_path / "run")))
    assert {told[name]["models_dir"] for name in ("planner", "fallback_planner", "perception")} == {models}
    assert told["perception"]["perceiver"] == "eye" and told["controller"]["fallback_period_s"] == pytest.approx(0.1)


@pytest.mark.parametrize("name, status, alive, goes_on", [
    ("planner", -9, ["fallback_planner", "world"], True), ("fallback_planner", 1, ["planner"], True), ("planner", -9, ["world"], False),
    ("controller", -9, ["planner", "fallback_planner"], False), ("planner", 2, ["fallback_planner"], False)])
def test_who_may_end_without_the_end_of_the_drive(name, status, alive, goes_on):
    assert drives_on(name, status, alive) is goes_on


@pytest.mark.parametrize("world, names", [("carla", ["planner", "controller"]), ("none", ["planner", "controller"])])
def test_the_world_is_left_out_where_another_one_runs(world, names):
    assert [node.name for node in graph(world=world)] == names


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
    assert nodes["perception"].parameter_files[0].is_file() and nodes["perception"].module.endswith("nodes.perception_node")


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


FILE = """
/**: {ros__parameters: {unseen_after_s: 7.0}}
/carla/hero/controller: {ros__parameters: {lockstep: false, qos_overrides: {/x: {publisher: {depth: 3}}}}}
/**/planner: {ros__parameters: {threads: 3}}
"""


def test_a_file_of_the_users_own_wins_over_the_package_and_arguments_over_it(tmp_path):
    (tmp_path / "mine.yaml").write_text(FILE + "/carla/hero/world:\n  ros__parameters: {vehicles: 7, walkers: 3, control_timeout_s: 2.5}\n")
    nodes = {node.name: node.effective() for node in graph(params_file=tmp_path / "mine.yaml", world_parameters={"walkers": 4})}
    controller, world = nodes["controller"], nodes["world"]
    assert (controller["lockstep"], controller["unseen_after_s"]) == (False, 7.0) and "plan_timeout_s" not in controller
    assert (world["vehicles"], world["walkers"], world["control_timeout_s"]) == (7, 4, 2.5)
    assert nodes["planner"]["threads"] == 3 and nodes["planner"]["device"] == "cpu"
    assert {node.name: node.effective() for node in graph(threads=5, params_file=tmp_path / "mine.yaml")}["planner"]["threads"] == 5


def test_only_a_world_that_waits_gives_a_plan_more_time(tmp_path):
    """The package's own files leave it to the graph: a vehicle, CARLA or ``ros2 bag play`` go on without a plan."""
    (tmp_path / "mine.yaml").write_text("/**/controller: {ros__parameters: {lockstep: false}}")
    for more, seconds in (({"world": "carla"}, None), ({"world": "none"}, None), ({"world": "none", "lockstep": False}, None),
                          ({"world": "none", "lockstep": True}, 4.0), ({}, 4.0), ({"params_file": tmp_path / "mine.yaml"}, None)):
        nodes = {node.name: node.effective() for node in graph(perceiver="eye", **more)}
        assert nodes["controller"].get("plan_timeout_s") == seconds, more
        assert nodes["planner"].get("max_latency_s") == nodes["perception"].get("max_latency_s") == seconds, more


def test_ros_reads_the_files_as_effective_says(tmp_path, graph):
    """``effective`` is our reading of rcl's rules; the node's own is what counts."""
    (tmp_path / "mine.yaml").write_text(FILE)
    profile = load_profile("carla_bridge", "hero")
    node = next(one for one in describe(GraphConfig(profile, "constant_velocity", 0.1, params_file=tmp_path / "mine.yaml"))
                if one.name == "controller")
    words = node.command(tmp_path)
    started = ControllerNode(namespace=profile.namespace, cli_args=words[words.index("--ros-args"):], context=graph.context)
    graph.spin_in_thread(started)
    wanted = node.effective()
    told = {name: getattr(started.params, name) for name in wanted if hasattr(started.params, name)}
    assert told == {name: wanted[name] for name in told} and told["lockstep"] is False and len(told) > 6


@pytest.mark.parametrize("text, words", [
    ("planner: {ros__parameters: {threads: 3}}", "sections for the nodes /carla/hero/planner.*got 'planner', which is none"),
    ("/**: {ros__parameters: {treads: 3}}", r"parameters that the nodes of section '/\*\*' have.*got treads"),
    ("/**/planner: {ros__parameters: {lockstep: true}}", r"section '/\*\*/planner' have in .*got lockstep"),
    ("/**: {ros__parameters: {threads: 0}}", r"parameter threads of node planner: int in \[1, 64\]; got 0"),
    ("/**: {ros__parameters: {plan_timeout_s: 4}}", "parameter plan_timeout_s of node controller: float"),
    ("/**: {ros__parameters: {map: nowhere}}", "got 'nowhere'"),
    ("threads: 3", "NODE: ros__parameters: NAME: VALUE"), ("", "NODE: ros__parameters"), ("a: [", "expected YAML"),
    ("/**: {ros__parameters: {device: cuda:77}}", "cuda:77"),
])
def test_what_a_parameter_file_cannot_mean_is_refused(tmp_path, text, words):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(KdPlannerError, match=words):
        check_nodes(graph(params_file=tmp_path / "mine.yaml"), tmp_path / "mine.yaml")
