"""A recurrent task: its samples come in sequences, and its memory of each slot survives validation and resume."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.bags import write_bag
from support.interrupting import interrupt_in_step
from support.rewrite import rewrite
from support.training import but, training_in

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.stage_samplers import stage_samplers
from kd_planner_ros.distill.teacher_source import TeacherSource
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.samples import Random, Sequences
from kd_planner_ros.networks.tcp.training import TCPTask
from kd_planner_ros.networks.training import Stage, is_recurrent
from kd_planner_ros.samples.rows import begins
from kd_planner_ros.samples.shards import build_shards


class Remembering:
    """TCP's task with a memory: the mean feature of a slot's last sample is added to its next picture."""

    def begin_step(self, reset):
        old = getattr(self, "held", None)
        size = len(reset)
        self.held = torch.zeros(size) if old is None or len(old) != size else torch.where(torch.from_numpy(reset.copy()), 0.0, old)
        self.resets = [*getattr(self, "resets", []), reset.tolist()]

    def inputs(self, rows, arrays, hidden_speed):
        found = inputs_of(self, rows, arrays, hidden_speed)
        return found | {"image": found["image"] + self.held.view(-1, 1, 1, 1)}

    def end_step(self, outputs):
        self.held = outputs["feature_traj"].detach().float().mean(1)

    def memory(self):
        return None if getattr(self, "held", None) is None else {"held": self.held.clone()}

    def restore_memory(self, memory):
        self.held = None if memory is None else memory["held"].clone()


inputs_of = TCPTask.inputs


@pytest.fixture
def config(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    for name in ("begin_step", "inputs", "end_step", "memory", "restore_memory"):
        monkeypatch.setattr(TCPTask, name, getattr(Remembering, name))
    monkeypatch.setattr(TCPTask, "sampling", Sequences())
    for number in range(3):
        write_bag(tmp_path / "bags" / f"b{number}", rate=0.1 * number, seconds=6.0, seed=number, labels=False)
    return training_in(tmp_path, name="recurrent", batch=2, epochs=3, validation_share=0.34)


def weights_of(config, name):
    return checkpoint.load(config.runs_dir / name)["learner"]["model"]


@pytest.mark.slow
def test_resume_in_the_middle_of_a_recording_is_bit_identical(config, monkeypatch):
    assert is_recurrent(TCPTask)
    whole = train(but(config, name="whole"))
    steps = interrupt_in_step(monkeypatch, whole.steps // 2 + 1)
    assert not train(but(config, name="halves")).finished
    kept = checkpoint.load(config.runs_dir / "halves")["learner"]["memory"]["held"]
    assert kept.shape == (2,) and (kept != 0).all()
    assert train(but(config, name="halves")).finished and steps == list(range(whole.steps))
    one, two = weights_of(config, "whole"), weights_of(config, "halves")
    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.slow
def test_without_its_memory_a_resumed_run_would_be_another(config, monkeypatch):
    whole = train(but(config, name="whole"))
    interrupt_in_step(monkeypatch, whole.steps // 2 + 1)
    train(but(config, name="halves"))
    monkeypatch.setattr(TCPTask, "restore_memory", lambda self, memory: setattr(self, "held", None))
    train(but(config, name="halves"))
    one, two = weights_of(config, "whole"), weights_of(config, "halves")
    assert any(not torch.equal(value, two[name]) for name, value in one.items())


def test_the_memory_of_one_process_is_not_given_to_several(config, monkeypatch, capsys):
    learner = Learner(config, join("cpu"), *cameras(find_bags(config.bags)[0]))
    learner.task.held = torch.ones(2)
    state = learner.state()
    learner.restore(state)
    assert learner.task.held.tolist() == [1.0, 1.0]
    learner.task.held = None
    learner.restore(state | {"processes": 2})
    assert learner.task.held is None and "memory of sequences begins anew" in capsys.readouterr().err


@pytest.mark.slow
def test_scores_of_numpy_are_saved_and_one_that_is_no_number_is_not_shipped(config, monkeypatch, capsys):
    scores = iter((np.float64("nan"), np.float64(2.0), np.float64("nan")))
    monkeypatch.setattr(TCPTask, "selection_score", lambda self, figures: next(scores))
    figures = TCPTask.figures
    monkeypatch.setattr(TCPTask, "figures", lambda self, *args: {name: (np.float64(total), np.float64(count))
                                                                 for name, (total, count) in figures(self, *args).items()})
    report = train(config)
    state = checkpoint.load(config.runs_dir / "recurrent")
    assert report.finished and state["best"]["score"] == 2.0 and 0 < report.best_step < report.steps
    assert capsys.readouterr().err.count("is not a number: its weights are not shipped") == 2


@pytest.mark.slow
def test_a_validation_walks_each_recording_in_order_and_puts_the_memory_back(config, monkeypatch):
    seen, end = [], TCPTask.selection_score
    monkeypatch.setattr(TCPTask, "selection_score",
                        lambda self, figures: seen.append((self.held.clone(), self.resets)) or end(self, figures))
    report = train(config)
    held, resets = seen[0]
    assert held.shape == (2,)  # of the training's two slots, not of the validation's one
    walked = [one for one in resets if len(one) == 1]
    first = [one[0] for one in walked[:report.validation_samples]]
    routes = read_card(config.models_dir / "recurrent").training["data"]["held_out_routes"]
    assert first.count(True) == len(routes) > 0 and first[0] and len(first) == report.validation_samples > len(routes)


@pytest.mark.slow
def test_validation_and_teacher_forget_at_a_gap_as_training_does(config, monkeypatch):
    """Pictures of half a second are missing in every recording."""
    for bag in sorted(config.bags[0].iterdir()):
        rewrite(bag, bag.with_name(f"{bag.name}_gap"),
                lambda topic, when, raw: None if "/front/" in topic and 2_400_000_000 < when < 3_100_000_000 else raw)
        shutil.rmtree(bag)
    seen = []
    monkeypatch.setattr(TCPTask, "selection_score", lambda self, figures: seen.append(self.resets) or 0.0)
    report = train(config)
    walked = [one[0] for one in seen[0] if len(one) == 1][:report.validation_samples]
    routes = read_card(config.models_dir / "recurrent").training["data"]["held_out_routes"]
    assert walked.count(True) == 2 * len(routes) > 0

    learner = Learner(config, join("cpu"), *cameras(find_bags(config.bags)[0]))
    (shard, *_) = build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)
    source = object.__new__(TeacherSource)
    source.shared, source.task = False, learner.task
    source.teacher = SimpleNamespace(device=torch.device("cpu"))
    learner.task.resets = []
    for row in range(len(shard.rows)):
        source._encode(shard, slice(row, row + 1))
    assert [reset for (reset,) in learner.task.resets] == begins(shard.rows["stamp"]).tolist()
    assert begins(shard.rows["stamp"]).sum() == 2


def test_a_shuffled_stage_draws_single_samples_and_the_next_one_reads_in_order(config, monkeypatch):
    read, prepare = {}, Learner.prepare

    def noted(learner, samples, index, step, reset=None):
        read[step] = (learner.stage.name, index.copy(), reset.copy())
        return prepare(learner, samples, index, step, reset)

    monkeypatch.setattr(Learner, "prepare", noted)
    report = train(but(config, name="shuffled", epochs=2, stages=({"name": "single", "share": 0.5, "shuffled": True},
                                                                  {"name": "whole", "share": 0.5})))
    single, whole = ([read[step][1:] for step in range(report.steps) if read[step][0] == name] for name in ("single", "whole"))
    assert single and all(reset.all() for _, reset in single)
    assert any((after[0] != before[0] + 1).any() for before, after in zip(single, single[1:], strict=False)), "not in order"
    assert len(whole) > 1 and not whole[1][1].all()
    for (before, _), (index, reset) in zip(whole, whole[1:], strict=False):
        assert (index[~reset] == before[~reset] + 1).all()


@pytest.mark.parametrize("useful, drawn, said", (
    (None, set(range(6)), ""),
    ([0, 1, 0, 0, 1, 0], {1, 4}, "stage 'single': 2 of 6 samples are of use, the others teach it nothing"),
    ([0] * 6, set(range(6)), "stage 'single': 0 of 6 samples are of use, it learns nothing")))
@pytest.mark.parametrize("sampling", (Random(), Sequences()))
def test_a_stage_that_draws_single_samples_draws_from_those_that_teach_it(sampling, useful, drawn, said, capsys):
    """One that draws from all of them reads as the whole run."""
    singly = isinstance(sampling, Random)
    stages = (Stage("single", 0.5, shuffled=not singly), *([] if singly else [Stage("whole", 0.5)]))
    answer = None if useful is None else np.array(useful, bool)
    learner = SimpleNamespace(plan=SimpleNamespace(stages=stages), task=SimpleNamespace(sampling=sampling, useful=lambda *_: answer))
    samplers = stage_samplers(learner, range(6), np.ones(6), 2, 3, True)
    if singly and drawn == set(range(6)):
        assert samplers == {} and capsys.readouterr().err.startswith(said)
        return
    assert list(samplers) == [0]
    assert {number for step in range(6) for number in samplers[0].step(step).tolist()} == drawn
    assert capsys.readouterr().err.startswith(said)
