"""DistillDrive learns from nuScenes: a tiny set in the published layout, made into recordings, then samples and a training on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.nuscenes import SPEED, STEPS, write_set
from support.training import but, training

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.nuscenes.convert import convert
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.distilldrive.config import KINDS, LINES
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

CAR = {"ego_length_m": 4.084, "ego_width_m": 1.85, "ego_ahead_m": 1.44}


@pytest.fixture
def config(tmp_path):
    """The options that docs/notes/distilldrive.md gives for recordings of nuScenes."""
    torch.set_num_threads(1)
    write_set(tmp_path / "set")
    convert(tmp_path / "set", tmp_path / "bags", cameras=("front", "left"), progress=False)
    return training(bags=(tmp_path / "bags",), name="student", network="distilldrive", size="nano", cameras=1, signals=False, target=False,
                    road_users="all", batch=2, epochs=1.0, lr=1e-3, validation_share=0.0, models_dir=tmp_path / "models",
                    runs_dir=tmp_path / "runs", cache=tmp_path / "cache", seed=1, ema=0.9, progress=False, threads=1, device="cpu",
                    precision="fp32", validate_minutes=0, **CAR)


def learner_and_samples(config):
    others = cameras(find_bags(config.bags)[0])[1]
    learner = Learner(config, join("cpu"), others["front"], others)
    return learner, Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))


def test_its_labels_reach_the_losses(config):
    """The annotated car and no animal, the lines of the map expansion, the driven way; there is no steering angle and no light."""
    learner, samples = learner_and_samples(config)
    assert 2 <= len(samples) <= STEPS and samples.shards[0].images.shape[1:] == (128, 352, 3)
    batch = samples.fetch(np.array([0, 1]))
    arrays = batch.arrays
    for row in range(2):
        there = arrays["kinds"][row] >= 0
        assert [KINDS[kind] for kind in arrays["kinds"][row][there]] == [ActorKind.CAR] and arrays["shown"][row][there].all()
        assert arrays["boxes"][row][there][0, :2] == pytest.approx([12.0, 0.0], abs=0.1)
        assert np.exp(arrays["boxes"][row][there][0, 3:6]) == pytest.approx([4.6, 1.9, 1.6], rel=1e-3)
        assert {LINES[kind] for kind in arrays["line_kinds"][row] if kind >= 0} <= {LineKind.DIVIDER, LineKind.CROSSING}
        assert arrays["status"][row][6] == pytest.approx(SPEED, abs=0.1) and np.isnan(arrays["status"][row][9])
    targets = learner.task.targets(batch.rows, arrays)
    assert bool(targets["plan_known"].all()) and targets["plan"][0, :, 0].tolist() == pytest.approx(
        [0.5 * SPEED * (step + 1) for step in range(6)], abs=0.3)
    assert (arrays["line_kinds"] >= 0).any() and not learner.task.weights.get("light")


@pytest.mark.slow
def test_a_student_is_trained_on_it_in_a_few_steps(config):
    learner, samples = learner_and_samples(config)
    losses = {"agent_score", "agent_box", "line_score", "line_place", "heat"}, {"plan", "status", "motion", "latent"}
    for stage, wanted in enumerate(losses):
        if stage:
            learner.begin_stage(stage)
            learner.stage_progress = 1.0
        before = {name: one.clone() for name, one in learner.model.named_parameters()}
        values = learner.step(learner.prepare(samples, np.array([0, 1]), stage, np.array([True, True])), stage, 1e-3)
        assert wanted <= set(values) and np.isfinite(list(values.values())).all(), learner.stage.name
        changed = {name.split(".")[0] for name, one in learner.model.named_parameters() if not torch.equal(one, before[name])}
        assert changed == ({"backbone", "neck", "agents", "lines"} | ({"planner"} if stage else set()))
    report = train(but(config, epochs=2.0))
    card = read_card(config.models_dir / "student")
    assert report.finished and card.network == "distilldrive" and card.config["ego_ahead_m"] == CAR["ego_ahead_m"]
    assert (card.config["camera_width"], card.config["camera_height"]) == (704, 396)
