"""What the launch files ask of the installed package, without launch: which nodes, with which files, and what is refused."""

import json
import re
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest
import yaml
from support.perception import install_network, save_tiny

from kd_planner_ros.core.errors import KdPlannerError
from kd_planner_ros.core.stations import read_stations_file
from kd_planner_ros.ros.graph import arguments, roadside
from kd_planner_ros.ros.graph.prepare import ANSWER, REQUEST, prepare_drive, prepare_train
from kd_planner_ros.ros.graph.settings import read_parameter_file, values_for
from kd_planner_ros.ros.pose_text import read_pose
from kd_planner_ros.ros.train_params import checked_training
from kd_planner_ros.runtime.facts import planner_facts
from kd_planner_ros.v2x.key_files import make_keys


def given(table, *words):
    """The launch configurations when the user writes ``words``."""
    return {**{name: default for name, default, *_ in table}, **dict(word.split(":=", 1) for word in words)}


def drive(folder, *words):
    """(answer, parameters of each node as ROS puts them together) for ``drive.launch.py`` with ``words``."""
    folder.mkdir(exist_ok=True)
    answer = prepare_drive(given(arguments.DRIVE, "planner:=constant_velocity", *words), folder)
    return answer, {node["name"]: values_for([section for file in node["files"] for section in read_parameter_file(Path(file))],
                                             f"{node['namespace']}/{node['name']}") for node in answer["nodes"]}


def test_what_was_not_given_is_left_to_the_parameter_files(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "/**/planner: {ros__parameters: {device: cpu, engine: torch, threads: 2}}\n"
        "/**/controller: {ros__parameters: {lockstep: false, plan_timeout_s: 1.5, autostart: false}}\n"
        "/**/world: {ros__parameters: {weather: WetNoon, vehicles: 3, control_timeout_s: 2.0, seed: 5}}\n")
    answer, nodes = drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}", "vehicles:=4", "use_sim_time:=false")
    assert [node["name"] for node in answer["nodes"]] == ["planner", "controller", "world"]
    assert (nodes["planner"]["engine"], nodes["planner"]["threads"], nodes["planner"]["use_sim_time"]) == ("torch", 2, False)
    controller, world = nodes["controller"], nodes["world"]
    assert (controller["lockstep"], controller["plan_timeout_s"], controller["autostart"]) == (False, 1.5, False)
    assert (world["weather"], world["vehicles"], world["control_timeout_s"], world["seed"]) == ("WetNoon", 4, 2.0, 5)
    assert (world["planner_name"], world["planner_device"], world["planner_engine"]) == ("constant_velocity", "cpu", "torch")
    assert Path(world["objects_definition_file"]).is_file() and world["perceiver"] == ""


def test_the_world_is_told_which_perceiver_runs_for_its_run_folder(tmp_path):
    (tmp_path / "mine.yaml").write_text("/**/perception: {ros__parameters: {engine: torch}}\n")
    _, nodes = drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}", "perception:=true", "perceiver:=unified_nano")
    assert re.fullmatch(r"unified_nano, network unified_encoder, 4 \d{3} \d{3} parameters, engine torch", nodes["world"]["perceiver"])


def test_a_file_may_name_planner_role_and_profile(tmp_path):
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {role_name: mule, carla_profile: carla_bridge_lb2}}\n"
                                        "/**/planner: {ros__parameters: {planner: tcp64_3m1_imitation}}\n")
    answer, nodes = drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}", "planner:=")
    assert {node["namespace"] for node in answer["nodes"]} == {"/carla/mule"}
    assert {one["carla_profile"] for one in nodes.values()} == {"carla_bridge_lb2"} and nodes["planner"]["planner"] == "tcp64_3m1_imitation"
    assert nodes["planner"]["use_sim_time"] is True and nodes["controller"]["plan_period_s"] == pytest.approx(0.1)


