"""What 'auto' stands for, and what is known of a model before it is loaded."""

import json
import subprocess
import sys

import pytest

from kd_planner_ros.core.errors import ConfigError, PlannerError
from kd_planner_ros.networks.planner import ROLES
from kd_planner_ros.runtime.facts import (
    card_by_name,
    model_facts,
    models_of,
    own_folder,
    planner_place,
    resolve_planner,
    same_model,
)
from kd_planner_ros.runtime.find import list_models


def card(folder, scores, network="tcp"):
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({
        "card_version": 1, "name": folder.name, "network": network, "config": {}, "weights_sha256": "", "parameters": 1,
        "scores": scores}))


def test_auto_is_the_model_that_drives_best(tmp_path):
    card(tmp_path / "b_unscored", {})
    card(tmp_path / "c_unscored", {"validation": {"l2_m": 0.1}})
    assert resolve_planner("auto", str(tmp_path))[0] == "b_unscored"
    card(tmp_path / "d_good", {"closed_loop_default_town": {"driving_score": 67.0}})
    card(tmp_path / "a_poor", {"closed_loop_default_town": {"driving_score": 20.0}})
    (tmp_path / "a_broken").mkdir()
    (tmp_path / "a_broken" / "card.json").write_text("{")
    assert resolve_planner("auto", str(tmp_path)) == ("d_good", str(tmp_path))
    assert resolve_planner("a_poor", str(tmp_path))[0] == "a_poor"


def test_models_of_a_role_are_those_alone(tmp_path):
    card(tmp_path / "a_eye", {}, "unified_encoder")
    card(tmp_path / "b_driver", {})
    assert [[folder.name for folder in models_of(role, str(tmp_path))] for role in ROLES] == [["b_driver"], ["a_eye"]]


def test_another_folder_of_models_never_gives_a_shipped_one(tmp_path):
    with pytest.raises(ConfigError, match="a model in .*; got none"):
        resolve_planner("auto", str(tmp_path))
    for choose in (resolve_planner, planner_place):
        with pytest.raises(ConfigError, match="nowhere; got no such folder"):
            choose("tcp64_7m6", str(tmp_path / "nowhere"))
    with pytest.raises(PlannerError, match="'tcp64_7m6'; correct the name, or give --models-dir"):
        planner_place("tcp64_7m6", str(tmp_path))
    card(tmp_path / "mine", {})
    assert planner_place("mine", str(tmp_path)) == str(tmp_path / "mine")
    assert [planner_place(name, str(tmp_path)) for name in ("constant_velocity", "expert")] == ["constant_velocity", "expert"]
    assert planner_place("tcp64_7m6") == "tcp64_7m6"


def test_two_names_of_one_model_are_the_same(tmp_path):
    card(tmp_path / "mine", {"closed_loop": 1.0})
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    mine = ("mine", str(tmp_path))
    for other in (mine, (str(tmp_path / "mine"), ""), ("link", str(tmp_path))):
        assert same_model(mine, other)
    assert same_model(("auto", ""), (resolve_planner("auto")[0], "")) and same_model(("constant_velocity", ""), ("constant_velocity", ""))
    assert not same_model(mine, ("constant_velocity", "")) and not same_model(mine, ("auto", ""))


def test_a_report_finds_the_card_by_name(tmp_path):
    """A shipped model by its name, another one by its folder; a model without weights has an empty card."""
    card(tmp_path / "mine", {"closed_loop": 1.0})
    assert own_folder("tcp64_7m6") == own_folder("constant_velocity", str(tmp_path)) == ""
    assert own_folder("mine", str(tmp_path)) == own_folder(str(tmp_path / "mine")) == str(tmp_path / "mine")
    assert card_by_name("tcp64_7m6")["network"] == "tcp" and card_by_name("constant_velocity") == {}
    assert card_by_name("mine", str(tmp_path / "mine"))["scores"] == {"closed_loop": 1.0}
    assert card_by_name("mine") is None and card_by_name("mine", str(tmp_path / "gone")) is None


@pytest.mark.parametrize("name", [path.name for path in list_models()])
def test_what_a_graph_must_know_of_a_model_needs_no_torch(name):
    """A launch file and `drive` read cards in a moment; the ROS system's own Python may have no torch at all."""
    script = ("import sys; sys.modules['torch'] = None; from kd_planner_ros.runtime.facts import *; "
              "resolve_planner('auto'); print(model_facts(sys.argv[1]).rate_hz)")
    done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True)
    assert done.returncode == 0 and float(done.stdout) == model_facts(name).rate_hz, done.stderr
