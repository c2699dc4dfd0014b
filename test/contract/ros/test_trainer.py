"""The trainer node over real rclpy: it trains, tells, pauses behind a checkpoint, goes on, and names what is wrong."""

import json
import os
import subprocess
import sys

import pytest
import torch
from support.bags import copy_bag
from support.graph import PROCESSES_DOMAIN, wait_for
from support.networks import DEVICES, require

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.runtime.store import load_model

STAGES = """
stages:
- {name: first, share: 0.25, trained: [backbone]}
- {name: second, share: 0.75, untrained: [value_traj, value_ctrl]}
"""


@pytest.fixture
def settings(tmp_path):
    torch.set_num_threads(1)
    for number in range(2):
        copy_bag(tmp_path / "bags" / f"b{number}", rate=0.2, seconds=4.0, seed=number, labels=False)
    return {"bags": [str(tmp_path / "bags")], "name": "by_node", "size": "3.1m", "tcp.input_height": 32, "tcp.input_width": 64, "batch": 2,
            "epochs": 4.0, "validation_share": 0.5, "models_dir": str(tmp_path / "models"), "runs_dir": str(tmp_path / "runs"),
            "cache": str(tmp_path / "cache"), "threads": 1, "device": "cpu", "validate_minutes": 0.0}


def make(graph, settings):
    from rclpy.parameter import Parameter

    from kd_planner_ros.ros.nodes.trainer_node import TrainerNode
    node = TrainerNode(context=graph.context, namespace="/lab",
                       parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
    return graph.spin_in_thread(node)


def listen(graph):
    """What the node publishes, newest last."""
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Float32, String

    from kd_planner_ros.ros.qos import LATCHED, STATE
    heard = {"progress": [], "metrics": [], "model": [], "diagnostics": []}
    for name, kind, topic, qos in (("progress", Float32, "/lab/trainer/progress", LATCHED),
                                   ("metrics", JointState, "/lab/trainer/metrics", STATE),
                                   ("model", String, "/lab/trainer/model", LATCHED),
                                   ("diagnostics", DiagnosticArray, "/lab/diagnostics", STATE)):
        graph.node.create_subscription(kind, topic, heard[name].append, qos)
    return heard


def test_it_trains_pauses_goes_on_and_ships(graph, settings, tmp_path):
    heard, node = listen(graph), make(graph, settings | {"epochs": 40.0})
    node.trigger_configure()
    assert not (tmp_path / "runs").exists()
    node.trigger_activate()
    assert wait_for(lambda: node.training.step >= 3, 60.0)
    node.trigger_deactivate()
    assert wait_for(lambda: node.training.state == "paused", 20.0)
    step = node.training.step
    assert (tmp_path / "runs" / "by_node" / "last.pt").is_file()
    assert not wait_for(lambda: node.training.step > step, 0.5)
    node.trigger_activate()
    assert wait_for(lambda: node.training.state == "finished", 120.0), node.training.error
    assert wait_for(lambda: heard["model"] and heard["progress"][-1].data == 1.0)
    model, _, card = load_model(heard["model"][-1].data)
    assert card.name == "by_node" and 0 < card.training["steps"] <= node.training.step == node.training.total > step
    progress = [message.data for message in heard["progress"]]
    assert progress == sorted(progress) and len(progress) > 2
    last = heard["metrics"][-1]
    assert {"loss", "waypoints", "validation/l2_m"} <= set(last.name) and len(last.name) == len(last.position)
    sentences = [status.message for array in heard["diagnostics"] for status in array.status]
    assert any(sentence.startswith("paused: step") for sentence in sentences)
    assert wait_for(lambda: heard["diagnostics"][-1].status[0].message.startswith("finished: step"))


def test_what_is_wrong_is_named(graph, settings, tmp_path):
    heard, node = listen(graph), make(graph, settings | {"bags": [str(tmp_path / "nowhere")]})
    node.trigger_configure()
    node.trigger_activate()
    assert wait_for(lambda: node.training.state == "failed", 30.0)
    assert wait_for(lambda: heard["diagnostics"] and "no such folder" in heard["diagnostics"][-1].status[0].message)
    assert heard["diagnostics"][-1].status[0].level == b"\x02"


@pytest.mark.parametrize("wrong, text", [({"bags": [""]}, "recordings in parameter bags"), ({"epochs": -1.0}, "epochs a number above 0"),
                                         ({"schedule": "spiral"}, "schedule out of"), ({"batch": "many"}, "parameter batch")])
def test_wrong_parameters_are_refused(graph, settings, wrong, text):
    with pytest.raises(ConfigError, match=text):
        make(graph, settings | wrong)


def test_parameters_are_called_as_the_options_are(graph, settings):
    node = make(graph, settings | {"method": "plankd", "teacher": "wise", "plankd.entropy": False, "plankd.bottleneck": False})
    config = node.config
    options = config.options("plankd")
    assert (config.method, options.entropy, options.bottleneck, options.safe_attention) == ("plankd", False, False, True)
    with pytest.raises(ConfigError, match="plankd.entropy.*got the old name entropy"):
        make(graph, settings | {"entropy": False})


def test_a_recipe_gives_the_defaults_and_parameters_win(graph, settings, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"bags: [{settings['bags'][0]}]\nname: of_recipe\nlr: 1e-3\nepochs: 4\n"
                      "tcp: {input_height: 32, input_width: 96}\n" + STAGES)
    named = ("bags", "name", "epochs", "tcp.input_height", "tcp.input_width")
    given = {name: value for name, value in settings.items() if name not in named}
    config = make(graph, given | {"recipe": str(recipe), "epochs": 2.0, "tcp.input_width": 64}).config
    assert (config.name, config.lr, config.epochs, config.bags) == ("of_recipe", 1e-3, 2.0, (tmp_path / "bags",))
    assert config.sections["tcp"] == {"input_height": 32, "input_width": 64}
    assert [stage["name"] for stage in config.stages] == ["first", "second"]


@pytest.mark.parametrize("device", DEVICES)
def test_it_runs_all_stages_and_pauses_inside_one(graph, settings, tmp_path, device):
    require(device)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(STAGES)
    heard, node = listen(graph), make(graph, settings | {"epochs": 20.0, "recipe": str(recipe), "device": device})
    node.trigger_configure()
    node.trigger_activate()
    assert wait_for(lambda: node.training.stage == "second", 90.0), node.training.error
    node.trigger_deactivate()
    assert wait_for(lambda: node.training.state == "paused", 20.0)
    node.trigger_activate()
    assert wait_for(lambda: node.training.state == "finished", 120.0), node.training.error
    assert wait_for(lambda: heard["diagnostics"][-1].status[0].message.startswith("finished: step"))
    values = {one.key: one.value for one in heard["diagnostics"][-1].status[0].values}
    assert values["stage"] == "second (2 of 2)" and values["share of the stage"] == "0.75"
    assert float(values["selection score"]) >= float(values["best selection score"]) > 0.0


def process(settings, **options):
    words = [word for name, value in settings.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
    return subprocess.run([sys.executable, "-m", "kd_planner_ros.ros.nodes.trainer_node", "--ros-args", *words], text=True,
                          capture_output=True, timeout=240, env={**os.environ, "ROS_DOMAIN_ID": str(PROCESSES_DOMAIN)}, **options)


def test_as_a_process_it_ends_when_done(settings, tmp_path):
    done = process(settings | {"autostart": True})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "by_node" / "card.json").is_file() and "finished: step" in done.stderr + done.stdout


def test_as_a_process_it_says_what_is_wrong_in_one_line(settings, tmp_path):
    done = process(settings | {"autostart": True, "bags": [str(tmp_path / "nowhere")]})
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("kd_planner_ros: error: expected recordings")