def test_a_perceiver_is_looked_for_where_its_own_section_says(tmp_path, monkeypatch):
    install_network(monkeypatch, tmp_path, "launched_eye_package")
    models = save_tiny(tmp_path / "models", "eye")
    (tmp_path / "mine.yaml").write_text(f"/**/perception: {{ros__parameters: {{models_dir: {models}}}}}\n")
    _, nodes = drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}", "perception:=true", "world:=none")
    assert nodes["perception"]["perceiver"] == "eye", "auto: the first perceiver of that folder"
    assert nodes["perception"]["models_dir"] == str(models) and "models_dir" not in nodes["planner"]


def test_the_shipped_defaults_each_get_the_camera_that_they_declare(tmp_path):
    answer, _ = drive(tmp_path / "a", "planner:=", "perception:=true")
    told = {node["name"]: dict(node["remappings"]) for node in answer["nodes"]}
    assert told["perception"]["front/image"] == "perception_front/image"
    assert told["perception"]["front/camera_info"] == "perception_front/camera_info" and "front/image" not in told["planner"]
    sensors = json.loads((tmp_path / "a" / "sensors.json").read_text())["objects"][0]["sensors"]
    assert {"front", "perception_front"} <= {one["id"] for one in sensors}


def test_a_perceiver_that_drives_and_one_beside_it_are_named_by_their_network(tmp_path):
    """``planner:=unified_encoder`` is the driver that is built on it, ``perceiver:=unified_encoder`` the perceiver."""
    answer, nodes = drive(tmp_path / "a", "planner:=unified_encoder", "perception:=true", "perceiver:=unified_encoder")
    assert {"planner", "perception", "controller"} <= set(nodes)
    assert (nodes["planner"]["planner"], nodes["perception"]["perceiver"]) == ("unified_driver_nano", "unified_nano")
    sensors = json.loads((tmp_path / "a" / "sensors.json").read_text())["objects"][0]["sensors"]
    assert [one["id"] for one in sensors if one["id"].endswith("front")] == ["front"], "both look through one camera"


def test_roadside_stations_are_heard_through_a_gateway(tmp_path):
    _, nodes = drive(tmp_path / "a", "v2x:=true", f"run_dir:={tmp_path / 'run'}")
    assert list(nodes) == ["planner", "controller", "v2x_gateway", "v2x_station", "world"]
    gateway, station = nodes["v2x_gateway"], nodes["v2x_station"]
    assert (Path(gateway["keys"]) / "station_0.json").is_file() and (Path(station["keys"]) / "station_0.json").is_file()
    assert gateway["tf"] is False and station["tf"] is False, "the world sends their frames"
    assert gateway["keys"] != station["keys"] and station["first_sequence"] == 1 and gateway["run_dir"] == str(tmp_path / "run")
    assert nodes["controller"]["v2x"] and nodes["planner"]["roadside_topics"] == "/v2x" and "stations" not in gateway
    wish = json.loads((tmp_path / "a" / "sensors.json").read_text())["kd_planner_ros"]["roadside"]
    assert wish["objects"] and wish["views"] >= 1, "the world sends what stations see"
    _, nodes = drive(tmp_path / "b")
    assert "v2x_gateway" not in nodes and "roadside_topics" not in nodes["planner"]


def parameters(node, values):
    """A section of a parameter file."""
    return f"{node}: {{ros__parameters: {values}}}\n"


@pytest.mark.parametrize(("radio", "expected_s"), [
    ("", None), (parameters("/**/v2x_station", "{channel_latency_ms: 200.0}"), 0.2),
    (parameters("/carla/*/v2x_station", "{channel_latency_ms: 150.0}"), 0.15),
    (parameters("/**/v2x_station", "{channel_latency_ms: 900.0}"), 0.5),
    (parameters("/**/v2x_station", "{channel_latency_ms: 200.0}") + parameters("/**/v2x_gateway", "{expected_latency_s: 0.3}"), 0.3)])
def test_the_gateway_expects_the_latency_of_the_graphs_own_channel(tmp_path, radio, expected_s):
    if radio:
        (tmp_path / "radio.yaml").write_text(radio)
    _, nodes = drive(tmp_path / "a", "v2x:=true", *([f"params_file:={tmp_path / 'radio.yaml'}"] if radio else []))
    assert nodes["v2x_gateway"].get("expected_latency_s") == (None if expected_s is None else pytest.approx(expected_s))


