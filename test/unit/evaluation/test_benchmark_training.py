"""What the benchmark trains: teachers first, only what is missing, nothing that another recipe, teacher or start made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import views
from support.bags import write_bag
from support.views import write_views

from kd_planner_ros.core.card import ModelCard, read_card
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.distill.config import plain
from kd_planner_ros.distill.recipes import differences
from kd_planner_ros.evaluation.benchmark import training
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe, read_recipe
from kd_planner_ros.evaluation.benchmark.run import LEGACY_DEFAULTS, begin, run
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.run_folder import lock_settings
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.wire.topics import TRUTH_OBJECTS


@pytest.fixture
def paths(tmp_path) -> training.TrainingPaths:
    return training.TrainingPaths((tmp_path / "bags",), tmp_path / "models", tmp_path / "runs", tmp_path / "cache")


PLANKD = find_spec("plankd")
RECIPE = {"t": ModelRecipe("t", "tcp", "25.8m"), "s": ModelRecipe("s", "tcp", "3.1m", teacher="t"),
          "u": ModelRecipe("u", "tcp", "7.6m", teacher="t")}


def have(paths: training.TrainingPaths, *names: str, recipe=RECIPE, planned=None, start=None, finished=None, **changes) -> None:
    """Models, finished unless it is said, as their training would have left them."""
    for name in names:
        told = plain(training.train_config(recipe[name], paths, False).recipe) | changes
        teacher = {"teacher": {"sha256": f"weights of {recipe[name].teacher}"}} if recipe[name].teacher else {}
        card = ModelCard(name, "tcp", {}, f"weights of {name}", 1, training={
            "recipe": told, **teacher, **({"planned": planned} if planned else {}), **({"start": start} if start else {}),
            **({} if finished is None else {"finished": finished})})
        (paths.models_dir / name).mkdir(parents=True, exist_ok=True)
        (paths.models_dir / name / "card.json").write_text(card.to_json())



def test_teachers_come_first_and_only_what_is_missing_is_trained(paths):
    def wanted(*names):
        return [model.name for model in training.missing(names, RECIPE, paths)]

    assert wanted("u", "s", "constant_velocity", "expert") == ["t", "s", "u"]
    have(paths, "t", "s")
    assert wanted("u", "s") == ["u"]
    have(paths, "t", finished=False)  # its training was interrupted after the first validation had shipped weights
    assert wanted("u") == ["t", "u"]
    have(paths, "t")
    (paths.models_dir / "t" / training.UNFINISHED).write_text("")  # the same, before cards said so
    assert wanted("u") == ["t", "u"]
    with pytest.raises(ConfigError, match="'nobody'.*--models"):
        wanted("nobody")


def test_a_model_that_others_start_from_is_trained_before_them(paths):
    recipe = {"start": ModelRecipe("start", "tcp", "7.6m"), "t": ModelRecipe("t", "tcp", "25.8m", warm_start="tcp64_7m6"),
              "s": ModelRecipe("s", "tcp", "13.9m", teacher="t", warm_start="start")}
    assert [model.name for model in training.missing(("s",), recipe, paths)] == ["start", "t", "s"]
    assert training.train_config(recipe["s"], paths, False).warm_start == paths.models_dir / "start"
    shipped = training.train_config(recipe["t"], paths, False).warm_start
    assert (shipped / "card.json").is_file() and shipped.name == "tcp64_7m6"


@pytest.mark.parametrize("name, others, start", [
    ("cpu", ("tcp64_7m6_start", "tcp64_25m8"), "tcp64_7m6_start"), ("interfuser_cpu", ("if128_11m7",), "tcp64_7m6")])
def test_the_recipes_for_two_cores_give_every_student_the_same(paths, name, others, start):
    recipe = read_recipe(PLANKD, config_folder() / "benchmarks" / "plankd" / f"{name}.yaml")
    students = [model for model in recipe.values() if model.name not in others and not model.name.endswith("_long")]
    longer = [model for model in recipe.values() if model.name.endswith("_long")]
    assert {(model.size, model.label) for model in students if model.label} == {
        (model.size, model.label) for model in read_recipe(PLANKD).values()
        if model.network == students[0].network and model.label != "teacher"}
    switches = {f"plankd.{name}" for name in ("entropy", "safe_attention", "bottleneck", "teacher_waypoints", "pretrain_bottleneck",
                                              "bev_detail")}
    for alike in (students, longer):
        assert all({k: v for k, v in model.options.items() if k not in switches} == alike[0].options
                   and model.warm_start == start for model in alike)
    assert [model.name for model in training.missing(list(recipe), recipe, paths)] == list(recipe)
    assert not set(recipe) & set(read_recipe(PLANKD))  # a model of one recipe is never taken for one of the other
    for model in recipe.values():
        training.train_config(model, paths, False)


def test_each_row_of_v2x_vlms_sensitivity_changes_one_thing(paths):
    rows = read_recipe(find_spec("v2x"), config_folder() / "benchmarks" / "v2x" / "sensitivity.yaml")
    told = {name: plain(training.train_config(row, paths, False).recipe) for name, row in rows.items()}
    assert not set(rows) & set(read_recipe(find_spec("v2x"))), "a model of one recipe would be taken for one of the other"
    base, alone = "v2x_vlm_tokens_1", "v2x_vlm_tokens_no_distillation_1"
    kinds = "v2x_vlm_tokens_temperature", "v2x_vlm_tokens_distillation", "v2x_vlm_tokens_alignment"
    changed = {name: differences(told[base], told[name]) for name in rows if name.startswith(kinds)}
    assert set(map(tuple, changed.values())) == {("logits.temperature",), ("logits.weight",), ("stages",)} and len(changed) == 7
    assert differences(told[alone], told["v2x_vlm_tokens_text_1"]) == ["v2x_vlm.caption"]
    assert len({rows[name].label for name in changed}) == 7, "models of one label count as seeds of one"
    assert told["v2x_vlm_tokens_text_1"]["v2x_vlm"]["caption"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_v2x_vlms_tokens_differ_in_distillation_or_alignment_alone(paths, seed):
    rows = {name: row for name, row in read_recipe(find_spec("v2x")).items() if name.endswith(f"_{seed}")}
    told = {name.removeprefix("v2x_vlm_lists_"): plain(training.train_config(row, paths, False).recipe) for name, row in rows.items()}
    both = f"tokens_{seed}"
    assert told[both]["seed"] == seed and {row.warm_start for row in rows.values()} == {"v2x_vlm_nano"}
    assert {rows[f"v2x_vlm_lists_{name}"].method for name in (both, f"no_alignment_{seed}")} == {"logits"}
    assert rows[f"v2x_vlm_lists_no_distillation_{seed}"].method == "imitation"
    assert set(differences(told[both], told[f"no_alignment_{seed}"])) == {"stages", "v2x_vlm.align"}
    without = {name.split(".")[0] for name in differences(told[both], told[f"no_distillation_{seed}"])}
    assert without <= {"logits", "method", "teacher", "teacher_cache"}


def test_a_model_of_another_recipe_or_teacher_is_not_taken_for_this_one(paths):
    have(paths, "t", "s")
    assert training.missing(("s",), RECIPE, paths) == []
    have(paths, "s", lr=0.5)
    with pytest.raises(ConfigError, match="models/s trained as the recipe says; got other lr;.*--models-dir"):
        training.missing(("s",), RECIPE, paths)
    have(paths, "s")
    card = read_card(paths.models_dir / "t")
    (paths.models_dir / "t" / "card.json").write_text(replace(card, weights_sha256="retrained").to_json())
    with pytest.raises(ConfigError, match="other weights of the teacher"):
        training.missing(("s",), RECIPE, paths)


def test_a_model_trained_for_another_length_is_not_taken_for_this_one(paths):
    have(paths, "t", planned={"epochs": 0.01, "max_minutes": 0.0})
    with pytest.raises(ConfigError, match="got other epochs;.*--models-dir"):
        training.missing(("t",), RECIPE, paths)
    have(paths, "t", planned={"epochs": 30.0, "max_minutes": 0.0})
    assert training.missing(("t",), RECIPE, paths) == []


def test_a_training_that_was_meant_for_another_length_goes_on_and_one_of_another_recipe_does_not(paths):
    have(paths, "t", planned={"epochs": 0.01, "max_minutes": 0.0}, finished=False)
    assert training.missing(("t",), RECIPE, paths) == [RECIPE["t"]]
    have(paths, "t", finished=False, lr=0.5)
    with pytest.raises(ConfigError, match="models/t trained as the recipe says; got other lr"):  # it would be overwritten
        training.missing(("t",), RECIPE, paths)


def test_a_model_that_is_not_finished_does_not_drive(paths, tmp_path):
    have(paths, "t", finished=False)
    with pytest.raises(ConfigError, match="the models t in .*models; got no finished weights; train them"):
        run(BenchmarkConfig(suite="default-town", out=tmp_path / "out", models=("t",), models_dir=paths.models_dir, train=False,
                            recipe=write_recipe(tmp_path)))
    with pytest.raises(ConfigError, match="a finished model 't' in .*; got one with interrupted training; .*--name t"):
        training.missing(("t",), {}, paths)


def write_recipe(folder: Path) -> Path:
    """A file with one model, ``t``."""
    path = folder / "recipe.yaml"
    path.write_text("models: {t: {network: tcp, size: 25.8m}}")
    return path


def test_a_student_whose_teacher_would_be_trained_behind_it_is_refused(paths):
    have(paths, "s")
    with pytest.raises(ConfigError, match="a finished teacher model 't' for 's' in .*models; got none; train 't' first"):
        training.missing(("s", "u"), RECIPE, paths)
    assert [model.name for model in training.missing(("s", "u"), RECIPE, paths, train=False)] == ["t", "u"]  # s drives as it is


def test_a_model_begun_as_another_is_not_taken_for_this_one(paths):
    recipe = {"t": RECIPE["t"], "v": ModelRecipe("v", "tcp", "7.6m", warm_start="t")}
    have(paths, "t")
    have(paths, "v", recipe=recipe, start={"sha256": "weights of t"})
    assert training.missing(("v",), recipe, paths) == []
    have(paths, "v", recipe=recipe, start={"sha256": "others"})
    with pytest.raises(ConfigError, match="other weights of the start"):
        training.missing(("v",), recipe, paths)


def test_each_network_has_its_own_recordings(paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a=b").mkdir()
    paths = replace(paths, bags=(Path("both"), Path("tcp=front"), Path("interfuser=views"), Path("a=b")))
    with pytest.raises(ConfigError, match="a folder behind --bags tcp="):
        replace(paths, bags=(Path("tcp="),)).bags_of("tcp")
    assert paths.bags_of("tcp") == (Path("both"), Path("front"), Path("a=b"))
    assert paths.bags_of("interfuser") == (Path("both"), Path("views"), Path("a=b"))
    paths = replace(paths, bags=(Path("tcp=front"),))
    assert training.train_config(RECIPE["t"], paths, False).bags == (Path("front"),)
    with pytest.raises(ConfigError, match="to train i from; got no --bags for their network"):
        training.prepare([ModelRecipe("i", "interfuser", "3.8m")], paths, False)


@pytest.mark.parametrize("bag, named", [("tpc=folder", "tpc"), ("constant_velocity=folder", "constant_velocity"), ("a=b", "a")])
def test_recordings_for_an_unknown_network_are_refused(paths, bag, named):
    with pytest.raises(ConfigError, match=f"a network out of .*interfuser, tcp.*; got '{named}' in '{bag}'; correct"):
        replace(paths, bags=(Path(bag),)).bags_of("tcp")


def test_recordings_of_another_rig_are_refused_before_the_first_training(paths, monkeypatch):
    models = [RECIPE["t"], ModelRecipe("i", "interfuser", "3.8m"), ModelRecipe("j", "interfuser", "3.8m")]
    write_bag(paths.bags[0] / "b", leave_out="route")  # one camera
    with pytest.raises(BagError, match="/global_plan in .* for 't' of network tcp; got no such topic; record the route"):
        training.prepare(models, paths, progress=False)
    paths = replace(paths, bags=(paths.bags[0].with_name("front"),))
    write_bag(paths.bags[0] / "b")
    with pytest.raises(BagError, match="/left/image, /carla/ego_vehicle/right/image, /carla/ego_vehicle/lidar in .* for 'i' of network "
                                       "interfuser; got no such topic; .*the cameras front and the LiDARs none"):
        training.prepare(models, paths, progress=False)
    paths = replace(paths, bags=(paths.bags[0].with_name("views"),))
    write_views(paths.bags[0] / "b", leave_out="objects")
    with pytest.raises(BagError, match=f"expected {TRUTH_OBJECTS} in .* for 'i' of"):
        training.prepare(models, paths, progress=False)
    taught = ModelRecipe("p", "tcp", "3.1m", "plankd", teacher="t")
    with pytest.raises(BagError, match=f"expected {TRUTH_OBJECTS} or .* for 'p' of network tcp; got neither; .*--plankd.no-safe-attention"):
        training.prepare([RECIPE["t"], taught], paths, progress=False)
    paths = replace(paths, bags=(paths.bags[0].with_name("wide"),))
    monkeypatch.setattr(views, "WIDTH", 128)
    write_views(paths.bags[0] / "b")
    with pytest.raises(ConfigError, match="4:3 for 'i' of network interfuser"):
        training.prepare(models, paths, progress=False)
    assert not paths.models_dir.exists()


def test_a_benchmark_begun_before_its_device_was_written_down_goes_on_with_the_usual_one(tmp_path):
    begun = BenchmarkConfig(suite="default-town", out=tmp_path / "out")
    path = begun.out / "benchmark.json"
    path.parent.mkdir()
    facts = begin(begun).settings
    path.write_text(json.dumps({name: value for name, value in facts.items() if name not in ("device", "engine", "benchmark", "options")}))
    lock_settings(path, facts, "benchmark", LEGACY_DEFAULTS)
    with pytest.raises(ConfigError, match=r"begun with .engine 'auto'.; got engine 'torch'"):
        run(replace(begun, engine="torch", models=("constant_velocity",)))
    path.write_text("[]")
    with pytest.raises(ConfigError, match="begun with"):
        lock_settings(path, facts, "benchmark", LEGACY_DEFAULTS)


def test_a_device_that_is_not_there_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ConfigError, match="device"):
        run(BenchmarkConfig(suite="default-town", out=tmp_path / "out", device="toaster", models=("constant_velocity",)))
    assert not (tmp_path / "out").exists()


def test_scores_of_a_part_of_the_suite_stay_off_the_cards():
    with pytest.raises(ConfigError, match="--cards with the suite's own routes and traffic; got --route-ids, --vehicles"):
        run(BenchmarkConfig(cards=True, route_ids=("8",), vehicles=0))


def test_an_interrupted_training_goes_on_at_the_next_call(paths):
    recipe = {"t": RECIPE["t"], "v": ModelRecipe("v", "tcp", "3.1m", options={"weight_decay": 0.5})}
    begun = []

    def train(config):
        begun.append(config.name)
        have(paths, config.name, recipe=recipe, finished=len(begun) != 1)
        return SimpleNamespace(finished=len(begun) != 1)

    with pytest.raises(KeyboardInterrupt):
        training.train_all(training.prepare(training.missing(("t", "v"), recipe, paths), paths, False, False), train)
    assert begun == ["t"]
    (paths.models_dir / "t" / training.UNFINISHED).write_text("")  # an older version's word for it goes too
    training.train_all(training.prepare(training.missing(("t", "v"), recipe, paths), paths, False, False), train)
    assert begun == ["t", "t", "v"] and training.missing(("t", "v"), recipe, paths) == []


def test_options_of_the_recipe_and_of_the_command_reach_the_training(paths):
    import dataclasses

    paths = dataclasses.replace(paths, options=("epochs=0.5", "augment=false"))
    config = training.train_config(ModelRecipe("m", "tcp", "3.1m", options={"epochs": 9, "batch": 4}), paths, False)
    assert (config.epochs, config.batch, config.augment, config.size, config.name) == (0.5, 4, False, "3.1m", "m")
    assert config.models_dir == paths.models_dir and config.bags == paths.bags
    with pytest.raises(ConfigError, match="training options in the recipe of m; got colour"):
        training.train_config(ModelRecipe("m", "tcp", "3.1m", options={"colour": "red"}), paths, False)
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        training.train_config(ModelRecipe("m", "tcp", "3.1m"), dataclasses.replace(paths, options=("epochs",)), False)
    with pytest.raises(ConfigError, match="no --bags"):
        training.prepare([RECIPE["t"]], dataclasses.replace(paths, bags=()), False)


def test_train_options_take_the_names_of_the_command_line(paths):
    model = ModelRecipe("s", "tcp", "3.1m", method="plankd", teacher="t")
    config = training.train_config(model, replace(paths, options=("plankd.entropy=false", "plankd.rank-loss=paper", "lr=0.5")), False)
    assert (config.options("plankd").entropy, config.options("plankd").rank_loss, config.lr) == (False, "paper", 0.5)
    with pytest.raises(ConfigError, match="plankd.entropy in --train-options; got the old name use_entropy"):
        training.train_config(model, replace(paths, options=("use-entropy=false",)), False)


def test_common_options_of_a_recipe_reach_the_models_that_they_concern(paths):
    options = {"plankd.rank_loss": "paper", "tcp": {"input_height": 64}, "epochs": 1}
    plain = training.train_config(ModelRecipe("m", "tcp", "3.1m", options=options), paths, False)
    assert plain.sections == {"tcp": {"input_height": 64}}
    taught = training.train_config(ModelRecipe("m", "tcp", "3.1m", "plankd", "t", options=options), paths, False)
    assert taught.options("plankd").rank_loss == "paper" and taught.options("tcp").input_height == 64


def test_a_card_with_a_flat_recipe_is_compared_with_a_nested_one(paths):
    """As cards were written before sections: every field flat, later ones only where they were not the default."""
    recipe = {"s": ModelRecipe("s", "tcp", "3.1m", "plankd", "t", options={"tcp.input_height": 64, "tcp.input_width": 224})}
    config = training.train_config(recipe["s"], paths, False)
    nested = config.recipe
    flat = {name: value for name, value in nested.items() if name not in ("tcp", "plankd", "optimiser", "init", "warm_start")}
    flat |= {"input_height": 64, "input_width": 224, "states_weight": 0.0, "use_entropy": True, "use_bottleneck": True,
             "rank_loss": "margin"}
    assert differences(flat, nested) == []
    assert differences(flat | {"use_entropy": False, "input_width": 448}, nested) == ["plankd.entropy", "tcp.input_width"]
    assert differences(flat | {"front_px": 128}, nested) == []  # another network's field was once in every recipe


@pytest.mark.parametrize(("changes", "words"), [
    ({"route_ids": ("1000-0", "none_such")}, "--route-ids out of 1000-0, 1000-1; got none_such"),
    ({"train_options": ("input_height=64",)}, "tcp.input_height in --train-options; got the old name input_height"),
    ({"train_options": ("lr",)}, "NAME=VALUE"), ({"train_options": ("lr=[",)}, "a value for lr in --train-options")])
def test_what_cannot_be_is_refused_before_anything_is_claimed_or_trained(tmp_path, changes, words):
    config = BenchmarkConfig("default-town", tmp_path / "out", routes_count=2, models=("constant_velocity",), train=False, **changes)
    with pytest.raises(ConfigError, match=words):
        run(config, train=lambda config: pytest.fail("something was trained"))
    assert not (tmp_path / "out").exists()
