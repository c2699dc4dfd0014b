"""Stages of a run: what each trains, exact resume inside and between them, and what is refused."""

import csv
import dataclasses
import json

import pytest
import torch
from support.interrupting import interrupt_in_step
from support.training import but, training_in
from torch import nn

from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill import config as config_module
from kd_planner_ros.distill.config import stages_of
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.stages import Plan, require_loss, train_mode
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.networks.training import Stage
from kd_planner_ros.runtime.store import load_model

TWO = ({"name": "backbone", "share": 0.4, "trained": ["backbone", "task"], "losses": {"waypoints": 1.0}},
       {"name": "heads", "share": 0.6, "frozen_eval": ["backbone"], "rate": 0.5, "ramps": {"speed": [0.0, 1.0]}})


STAGED = {"name": "staged", "batch": 2, "epochs": 5, "validation_share": 0.5, "states_weight": 0.1, "stages": TWO}


@pytest.fixture
def config(train_config):
    return but(train_config, **STAGED)


@pytest.fixture(scope="module")
def whole(bags, shards, tmp_path_factory):
    """Settings of a run that was never interrupted."""
    torch.set_num_threads(1)
    config = training_in(tmp_path_factory.mktemp("whole"), bags=(bags,), cache=shards, **STAGED)
    assert train(config).finished
    return config


def state_of(config, name):
    return checkpoint.load(config.runs_dir / name)["learner"]


def equal(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(equal, one, two))
    return one == two


class Watch(Observer):
    def __init__(self):
        self.stages, self.steps = [], []

    def stage_began(self, stage, index, count):
        self.stages.append((stage.name, index, count))

    def stepped(self, step, progress, values):
        self.steps.append((step, values["rate"]))


@pytest.mark.slow
def test_each_stage_trains_its_own_part(config, monkeypatch):
    seen = []
    step = Learner.step

    def watched(self, batch, number, rate):
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        values = step(self, batch, number, rate)
        changed = {name.split(".")[0] for name, value in self.model.state_dict().items() if not torch.equal(value, before[name])}
        seen.append((self.stage.name, changed, self.model.backbone.training, len(self.optimiser.state)))
        return values

    monkeypatch.setattr(Learner, "step", watched)
    watch = Watch()
    report = train(but(config, schedule="constant"), watch)
    first = round(0.4 * report.steps)
    assert first > 2 and [one[0] for one in seen] == ["backbone"] * first + ["heads"] * (report.steps - first)
    assert all(changed == {"backbone"} and training for _, changed, training, _ in seen[:first])
    assert all("backbone" not in changed and "output_traj" in changed and not training for _, changed, training, _ in seen[first:])
    assert watch.stages == [("backbone", 0, 2), ("heads", 1, 2)]
    assert [rate for _, rate in watch.steps] == [config.lr] * first + [0.5 * config.lr] * (report.steps - first)
    card = load_model(config.models_dir / "staged")[2].training
    assert card["stage"] in ("backbone", "heads") and [one["name"] for one in card["recipe"]["stages"]] == ["backbone", "heads"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 8, 13], ids=["in the first stage", "between the stages", "in the second stage"])
def test_resume_is_bit_identical(config, whole, monkeypatch, step):
    interrupt_in_step(monkeypatch, step)
    assert not train(config).finished
    assert train(config).finished
    one, halves = (state_of(which, "staged") for which in (whole, config))
    assert one["stage"] == 1 and equal(one, halves)
    rows = [[row for row in csv.reader((which.runs_dir / "staged" / "log.csv").open()) if row[1] == "validation"]
            for which in (whole, config)]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_one_stage_is_the_run_without_stages(config):
    plain = but(config, name="plain", stages=())
    train(plain)
    train(but(config, name="one", stages=({"name": "only", "share": 1.0, "untrained": ["value_traj", "value_ctrl"]},)))
    assert equal(state_of(config, "plain"), state_of(config, "one"))


@pytest.mark.slow
def test_stages_are_part_of_the_recipe(config):
    train(config)
    with pytest.raises(Exception, match="other values of stages"):
        train(but(config, stages=({**TWO[0], "share": 0.5}, {**TWO[1], "share": 0.5})))


