"""What every network that can be trained must keep, on recordings made up for its own rig."""

import numpy as np
import pytest
import torch
from support.networks import DEVICES, require, smallest
from support.rigs import with_cameras, write_rig_bag

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.describe import size_of
from kd_planner_ros.networks.registry import can_be_trained, find_network, find_training, folders, is_weightless
from kd_planner_ros.networks.samples import SampleMaker
from kd_planner_ros.networks.training import LearningTask, Stage
from kd_planner_ros.runtime.load import load_model_runner
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

TRAINED = [name for name in folders() if not is_weightless(name) and can_be_trained(name)]
EVERYBODY = {"distilldrive": {"distilldrive": {"road_users": "all"}}}
"""Options by network: made-up pictures show no road user of the made-up lists, and the rest must learn all the same."""
MOST_STEPS = 12
"""Dropout may silence a parameter in one step, a memory is empty in the first one, and a loss may wait for a confident answer."""


@pytest.fixture(scope="module", params=TRAINED)
def settings(request, tmp_path_factory):
    """A run of the smallest size on two recordings of its rig and its task's cameras, imitation in float32 on the CPU."""
    torch.set_num_threads(1)
    folder, network = tmp_path_factory.mktemp(request.param), find_network(request.param)
    rig, training = smallest(network).rig, find_training(request.param)
    task = training.build_task(network.build_processor(smallest(network)), training.options())
    neighbours = any(getattr(task, "offsets_ns", (0,))) or rig.history_s  # they lie 0.1 s apart
    seconds = task.horizon_s + (1.2 if neighbours else 2.0)  # a sample needs its horizon
    rig = with_cameras(rig, task.cameras or ("front",))  # the pictures of a recording say when a sample is taken
    for number, rate in enumerate((0.2, -0.2)):
        write_rig_bag(folder / "bags" / f"b{number}", rig, rate, seconds=seconds, every=2 if neighbours else 10, seed=number)
    steps = 1.2 / min(stage.share for stage in training.stages)  # one for the shortest stage too
    epochs = max(1.2, steps) * 2 / (20 if neighbours else 8)
    return {"bags": (folder / "bags",), "network": request.param, "size": size_of(smallest(network)), "batch": 2, "lr": 1e-4,
            "validation_share": 0.0, "models_dir": folder / "models", "runs_dir": folder / "runs", "cache": folder / "cache",
            "progress": False, "threads": 1, "precision": "fp32", "validate_minutes": 0.0, "name": "contract", "epochs": epochs,
            "sections": EVERYBODY.get(request.param, {})}


def learner_of(settings, device="cpu"):
    config = TrainConfig(**settings, device=device)
    bags = find_bags(config.bags)
    learner = Learner(config, join(device), *cameras(bags[0]))
    return learner, Samples(build_shards(bags, config.cache, learner.task, progress=False))


def test_there_are_networks_to_train():
    assert {"tcp", "interfuser"} <= set(TRAINED)


def test_every_part_is_there(settings):
    training = find_training(settings["network"])
    learner, _ = learner_of(settings)
    task = learner.task
    assert isinstance(task, LearningTask) and isinstance(task, SampleMaker) and task.weights
    assert training.stages and all(isinstance(stage, Stage) for stage in training.stages)
    assert sum(stage.share for stage in training.stages) == pytest.approx(1.0)
    if training.backbone:
        assert learner.model.get_submodule(training.backbone)
    for stage in training.stages:
        names = [name for name, _ in learner.model.named_parameters()]
        assert any(stage.trains(name) for name in names)
        unknown = [prefix for prefix in stage.prefixes() if prefix.split(".")[0] != "task"
                   and not any(name == prefix or name.startswith(prefix + ".") for name in names)]
        assert unknown == [], "a stage names what the network does not have"


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_is_finite_and_reaches_every_trained_parameter(settings, device):
    require(device)
    learner, samples = learner_of(settings, device)
    before = {name: one.detach().clone() for name, one in learner.model.named_parameters()}
    reached, missed = set(), set()
    for step in range(MOST_STEPS):
        index = (np.arange(2) + step) % len(samples.rows)
        reset = np.array([step == 0 or row == 0 for _, row in samples.places(index)])
        values = learner.step(learner.prepare(samples, index, step, reset), step, 1e-3)
        assert np.isfinite(list(values.values())).all() and values["loss"] > 0.0
        for name, one in learner.model.named_parameters():
            if one.requires_grad and one.grad is not None and one.grad.abs().sum() > 0:
                reached.add(name)
        if step >= 2 and reached >= {name for name, one in learner.model.named_parameters() if one.requires_grad}:
            break
    stage = learner.stage
    for name, one in learner.model.named_parameters():
        assert one.isfinite().all(), name
        if one.requires_grad:
            assert stage.trains(name)
            missed |= {name} - reached
        else:
            assert one.grad is None and torch.equal(one.detach(), before[name]), f"{name} is frozen and has moved"
    assert missed == set(), "no gradient reaches what the stage trains"


def test_outputs_inputs_and_figures_fit_each_other(settings):
    learner, samples = learner_of(settings)
    network = find_network(settings["network"])
    inputs, targets = learner.tensors(samples.fetch(np.arange(2)))
    assert set(inputs) == set(network.inputs)
    with torch.no_grad():
        outputs = learner.model.eval()(**inputs)
    loss = learner.task.loss(outputs, targets, inputs)
    assert loss.total.ndim == 0 and loss.total.isfinite() and set(loss.parts) <= set(learner.task.weights)
    scores = learner.validate(samples, 4)
    assert np.isfinite(list(scores.values())).all() and np.isfinite(learner.task.selection_score(scores))


@pytest.mark.parametrize("device", DEVICES)
def test_a_short_run_ships_a_model_that_answers(settings, device):
    require(device)
    report = train(TrainConfig(**settings | {"name": f"on_{device}"}, device=device))
    assert report.finished and report.steps >= 1
    model = load_model_runner(f"on_{device}", device=device, engine="torch", models_dir=settings["models_dir"], keep=False)
    assert model.role == find_network(settings["network"]).role