def test_the_gateway_looks_with_the_cars_lidar_where_the_planner_has_one(tmp_path):
    _, nodes = drive(tmp_path / "a", "v2x:=true", "planner:=if128_3m8_imitation")
    gateway = nodes["v2x_gateway"]
    lidar, = planner_facts("if128_3m8_imitation", "").rig.lidars
    assert gateway["lidar"] == lidar.id and astuple(read_pose(gateway["lidar_pose"])) == pytest.approx(astuple(lidar.pose))
    _, nodes = drive(tmp_path / "b", "v2x:=true")
    assert "lidar" not in nodes["v2x_gateway"]


def test_stations_beside_carla_need_a_file_and_keys(tmp_path):
    (tmp_path / "town.yaml").write_text("stations: [{id: north, x: 1.0, y: 2.0, cameras: [{id: east, z: 7.0, width: 64, height: 36}]}]\n")
    make_keys(tmp_path / "keys", read_stations_file(tmp_path / "town.yaml"), 0.0, 1e10)
    words = ["v2x:=true", f"v2x_stations:={tmp_path / 'town.yaml'}", f"v2x_keys:={tmp_path / 'keys'}"]
    answer, nodes = drive(tmp_path / "a", "world:=carla", *words)
    assert "bridge_objects_topic" not in nodes["v2x_station"] and "derived_object_msgs" in answer["notes"][1]
    assert nodes["v2x_gateway"]["tf"] is False and nodes["v2x_station"]["tf"] is False, "CARLA's bridge sends their frames"
    assert nodes["v2x_station"]["stations"] == nodes["v2x_gateway"]["stations"] == str(tmp_path / "town.yaml")
    objects = json.loads((tmp_path / "a" / "sensors.json").read_text())["objects"]
    assert [one["id"] for one in objects] == ["ego_vehicle", "north/east", "objects"] and "first_sequence" not in nodes["v2x_station"]
    _, nodes = drive(tmp_path / "b", "world:=none", *words)
    assert "v2x_gateway" in nodes and "v2x_station" not in nodes, "the stations stand at the road"
    assert "tf" not in nodes["v2x_gateway"], "by default it sends their frames"
    for bad, sentence in ((words[:2], "v2x_keys"), (words[1:], "v2x alone"), ([*words[:2], f"v2x_keys:={tmp_path}"], "allowed"),
                          (["v2x:=true", words[2], "v2x_stations:=nowhere.yaml"], "no such file")):
        with pytest.raises(KdPlannerError, match=sentence):
            drive(tmp_path / "c", "world:=carla", *bad)


@pytest.mark.parametrize("mine", ["", "objects_topic: /detector", "cpm_topic: /cpm"])
def test_stations_in_carla_send_what_the_bridge_tells_unless_another_source_is_named(tmp_path, monkeypatch, mine):
    """As where derived_object_msgs is installed."""
    monkeypatch.setattr(roadside, "find_type", lambda kind: object)
    (tmp_path / "town.yaml").write_text("stations: [{id: north, x: 1.0, y: 2.0}]\n")
    (tmp_path / "mine.yaml").write_text(parameters("/**/v2x_station", f"{{{mine}}}"))
    make_keys(tmp_path / "keys", read_stations_file(tmp_path / "town.yaml"), 0.0, 1e10)
    answer, nodes = drive(tmp_path / "a", "world:=carla", "v2x:=true", f"v2x_stations:={tmp_path / 'town.yaml'}",
                          f"v2x_keys:={tmp_path / 'keys'}", f"params_file:={tmp_path / 'mine.yaml'}")
    told = nodes["v2x_station"]
    assert (told.get("objects_topic"), told.get("bridge_objects_topic")) == (
        {"": ("", "/carla/objects"), "objects_topic: /detector": ("/detector", None), "cpm_topic: /cpm": (None, None)}[mine])
    assert len(answer["notes"]) == 1


