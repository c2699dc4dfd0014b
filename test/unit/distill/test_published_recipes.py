"""The recipes of DistillDrive as published: they load, every switch has the published value, and the models can be built."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from kd_planner_ros.distill.config import stages_of
from kd_planner_ros.distill.recipes import read_recipe, train_config
from kd_planner_ros.distill.stages import require_trained
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.runtime.paths import config_folder

CAR = {"ego_length_m": 4.084, "ego_width_m": 1.85, "ego_ahead_m": 1.44}
STUDENT = {"cameras": 6, "signals": False, "horizon_s": 3.0, "generative": True, "repo_latent": True, "posterior": "all",
           "reinforcement": "repo", "plan_space": "offsets", "speed": "predicted", "target": False, "choice": "likeliest",
           "start_weight": 1.0, "rule_scores": False, "road_users": "all", "heat": False, "proposals": 0, "dense": False, "reframe": True,
           "frozen_perception": False, "frozen_token": False, "min_cameras": 6, "rescore": True, "rescore_probability": 0.5, **CAR}
TEACHER = {"agent_input": "future", "signals": False, "speed": "predicted", "target": False, "choice": "likeliest", "horizon_s": 3.0,
           "plan_score": "distribution", "reinforcement": "repo", "plan_space": "offsets", **CAR}
WEIGHTS = {"motion_score": 0.2, "motion": 0.2, "plan_score": 0.5, "plan": 1.0, "status": 1.0, "reinforcement": 1.0, "latent": 1.0,
           "agent_score": 2.0, "agent_box": 0.25, "line_score": 1.0, "line_place": 10.0}


def made(name):
    """The run's settings, and network and task of its size on the meta device."""
    config = train_config({"bags": (Path("recordings"),), "teacher": "" if name.endswith("teacher") else "wise"},
                          read_recipe(config_folder() / "recipes" / f"{name}.yaml"))
    network, training, options = find_network(config.network), find_training(config.network), config.options(config.network)
    own = network.config(training.config_fields(config.size, options, None, {}))
    task = training.build_task(network.build_processor(own), options)
    with torch.device("meta"):
        model = network.build_model(own)
        beside = task.modules(model)
    return config, own, task, model, beside


@pytest.mark.parametrize(("name", "switches", "millions"), [("distilldrive_published", STUDENT, 84.06),
                                                            ("distilldrive_published_teacher", TEACHER, 11.96)])
def test_a_published_recipe_has_the_published_switches_and_size(name, switches, millions):
    config, own, task, model, beside = made(name)
    options = asdict(config.options(config.network))
    mounted = {"camera_x_m", "camera_z_m"}  # of the recordings' cameras
    assert {key: value for key, value in options.items() if key not in mounted} == switches, "each switch, so that a new one is looked at"
    assert own.size == "full" and sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    assert (config.clip, config.weight_decay, config.ema, config.start_weight) == (25.0, 1e-3, 0.0, 1.0)
    free = {key for key, _ in model.named_parameters()}
    require_trained(stages_of(config), model, beside, free, task, config.method)


def test_the_published_student_samples_300_points_a_line_and_weighs_its_losses_as_published():
    config, own, task, model, _ = made("distilldrive_published")
    spec = own.spec
    assert (spec.line_samples, len(spec.line_heights), spec.line_offsets) == (20, 5, 3) and model.lines.kind.points == 300
    assert (spec.agents, spec.kept_agents, spec.lines, spec.kept_lines, spec.agent_keys, spec.line_keys) == (900, 600, 100, 33, 50, 10)
    assert model.agents.kind.points == 13 and (own.camera_width, own.camera_height) == (1600, 900)
    assert {name: weight for name, weight in task.weights.items() if weight} == WEIGHTS
    perception, planning = stages_of(config)
    assert {name: one for name, one in perception.weights(task.weights, 0.5).items() if one} == {
        name: one for name, one in WEIGHTS.items() if name.startswith(("agent_", "line_"))} and perception.method == "imitation"
    assert {name: one for name, one in planning.weights(task.weights, 0.0).items() if one} == WEIGHTS, "no ramp: all from the first step"
    assert config.lr == pytest.approx(4e-4) and config.lr * planning.rate == pytest.approx(3e-4)
    assert dict(config.sections["instance_imitation"])["instance_weight"] == 0.5
