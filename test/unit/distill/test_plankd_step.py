"""One step of a student beside its teacher: what learns, what stays, what the teacher is told, what is kept of a bad batch."""

import numpy as np
import pytest
import torch
from support.taught import attached
from support.training import but

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.errors import TrainingError
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.teacher import Teacher
from kd_planner_ros.distill.teacher_cache import TeacherCache
from kd_planner_ros.distill.train import train
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards


def test_the_teacher_takes_the_students_own_tensors_where_it_is_told_the_same(config, monkeypatch):
    config = but(config, teacher_cache=False)
    bags = find_bags(config.bags)
    learner = Learner(config, join("cpu"), *cameras(bags[0]))
    shards = build_shards(bags, config.cache, learner.task, progress=False)
    learner.distillation.attach(dict(zip(shards, bags)))
    made, make = [], learner.task.inputs
    monkeypatch.setattr(learner.task, "inputs", lambda *told: made.append(told) or make(*told))
    batch = learner.prepare(Samples(shards), np.arange(4), 0)
    learner.step(batch, 0, 1e-4)
    assert len(made) == 1
    batch.hidden_speed[0] = True  # what the student alone is not told
    learner.step(batch, 1, 1e-4)
    batch.hidden_speed[0] = False
    batch.student_rows["target"][1] += 10.0
    learner.step(batch, 2, 1e-4)
    assert len(made) == 5


@pytest.fixture(params=[True, False], ids=["cached", "asked in the step"])
def either_way(request, config):
    return but(config, teacher_cache=request.param)


def test_gradients_reach_the_student_and_the_attention_only(either_way):
    learner, samples = attached(either_way)
    teacher = learner.distillation.sources[0].teacher
    method, frozen = learner.distillation.method, {k: v.clone() for k, v in teacher.model.state_dict().items()}
    before = {k: v.clone() for k, v in method.bottleneck.state_dict().items()}
    learner.step(learner.prepare(samples, np.arange(4), 0), 0, 1e-3)
    assert all(torch.equal(v, teacher.model.state_dict()[k]) for k, v in frozen.items())
    assert learner.model.backbone.conv1.weight.grad.abs().sum() > 0
    assert method.attention.query.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in [*teacher.model.parameters(), *method.bottleneck.parameters()])
    assert any(not torch.equal(v, method.bottleneck.state_dict()[k]) for k, v in before.items())
    trained = {id(p) for options in learner.optimiser.param_groups for p in options["params"]}
    assert not trained & {id(p) for p in [*teacher.model.parameters(), *method.bottleneck.parameters()]}


def test_the_trainers_step_leaves_the_teachers_answers(either_way):
    learner, samples = attached(either_way)
    inputs, _ = learner.tensors(samples.fetch(np.arange(4)))
    before = learner.distillation.sources[0].teacher.model(**inputs)
    learner.step(learner.prepare(samples, np.arange(4), 0), 0, 1e-2)
    after = learner.distillation.sources[0].teacher.model(**inputs)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_the_cache_the_teacher_is_told_what_was_recorded(config, monkeypatch):
    told, fields = [], Teacher.fields
    monkeypatch.setattr(Teacher, "fields", lambda self, inputs, names: told.append(inputs) or fields(self, inputs, names))
    learner, samples = attached(but(config, teacher_cache=False, safe_attention=False, speed_dropout=0.9, target_stretch=1.0))
    samples.rows["target"] = 5.0, 0.0
    batch = learner.prepare(samples, np.arange(8), 0)
    assert batch.hidden_speed.any() and (batch.student_rows["target"][:, 0] > 8.0).all()
    learner.step(batch, 0, 1e-3)
    true = learner.processor.state_tensor(samples.rows["speed"][:8], samples.rows["target"][:8], samples.rows["command"][:8])
    assert torch.equal(told[-1]["state"], true) and not torch.equal(learner.tensors(batch)[0]["state"], true)
    assert torch.equal(told[-1]["image"], learner.tensors(batch)[0]["image"])


def test_a_loss_that_is_not_finite_stops_with_the_batch(config, monkeypatch):
    tensors = Learner.tensors

    def broken(self, batch):
        inputs, targets = tensors(self, batch)
        inputs["image"][0, 0, 0, 0] = float("nan")
        return inputs, targets

    monkeypatch.setattr(Learner, "tensors", broken)
    with pytest.raises(TrainingError, match="finite loss at step .*bad_batch"):
        train(but(config, augment=False))


@pytest.mark.parametrize("steps, name", [(0, "bad_batch_0_0.npz"), (2, "bad_batch_pretrain_0.npz")])
def test_what_the_teacher_answered_is_in_the_bad_batch(config, monkeypatch, steps, name):
    fetch = TeacherCache.fetch

    def broken(self, places):
        answers = fetch(self, places)
        answers["mean_stage2"][1, 2] = np.nan
        return answers

    monkeypatch.setattr(TeacherCache, "fetch", broken)
    with pytest.raises(TrainingError, match=f"finite loss.*{name}"):
        train(but(config, pretrain_bottleneck=steps))
    with np.load(config.runs_dir / "student" / name) as data:
        assert np.isnan(data["teacher.mean_stage2"][1, 2]) and data["bev"].shape == (4, 180, 180, 3)
        assert {"rows", "student_rows", "images", "obstacles", "hidden_speed"} <= set(data)