def test_a_planner_that_describes_nothing_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "mine.yaml").write_text(parameters("/**/planner", "{caption: true}"))
    for word in ("caption:=true", f"params_file:={tmp_path / 'mine.yaml'}"):
        with pytest.raises(KdPlannerError, match="describes what it sees .*; got 'constant_velocity', which has no network"):
            drive(tmp_path / "a", word)
    _, nodes = drive(tmp_path / "b", "caption:=false")
    assert "caption" not in nodes["planner"]


def test_a_fallback_planner_stands_by(tmp_path):
    """The name is the argument's alone; its own section gives the folder of models and whatever else a planner has."""
    (tmp_path / "mine.yaml").write_text("/**/planner: {ros__parameters: {planner: tcp64_3m1_imitation}}\n"
                                        "/**/fallback_planner: {ros__parameters: {threads: 2}}\n")
    answer, nodes = drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}", "planner:=", "fallback_planner:=constant_velocity")
    assert [(node["name"], node["executable"]) for node in answer["nodes"]] == [
        ("planner", "planner"), ("fallback_planner", "planner"), ("controller", "controller"), ("world", "world")]
    assert nodes["planner"]["planner"] == "tcp64_3m1_imitation" and nodes["planner"]["threads"] == 1
    assert (nodes["fallback_planner"]["planner"], nodes["fallback_planner"]["threads"]) == ("constant_velocity", 2)
    assert nodes["controller"]["fallback_period_s"] == pytest.approx(0.1)
    with pytest.raises(KdPlannerError, match="nobody"):
        drive(tmp_path / "b", "fallback_planner:=nobody")


def test_what_all_nodes_share_is_not_said_for_one_of_them(tmp_path):
    (tmp_path / "mine.yaml").write_text("/**/world: {ros__parameters: {role_name: mule}}\n")
    with pytest.raises(KdPlannerError, match="role_name of all nodes.*got 'mule' for /carla/ego_vehicle/world"):
        drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}")


def test_a_namespace_takes_the_place_of_the_profiles(tmp_path):
    answer, _ = drive(tmp_path / "a", "namespace:=robot/car/", "world:=carla")
    assert {node["namespace"] for node in answer["nodes"]} == {"/robot/car"} and "sensor file for carla_spawn_objects" in answer["notes"][0]


def test_numbers_in_strings_stay_strings(tmp_path):
    _, nodes = drive(tmp_path / "a", "route:=3", "weather:=7", "time:=20", "seed:=2")
    assert (nodes["world"]["route"], nodes["world"]["weather"], nodes["world"]["max_time_s"], nodes["world"]["seed"]) == ("3", "7", 20.0, 2)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    (tmp_path / "mine.yaml").write_text(f"/**/world: {{ros__parameters: {{run_dir: {tmp_path / 'mine'}}}}}\n")
    for word in (f"run_dir:={tmp_path / 'mine'}", f"params_file:={tmp_path / 'mine.yaml'}"):
        with pytest.raises(KdPlannerError, match="thesis.tex; give another run_dir"):
            drive(tmp_path / "a", word)
    drive(tmp_path / "a", f"params_file:={tmp_path / 'mine.yaml'}", f"run_dir:={tmp_path / 'free'}")
    assert (tmp_path / "free").is_dir()
    (tmp_path / "free" / "run.json").write_text("{}")
    with pytest.raises(KdPlannerError, match="that of an earlier drive; give another run_dir, or delete the folder"):
        drive(tmp_path / "a", f"run_dir:={tmp_path / 'free'}")


def test_a_launch_can_snap_a_routes_key_points(tmp_path):
    assert "snap" not in drive(tmp_path / "a")[1]["world"]
    assert [drive(tmp_path / "a", f"snap:={word}")[1]["world"]["snap"] for word in ("true", "false")] == [True, False]


