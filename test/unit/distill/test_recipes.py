"""Recipes: YAML with sections, each option overridable, unknown and old names refused, old recipes read."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from support.plugins import distribution

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError, PluginError
from kd_planner_ros.core.plugins import METHODS, NETWORKS
from kd_planner_ros.core.renamed import TRAINING
from kd_planner_ros.distill import recipes
from kd_planner_ros.distill import train as train_module
from kd_planner_ros.distill.config import TrainConfig, plain
from kd_planner_ros.distill.recipes import differences, option_sections, read_recipe, train_config
from kd_planner_ros.runtime.paths import config_folder, models_folder

RECIPE = """
network: tcp
size: 7.6m
lr: 1e-3
epochs: 2
method: plankd
teacher: [wise]
tcp: {input-height: 64, input_width: 224}
plankd: {rank_loss: paper, teacher_waypoints: 1}
interfuser: {front_px: 128}
stages:
- {name: a, share: 0.5, trained: [backbone]}
- {name: b, share: 0.5}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def run(monkeypatch, *words):
    """The TrainConfig that the command line makes of ``words``."""
    made = []

    def keep(config):
        made.append(config)
        raise ConfigError("a test", "its config", "look")

    monkeypatch.setattr(train_module, "train", keep)
    assert cli.main(["train", *map(str, words)]) == 2
    return made[0]


def test_the_command_line_wins_over_the_recipe(recipe, monkeypatch, capsys):
    config = run(monkeypatch, "--recipe", recipe, "--bags", "x", "--epochs", "5", "--tcp.input-width", "448", "--plankd.no-entropy")
    assert (config.size, config.lr, config.epochs, config.teacher) == ("7.6m", 1e-3, 5.0, "wise")
    assert config.sections == {"tcp": {"input_height": 64, "input_width": 448},
                               "plankd": {"rank_loss": "paper", "teacher_waypoints": 1.0, "entropy": False}}
    assert [stage["name"] for stage in config.stages] == ["a", "b"]
    assert "interfuser.front_px left out" in capsys.readouterr().err
    assert "--tcp.input-width 448" in config.command and "--plankd.no-entropy" in config.command


def test_a_start_on_the_command_line_replaces_that_of_the_recipe(tmp_path, monkeypatch):
    path = tmp_path / "recipe.yaml"
    path.write_text("network: tcp\nwarm_start: unified_nano\n")
    config = run(monkeypatch, "--recipe", path, "--bags", "x", "--init", "mine")
    assert (config.init, config.warm_start) == (Path("mine"), None)
    assert run(monkeypatch, "--recipe", path, "--bags", "x").warm_start == Path("unified_nano")
    assert run(monkeypatch, "--recipe", path, "--bags", "x", "--warm-start", "").warm_start is None


@pytest.mark.parametrize(("line", "words"), [
    ("batch: 2.5", "expected 'batch' in {path} a whole number from 1; got 2.5; correct 'batch' in {path}"),
    ("device: 3", "under 'device'"), ("seed: -1", "expected 'seed' in {path} a whole number from 0"),
    ("tcp: {input_height: 2.5}", "expected 'tcp.input_height' in {path} a whole number")])