@pytest.mark.parametrize("stages, words", [
    (({"name": "a", "share": 0.5},), "sum to 1.*0.5"),
    (({"name": "a", "share": 0.5}, {"name": "a", "share": 0.5}), "stages of different names"),
    (({"name": "a", "share": 1.5},), r"share in \(0, 1\]"),
    (({"name": "a", "colour": "red"},), "a stage with fields.*colour"),
    (({"name": "a", "share": 1.0, "method": "osmosis"},), "method out of"),
    (({"name": "a", "share": 1.0, "method": ["at"]},), "stage 'a'.*name of a method"),
    (({"name": "a", "share": 1.0, "losses": 5},), "values that fit stage 'a'"),
    (({"name": "a", "share": 1.0, "losses": {"waypoints": "all"}},), "values that fit stage 'a'.*all"),
    (({"name": "a", "share": 1.0, "ramps": 5},), "values that fit stage 'a'"),
    (({"name": "a", "share": 1.0, "ramps": {"speed": [1]}},), "values that fit stage 'a'"),
    (({"name": "a", "share": 1.0, "trained": 5},), "values that fit stage 'a'"),
])
def test_bad_stages_are_refused_in_one_line(config, stages, words):
    with pytest.raises(ConfigError, match=words) as caught:
        but(config, stages=stages)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stage, words", [
    ({"frozen_eval": [""]}, "stage 'a' to train a part of the network"),
    ({"trained": ["backbon"]}, "'backbon'.*the nearest is 'backbone'"),
    ({"losses": {"waypoint": 1.0}}, "parts of the loss.*'waypoint'.*the nearest is 'waypoints'"),
    ({"ramps": {"depth": [0, 1]}}, "parts of the loss.*'depth'"),
])
def test_a_stage_that_trains_nothing_or_names_what_is_not_there_is_refused(config, stage, words):
    with pytest.raises(ConfigError, match=words) as caught:
        train(but(config, stages=({"name": "a", "share": 1.0, **stage},)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("losses", [{}, {"waypoints": 0.0}])
def test_a_stage_that_learns_from_no_loss_is_refused(config, losses):
    stage = {"name": "idle", "share": 1.0, "losses": losses}
    with pytest.raises(ConfigError, match="a loss that stage 'idle' learns from, out of .*waypoints.*weight 0"):
        train(but(config, states_weight=0.0, stages=(stage,)))
    parts, rising = {"a": 1.0}, Stage(losses={}, ramps={"a": (0.0, 1.0)})
    require_loss((rising,), parts, None, "imitation")
    require_loss((Stage(losses={}),), parts, None, "at")
    require_loss((Stage(losses={}, method="at"),), parts, None, "imitation")


def test_a_single_prefix_is_a_list_of_one(config):
    (stage,) = stages_of(but(config, stages=({"name": "a", "share": 1.0, "trained": "backbone"},)))
    assert stage.trained == ("backbone",)


def test_a_stage_without_a_step_is_refused_before_teachers_answer(config, monkeypatch):
    monkeypatch.setattr("kd_planner_ros.distill.distillation.Distillation.attach", lambda *words: pytest.fail("the teachers answer"))
    with pytest.raises(ConfigError, match="at least one step for stage 'b' .share 0.001.*none of"):
        train(but(config, stages=tuple({"name": name, "share": share} for name, share in (("a", 0.51), ("b", 0.001), ("c", 0.489)))))


def test_a_plan_divides_the_run_by_shares():
    plan = Plan((Stage("a", 0.1), Stage("b", 0.2), Stage("c", 0.7)))
    assert [plan.index(step / 10) for step in range(10)] == [0, 1, 1, 2, 2, 2, 2, 2, 2, 2]
    assert plan.index(0.0, least=1) == 1 and plan.bounds(2) == (pytest.approx(0.3), 1.0)
    assert plan.within(0.2, 1) == pytest.approx(0.5) and Plan((Stage(),)).within(0.123, 0) == 0.123


def test_weights_of_a_stage():
    own = {"a": 1.0, "b": 0.5}
    assert Stage().weights(own, 0.3) == own
    assert Stage(losses={"b": 2.0}).weights(own, 0.3) == {"a": 0.0, "b": 2.0}
    assert Stage(ramps={"a": (0.0, 4.0)}).weights(own, 0.25) == {"a": 1.0, "b": 0.5}


def test_frozen_parts_are_in_evaluation_mode():
    body = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False), nn.Dropout())
    model = nn.ModuleDict({"body": body, "head": nn.Linear(2, 1)})
    train_mode(Stage(trained=("head",)), model)
    assert model.training and model["head"].training and not any(one.training for one in model["body"].modules())
    model["drop"] = nn.Dropout()
    train_mode(Stage(trained=("head",)), model)
    assert not model["drop"].training  # it has no parameter of its own, and is not trained either
    train_mode(Stage(frozen_eval=("drop",)), model)
    assert not model["drop"].training and model["head"].training
    train_mode(Stage(), model)
    assert all(one.training for one in model.modules())


@pytest.mark.slow
def test_a_stage_may_train_without_the_runs_teacher(config, tmp_path):
    """The run's method is AT, its first stage is plain: the teacher's maps are read in the second stage alone."""
    from kd_planner_ros.networks.registry import find_network
    from kd_planner_ros.networks.tcp.config import TCPConfig
    from kd_planner_ros.runtime.store import save_model

    given = TCPConfig(size="3.1m", input_height=32, input_width=64, camera_width=64, camera_height=32)
    save_model(tmp_path / "models" / "wise", "tcp", given, find_network("tcp").build_model(given).state_dict())
    stages = ({"name": "plain", "share": 0.5, "method": "imitation"}, {"name": "taught", "share": 0.5})
    train(but(config, method="at", teacher="wise", stages=stages))
    with (config.runs_dir / "staged" / "log.csv").open(newline="") as file:
        rows = [(row[0], row[2]) for row in csv.reader(file) if row[1] == "train"]
    last = rows[-1][0]
    assert ("1", "waypoints") in rows and ("1", "activation") not in rows and int(last) > 1 and (last, "activation") in rows


def test_the_networks_own_stages_belong_to_the_checkpoint(config, monkeypatch):
    """A plugin of another version may have fewer of them: without this the run went on, or ended with an IndexError."""
    def stages(*shares):
        own = find_training("tcp")
        made = tuple(Stage(f"part{index}", share) for index, share in enumerate(shares))
        monkeypatch.setattr(config_module, "find_training", lambda name: dataclasses.replace(own, stages=made))

    plain = but(config, stages=(), states_weight=0.0, epochs=1)
    stages(0.5, 0.5)
    assert train(plain).finished
    for other in ((1.0,), (0.6, 0.4)):
        stages(*other)
        with pytest.raises(TrainingError, match="other values of network stages"):
            train(plain)


def test_a_checkpoint_from_before_stages_were_kept_goes_on(config):
    plain = but(config, stages=(), states_weight=0.0, epochs=1)
    train(plain)
    state = checkpoint.load(plain.runs_dir / "staged")
    recipe = json.loads(state["recipe"])
    del recipe["network stages"], state["length"]
    checkpoint.save(plain.runs_dir / "staged", state | {"recipe": json.dumps(recipe)})
    assert train(plain).finished