@pytest.mark.parametrize("words, sentence", [
    (["world:=carla", "seed:=3", "map:=default"], "map, seed with world:=builtin alone"), (["planner:=nobody"], "nobody"),
    (["seed:=-3"], "seed of node world"), (["threads:=two"], "threads: a whole number; got 'two'"), (["map:=nowhere"], "nowhere"),
    (["route:=nowhere.xml"], "nowhere.xml"), (["namespace:=a-b"], "namespace: words"), (["role_name:=Ego-1"], "Ego-1"),
    (["params_file:=/nowhere.yaml"], "parameter file at /nowhere.yaml"), (["device:=cuda:77"], "cuda:77"), (["time:=nan"], "max_time_s"),
])
def test_what_cannot_be_used_is_refused_before_anything_starts(tmp_path, words, sentence):
    with pytest.raises(KdPlannerError, match=sentence):
        drive(tmp_path / "a", *words)


def train(folder, *words):
    answer = prepare_train(given(arguments.TRAIN, *words), folder)
    return answer, yaml.safe_load(Path(answer["files"][-1]).read_text())["/**"]["ros__parameters"]


def test_settings_of_training_reach_the_node_with_its_own_types(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my bags").mkdir()
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {epochs: 2, batch: 4, seed: 7}}")
    _, values = train(tmp_path, f"bags:={tmp_path / 'my bags'}", "name:=it's", f"params_file:={tmp_path / 'mine.yaml'}",
                      "args:=size:=7.6m tcp.input_height:=32 cache:='/a b/c' batch:=8", "autostart:=false")
    assert values["bags"] == [str(tmp_path / "my bags")] and values["name"] == "it's" and values["autostart"] is False
    assert (values["epochs"], type(values["epochs"]), values["batch"], values["seed"]) == (2.0, float, 8, 7)
    assert (values["size"], values["tcp.input_height"], values["cache"]) == ("7.6m", 32, "/a b/c")
    assert values["models_dir"] == str(tmp_path / "models"), "not the installed package's folder, which colcon writes anew"
    assert train(tmp_path, "bags:=one two '/a b'")[1]["bags"] == ["one", "two", "/a b"]
    assert checked_training(values) == values


@pytest.mark.parametrize("words, sentence", [
    (["args:=bogus:=1"], "bogus"), (["args:=epoch:=2"], "the nearest to 'epoch' is 'epochs'"), (["args:=epochs:=many"], "many"),
    (["args:=epochs"], "NAME:=VALUE"), (["args:=init:='x"], "quotes in pairs"), (["processes:=0"], "processes"),
    (["recipe:=/nowhere.yaml"], "/nowhere.yaml"), (["bags:="], "in parameter bags"), (["params_file:=/nowhere.yaml"], "/nowhere"),
])
def test_a_wrong_setting_of_training_is_refused(tmp_path, words, sentence):
    with pytest.raises(KdPlannerError, match=sentence):
        train(tmp_path, "bags:=x", *words)


def test_the_installed_program_answers_in_files_and_refuses_in_one_line(tmp_path):
    def ask(*words):
        (tmp_path / REQUEST).write_text(json.dumps({"launch": "drive", "arguments": given(arguments.DRIVE, *words)}))
        return subprocess.run([sys.executable, "-m", "kd_planner_ros.ros.graph.prepare", str(tmp_path)], capture_output=True, text=True)

    refused = ask("planner:=nobody")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1) and "nobody" in refused.stderr
    assert not (tmp_path / ANSWER).exists()
    done = ask("world:=none")
    assert done.returncode == 0, done.stderr
    assert [node["name"] for node in json.loads((tmp_path / ANSWER).read_text())["nodes"]] == ["planner", "controller"]


def test_launch_files_need_nothing_but_launch():
    """`ros2` runs in the system's Python: numpy, torch and the rest may be in the environment that colcon was run from only."""
    script = ("import sys\nclass Bar:\n def find_spec(self, name, *_):\n  if name.split('.')[0] in ('numpy', 'torch', 'yaml', 'cv2'): "
              "raise ImportError(name)\nsys.meta_path.insert(0, Bar())\n"
              "import kd_planner_ros.ros.graph.arguments, kd_planner_ros.ros.together, kd_planner_ros.core.errors")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_argument_has_a_text_and_a_default_among_its_choices():
    for table in (arguments.DRIVE, arguments.REPLAY, arguments.TRAIN):
        assert len({name for name, *_ in table}) == len(table)
        for name, default, text, choices in table:
            assert len(text) > 10 and (not choices or default in choices), name
