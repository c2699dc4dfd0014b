"""The grid of DistillDrive: its rows differ in what their labels say, and every model can be trained as the recipe says."""

from pathlib import Path

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill import recipes
from kd_planner_ros.distill.config import plain, stages_of
from kd_planner_ros.evaluation.benchmark.cards import put_on_card
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.recipe import read_recipe
from kd_planner_ros.evaluation.benchmark.run import begin
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.benchmark.training import TrainingPaths, missing, train_config
from kd_planner_ros.networks.distilldrive.frozen_perception import FROZEN
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.paths import config_folder, models_folder

SPEC = find_spec("distilldrive")
RECIPE = read_recipe(SPEC)
GRID = {"base": (False, False, False, False), "distilled": (True, False, False, False), "generative": (False, True, False, False),
        "reinforced": (False, False, True, False), "full": (True, True, True, False), "explicit": (True, True, True, False),
        "rules": (True, True, True, True)}


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
            if distilled:
                method = config.options("instance_imitation")
                assert (method.trajectory_weight > 0.0, method.distribution_weight > 0.0) == (label == "explicit",) * 2
            assert (own.generative, own.reinforcement != "off", own.rule_scores) == (generative, reinforced, ruled)
            assert own.frozen_perception and Path(str(config.warm_start)).name == "distilldrive_nano"
            (stage,) = stages_of(config)
            assert not any(stage.covers(name) for name in FROZEN)


def test_the_stages_name_modules_that_there_are():
    network = find_network("distilldrive")
    known = {name for name, _ in network.build_model(network.config({})).named_children()} | {"task"}
    assert all(set(stage.prefixes()) <= known for model in RECIPE.values() if model.network == "distilldrive"
               for stage in stages_of(config_of(model)))


def test_a_model_that_others_need_is_trained_and_is_no_row(tmp_path):
    run = begin(BenchmarkConfig("default-town", benchmark="distilldrive", models_dir=tmp_path))
    beside = {"constant_velocity", "tcp64_7m6", "tcp64_13m9_plankd_long", "ego_status_distilldrive", "distilldrive_history"}
    assert "distilldrive_teacher" not in run.wanted and beside <= set(run.wanted)
    assert len(run.wanted) == len(beside) + 3 * len(GRID)
    names = [model.name for model in missing(run.wanted, run.recipe, paths(tmp_path), store=run.store)]
    assert names == list(RECIPE), "teachers stand before the planners"
    assert (list(run.seeds("full_2")), list(run.seeds("constant_velocity"))) == ([2], [0, 1, 2])


def test_a_shipped_model_stands_beside_those_of_another_folder(tmp_path):
    run = begin(BenchmarkConfig("default-town", benchmark="distilldrive", models_dir=tmp_path))
    shipped = run.store.get("tcp64_7m6")
    assert shipped is not None and shipped.folder == models_folder() / "tcp64_7m6"
    row = {"model": "tcp64_7m6", "mean": {}, "std": {}, "seeds": [0], "drives": 1}
    assert not put_on_card(SPEC, row, "default-town", run.store, shipped.card.weights_sha256), "the package's card is not this folder's"
    assert begin(BenchmarkConfig("default-town", benchmark="distilldrive", models_dir=tmp_path)).store.get("base_0") is None


def test_a_teacher_trained_by_its_own_recipe_is_taken():
    name = "distilldrive_teacher"
    options = recipes.read_recipe(config_folder() / "recipes" / f"{name}.yaml") | {"epochs": 2.0}
    alone, ours = recipes.train_config(options, name=name, bags=(Path("bags"),)), config_of(RECIPE[name])
    assert recipes.differences(plain(alone.recipe | alone.length), plain(ours.recipe | ours.length)) == []


def test_the_lengths_fit_the_shared_recordings():
    """docs/notes/shared_recordings.md: 27,481 frames without the hidden hazards."""
    assert {27_481 * config_of(model).epochs for model in RECIPE.values() if model.label in GRID} == {27_481.0}


def test_the_plans_of_the_same_models_are_compared_with_recordings(tmp_path):
    plans = find_spec("distilldrive_plans")
    assert plans.recipe == SPEC.recipe and set(plans.labels) == set(SPEC.labels)
    (tmp_path / "town05_plans").mkdir()
    run = begin(BenchmarkConfig(benchmark="distilldrive_plans", recordings_dir=tmp_path, models_dir=tmp_path))
    assert "distilldrive_teacher" in run.wanted and list(run.seeds("full_2")) == [0]


def test_a_wrong_traffic_seed_is_named(tmp_path):
    (tmp_path / "recipe.yaml").write_text("models:\n  mine: {network: tcp, size: 3.1m, traffic: often}\n")
    with pytest.raises(ConfigError, match="'traffic' in model mine"):
        read_recipe(SPEC, tmp_path / "recipe.yaml")
