"""The grid of DistillDrive: its rows differ in what their labels say, and every model can be trained as the recipe says."""

from pathlib import Path

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import stages_of
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.recipe import read_recipe
from kd_planner_ros.evaluation.benchmark.run import begin
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.benchmark.training import TrainingPaths, missing, train_config
from kd_planner_ros.networks.distilldrive.frozen_perception import FROZEN
from kd_planner_ros.networks.registry import find_network

SPEC = find_spec("distilldrive")
RECIPE = read_recipe(SPEC)
GRID = {"base": (False, False, False, False), "distilled": (True, False, False, False), "generative": (False, True, False, False),
        "reinforced": (False, False, True, False), "full": (True, True, True, False), "rules": (True, True, True, True)}


def paths(folder=Path("models")):
    return TrainingPaths((Path("bags"),), folder, Path("runs"), Path("cache"))


def config_of(model):
    return train_config(model, paths(), False)


def test_each_row_is_trained_with_three_seeds_and_drives_with_its_own():
    for label, (distilled, generative, reinforced, ruled) in GRID.items():
        rows = [model for model in RECIPE.values() if model.label == label]
        assert [(config_of(model).seed, model.traffic) for model in rows] == [(seed, seed) for seed in range(3)]
        for config in map(config_of, rows):
            own = config.options("distilldrive")
            assert (config.method == "instance_imitation") is distilled
            assert (own.generative, own.reinforcement != "off", own.rule_scores) == (generative, reinforced, ruled)
            assert own.frozen_perception and Path(str(config.warm_start)).name == "distilldrive_perception"
            (stage,) = stages_of(config)
            assert not any(stage.covers(name) for name in FROZEN)
    assert all(stage.covers(name) for name in FROZEN for stage in stages_of(config_of(RECIPE["distilldrive_perception"])))


def test_the_stages_name_modules_that_there_are():
    network = find_network("distilldrive")
    known = {name for name, _ in network.build_model(network.config({})).named_children()} | {"task"}
    assert all(set(stage.prefixes()) <= known for model in RECIPE.values() if model.network == "distilldrive"
               for stage in stages_of(config_of(model)))


def test_a_model_that_others_need_is_trained_and_is_no_row(tmp_path):
    run = begin(BenchmarkConfig("default-town", benchmark="distilldrive", models_dir=tmp_path))
    assert {"distilldrive_perception", "distilldrive_teacher"}.isdisjoint(run.wanted) and "constant_velocity" in run.wanted
    assert len(run.wanted) == 1 + 1 + 3 * len(GRID)
    names = [model.name for model in missing(run.wanted, run.recipe, paths(tmp_path))]
    assert names == [name for name in RECIPE if name != "ego_status_distilldrive"], "teacher and perception stand before the planners"
    assert (list(run.seeds("full_2")), list(run.seeds("constant_velocity"))) == ([2], [0, 1, 2])


def test_the_plans_of_the_same_models_are_compared_with_recordings(tmp_path):
    plans = find_spec("distilldrive_plans")
    assert plans.recipe == SPEC.recipe and set(plans.labels) == set(SPEC.labels)
    (tmp_path / "town05").mkdir()
    run = begin(BenchmarkConfig(benchmark="distilldrive_plans", recordings_dir=tmp_path, models_dir=tmp_path))
    assert "distilldrive_teacher" in run.wanted and list(run.seeds("full_2")) == [0]


def test_a_wrong_traffic_seed_is_named(tmp_path):
    (tmp_path / "recipe.yaml").write_text("models:\n  mine: {network: tcp, size: 3.1m, traffic: often}\n")
    with pytest.raises(ConfigError, match="'traffic' in model mine"):
        read_recipe(SPEC, tmp_path / "recipe.yaml")