def test_a_value_of_a_recipe_is_refused_with_the_files_name(tmp_path, line, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"network: tcp\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(words.format(path=path))):
        train_config({"name": "a"}, read_recipe(path), str(path))
    name, _, value = line.rpartition(": ")
    if name == "batch":  # of the command line's own it is the option
        assert train_config({"batch": 8}, read_recipe(path), str(path)).batch == 8
        with pytest.raises(ConfigError, match="correct --batch$"):
            train_config({"batch": 0}, {}, str(path))


def test_without_a_recipe_the_defaults_stay(monkeypatch):
    config = run(monkeypatch, "--bags", "x", "--no-augment")
    assert config == TrainConfig(bags=config.bags, augment=False) and not config.sections


@pytest.mark.parametrize("text, words", [
    ("learning_rate: 1", "learning_rate"), ("epoch: 1", "epoch; .*the nearest to 'epoch' is 'epochs'"),
    ("plankd: {rank_los: paper}", "plankd.rank_los.*nearest.*'plankd.rank_loss'"), ("input_height: 64", "tcp.input_height .*old name"),
    ("head_start: 5", "plankd.pretrain_bottleneck"), ("- a", "names with values"),
    ("stages: 5", "a list of mappings under 'stages'"), ("stages: {a: 1}", "a list of mappings"),
    ("bags: 5", "a list of paths under 'bags'"), ("stages: [{name: a, share: 1, method: [at]}]", "name of a method"),
    ("stages: [{name: a, share: 1, trained: 5}]", "a list of names of modules for 'trained', got 5"),
    ("stages: [{name: a, share: 1, frozen_eval: [1]}]", "a list of names of modules for 'frozen_eval'"), ("a: [", "YAML in")])
def test_what_a_recipe_gets_wrong_is_one_line(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        train_config({}, read_recipe(path))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="a recipe at"):
        read_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("word, new", [("--input-height=5", "--tcp.input-height"), ("--no-entropy", "--plankd.no-entropy"),
                                       ("--head-start", "--plankd.pretrain-bottleneck"), ("--no-bottleneck", "--plankd.no-bottleneck")])
def test_old_options_name_the_new_ones(word, new, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--bags", "x", word])
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and f"expected {new}; got its old name" in said and "\n" not in said


def test_options_that_nobody_reads_are_refused():
    with pytest.raises(ConfigError, match="got --plankd.rank-loss"):
        train_config({"plankd.rank_loss": "paper"})
    with pytest.raises(ConfigError, match="--tcp.states-weight a number from 0"):
        train_config({"tcp.states_weight": -1.0})
    with pytest.raises(ConfigError, match="--plankd.rank-loss out of margin, paper"):
        train_config({"method": "plankd", "teacher": "wise", "plankd.rank_loss": "best"})


def test_the_trainer_has_some_forty_options_of_its_own():
    own = [one for one in fields(TrainConfig) if one.metadata.get("cli") is not False]
    assert len(own) <= 42  # of which role_name and camera say what recordings leave open
    known = {f"{section}.{one.name}" for section, kind in option_sections().items() for one in fields(kind)}
    assert set(TRAINING.values()) <= known and not set(TRAINING) & {one.name for one in fields(TrainConfig)}


@pytest.mark.parametrize("name", ["tcp64_7m6", "tcp64_13m9_plankd_long", "if128_3m8_imitation"])
def test_the_recipes_of_shipped_cards_are_read(name):
    """They are flat, from before there were sections."""
    flat = read_card(models_folder() / name).training["recipe"]
    nested = {key: value for key, value in recipes.complete(flat).items() if key not in ("teacher_cache", "warm_start")}
    config = train_config(nested, bags=())
    assert differences({**flat, "warm_start": None}, plain(config.recipe)) == []
    changed = {**flat, "lr": 0.5, "warm_start": None}
    assert differences(changed, json.loads(json.dumps(config.recipe))) == ["lr"]


@pytest.mark.parametrize(("values", "words"), [
    ({"name": 5}, "a text under 'name'; got 5"),
    ({"network": ["tcp"]}, "a text under 'network'"),
    ({"method": {"a": 1}}, "a text under 'method'"),
    ({"init": {"a": 1}}, "a path under 'init'"),
    ({"cache": 5}, "a path under 'cache'"),
    ({"tcp": 5}, "names with values in section 'tcp' of r.yaml; got 5"),
    ({"tcp": None}, "names with values in section 'tcp'"),
    ({"start_without": "planner"}, "a list of names of modules under 'start_without'; got 'planner'"),
    ({"start_without": [5]}, "a list of names of modules under 'start_without'; got [5]"),
])
def test_a_text_a_path_or_a_section_of_another_kind_is_refused_by_its_name(values, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        train_config(values, where="r.yaml")


_CONFIG = "from dataclasses import dataclass, field\n\n\n@dataclass(frozen=True)\nclass Config:\n" \
          "    heat: float = field(default=1.0, metadata={'help': 'heat of it'})\n"


@pytest.mark.parametrize(("name", "other"), [("tcp", "a network"), ("batch", "an option of 'kd-planner train', --batch")])
def test_a_method_of_another_package_does_not_take_anothers_options(monkeypatch, tmp_path, capsys, name, other):
    distribution(monkeypatch, tmp_path, "clash", {METHODS: {name: "clash_m"}}, {
        "clash_m/config.py": _CONFIG, "clash_m/method.py": "def build(context):\n    return None\n"})
    assert train_config({"tcp.input_height": 64, "batch": 4}).sections == {"tcp": {"input_height": 64}}
    assert f"'{name}', which is {other} too" in capsys.readouterr().err
    with pytest.raises(PluginError, match="rename its entry point"):
        train_config({"method": name})


def test_a_network_of_another_package_does_not_take_a_methods_options(monkeypatch, tmp_path, capsys):
    distribution(monkeypatch, tmp_path, "clash", {NETWORKS: {"plankd": "clash_n"}}, {
        "clash_n/model.py": "",
        "clash_n/training.py": _CONFIG.replace("class Config", "class TrainOptions") + "build_task = config_fields = int\n"})
    assert "entropy" in {one.name for one in fields(option_sections()["plankd"])}
    assert "'plankd', which is a distillation method too" in capsys.readouterr().err
    with pytest.raises(PluginError, match="a network with a name of its own; got 'plankd'"):
        train_config({"network": "plankd"})


def test_with_and_without_the_teacher_the_unified_encoder_is_trained_alike():
    """What differs between the two recipes is the method: else the comparison says nothing about the teacher."""
    folder = config_folder() / "recipes"
    alone, taught = (yaml.safe_load((folder / f"unified_{name}.yaml").read_text()) for name in ("nano", "distilled"))
    assert {key for key in {*alone, *taught} if alone.get(key) != taught.get(key)} == {"method", "scene_motion"}
