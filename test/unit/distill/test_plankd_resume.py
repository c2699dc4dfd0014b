"""Trainings with a teacher that are stopped and go on, and the bottleneck that is trained before the student."""

import csv

import pytest
import torch
from support.training import but

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.train import train
from kd_planner_ros.runtime.store import load_model


@pytest.mark.slow
@pytest.mark.parametrize("method", ["plankd", "dpk"])
def test_resume_is_bit_identical(config, method):
    whole = train(but(config, method=method, name="whole", schedule="constant"))
    train(but(config, method=method, name="halves", schedule="constant", epochs=1))
    rest = train(but(config, method=method, name="halves", schedule="constant"))
    assert rest.finished and rest.steps == whole.steps > 2
    one, two = (checkpoint.load(config.runs_dir / name)["learner"] for name in ("whole", "halves"))
    for part, pick in (("model", lambda s: s["model"]), ("distiller", lambda s: s["distiller"]["modules"])):
        assert pick(one) and all(torch.equal(value, pick(two)[name]) for name, value in pick(one).items()), part
    for first, second in zip(one["distiller"]["optimisers"], two["distiller"]["optimisers"], strict=True):
        assert all(torch.equal(first["state"][key]["exp_avg"], second["state"][key]["exp_avg"]) for key in first["state"])


@pytest.mark.slow
def test_pretraining_teaches_the_bottleneck_and_leaves_the_student(config):
    late = but(config, epochs=1, schedule="constant", lr=1e-3)
    early = but(late, name="early", pretrain_bottleneck=150)
    train(late)
    train(early)
    card = load_model(config.models_dir / "early")[2].training
    assert card["recipe"]["plankd"]["pretrain_bottleneck"] == 150 and "--plankd.pretrain-bottleneck 150" in card["command"]
    assert load_model(config.models_dir / "student")[2].training["recipe"]["plankd"]["pretrain_bottleneck"] == 0
    with (config.runs_dir / "early" / "log.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] == "pretrain"]
    values = {name: [float(row[3]) for row in rows if row[2] == name] for name in {row[2] for row in rows}}
    assert set(values) == {"bottleneck", "named_teacher"} and rows[-1][0] == "100"
    assert values["named_teacher"][-1] > values["named_teacher"][0]
    first = {name: [row for row in csv.reader((config.runs_dir / name / "log.csv").open(newline=""))
                    if row[:2] == ["1", "train"]] for name in ("student", "early")}
    of = {name: {row[2]: row[3] for row in rows} for name, rows in first.items()}
    assert of["early"]["waypoints"] == of["student"]["waypoints"]  # the student is the same, the method is not
    assert of["early"]["bottleneck"] != of["student"]["bottleneck"] and of["early"]["ranking"] == of["student"]["ranking"]


@pytest.mark.slow
def test_the_bottleneck_of_a_later_stage_is_pretrained(config):
    """A run whose first stage is plain: ``plankd`` is the second stage's method."""
    stages = ({"name": "plain", "share": 0.5, "method": "imitation"}, {"name": "taught", "share": 0.5})
    report = train(but(config, name="staged", epochs=1, pretrain_bottleneck=3, stages=stages))
    with (config.runs_dir / "staged" / "log.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] == "pretrain"]
    assert {row[2] for row in rows} == {"bottleneck", "named_teacher"}
    state = checkpoint.load(config.runs_dir / "staged")["learner"]
    steps = {int(one["step"]) for one in state["distiller"]["optimisers"][0]["state"].values()}
    assert steps == {3 + report.steps // 2}


@pytest.mark.slow
def test_a_run_stopped_while_its_bottleneck_is_pretrained_begins_anew(config):
    early = but(config, name="early", pretrain_bottleneck=20, epochs=1)

    class Stop(Observer):
        def __init__(self):
            self.paused, self.stopped = True, False

        def wait(self):
            self.paused, self.stopped = False, True

    report = train(early, Stop())
    assert not report.finished and report.steps == 0 and not (config.models_dir / "early").exists()
    assert train(early).finished
    assert not train(but(early, fresh=True), Stop()).finished  # and what was there before does not come back
    again = train(early)
    assert again.finished and again.samples_read > 0
    with pytest.raises(ConfigError, match="leave --plankd.pretrain-bottleneck out"):
        but(early, bottleneck=False)
    train(but(early, name="whole"))
    one, two = (checkpoint.load(config.runs_dir / name)["learner"]["distiller"]["modules"] for name in ("early", "whole"))
    assert one and all(torch.equal(value, two[name]) for name, value in one.items())
