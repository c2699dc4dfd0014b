"""The benchmark of the unified encoder: its recipe names what the networks have, and a tiny run of it gives a table by label."""

import json
from pathlib import Path

import pytest
import yaml
from support.bags import write_bag
from support.networks import smallest

from kd_planner_ros.cli.main import main
from kd_planner_ros.distill.config import stages_of
from kd_planner_ros.evaluation.benchmark.labels import by_label, markdown
from kd_planner_ros.evaluation.benchmark.outcomes import Outcome
from kd_planner_ros.evaluation.benchmark.plots import score_over_parameters
from kd_planner_ros.evaluation.benchmark.recipe import read_paper, read_recipe
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.benchmark.table import build_table
from kd_planner_ros.evaluation.benchmark.training import TrainingPaths, train_config
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.unified_encoder.stages import WARPED_BY
from kd_planner_ros.networks.unified_encoder.video_loss import COMPLETE, FINAL, RECORDED, RIGID
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.runtime.zoo import SEEN

SPEC = find_spec("unified_encoder")
RECIPE, PAPER = read_recipe(SPEC), read_paper(SPEC)
TAUGHT = read_recipe(SPEC, config_folder() / "benchmarks" / "unified_encoder" / "labels.yaml")


def config_of(model):
    return train_config(model, TrainingPaths((Path("bags"),), Path("models"), Path("runs"), Path("cache")), False)


def test_each_row_of_the_tables_is_trained_with_two_seeds():
    labels = [model.label for model in RECIPE.values()]
    assert list(SPEC.labels) == list(dict.fromkeys([*labels, *(model.label for model in TAUGHT.values())]))
    assert all(labels.count(label) == 2 for label in labels)
    for model in RECIPE.values():
        own = config_of(model).sections[model.network]
        assert (own["supervision"], own["input_height"], own["input_width"]) == ("self", 64, 192), model.name
        assert model.name.endswith(f"_{config_of(model).seed}")
    assert {model.teacher for model in RECIPE.values() if model.label == "distilled"} == {"separate_1", "separate_2"}


def test_the_stages_name_modules_and_losses_that_there_are():
    parts = {}
    for name in {model.network for model in RECIPE.values()}:
        network = find_network(name)
        parts[name] = {part for part, _ in network.build_model(smallest(network)).named_children()} | {"task", ""}
    for model in RECIPE.values():
        for stage in stages_of(config_of(model)):
            assert set(stage.prefixes()) <= parts[model.network], (model.name, stage.trained)
            if model.label in ("shared", "multi_scale"):
                assert {"flow", "motion"}.isdisjoint(stage.trained)
        by = [WARPED_BY.get(stage.name, FINAL) for stage in stages_of(config_of(model))]
        assert by == {"shared": [RECORDED, RIGID], "multi_scale": [RECORDED, RIGID], "segmentation": [FINAL]}.get(
            model.label, [RECORDED, RIGID, COMPLETE, FINAL, FINAL]), model.name


def test_labels_with_and_without_the_teacher_differ_in_the_teacher_alone():
    for seed in (1, 2):
        exact, taught = (config_of(TAUGHT[f"{kind}_{seed}"]) for kind in ("exact", "taught"))
        assert (exact.method, taught.method, Path(taught.teacher).name) == ("imitation", "scene_motion", "labels_teacher")
        alike = ("seed", "batch", "epochs", "lr", "schedule", "ema", "precision", "warm_start", "stages")
        assert all(getattr(exact, name) == getattr(taught, name) for name in alike)
        assert exact.seed == seed and exact.sections["unified_encoder"] == taught.sections["unified_encoder"]


def test_the_recipe_from_video_has_the_stages_of_its_row():
    recipe = yaml.safe_load((config_folder() / "recipes" / "unified_video.yaml").read_text())["stages"]
    row = json.loads(json.dumps(config_of(RECIPE["flow_mask_1"]).stages))
    assert recipe == [{key: value for key, value in stage.items() if key != "method"} for stage in row]


def test_a_row_has_no_figure_of_what_its_stages_never_train():
    """The decoders are there all the same, with the weights that they began with: their figures would be read as results."""
    for model in RECIPE.values():
        trained = {part for stage in stages_of(config_of(model)) for part in stage.trained}
        untaught = {name for name in ("depth", "motion") if not trained & {name, ""}}
        assert {f"outputs/{name}/" for name in untaught} == set(SPEC.labels[model.label].untaught), model.name
    figures = {figure.name: 0.5 for figure in SPEC.figures}
    outcomes = [Outcome(name, 0, "generated", "0", figures, 9) for name in ("segmentation_1", "flow_mask_1")]
    for one in build_table(SPEC, outcomes, {}, RECIPE, PAPER, "generated"):
        told = {name.split("/")[1] for name, value in one["mean"].items() if value is not None}
        assert ("depth" in told) == ("motion" in told) == (one["label"] == "flow_mask") and "classes" in told


def test_cards_get_the_figures_of_the_table_of_models():
    names = {figure.name for figure in SPEC.figures}
    assert {f"outputs/{name}" for name in SEEN.values()} <= names


def test_published_figures_stand_beside_the_rows_that_have_some():
    rows = {label: PAPER.figures(model.network, model.size, label, "generated") for model in RECIPE.values() for label in [model.label]}
    assert list(rows["distilled"].values()) == [0.106, 0.158, 0.888, 0.560, 0.286, 0.742]
    assert rows["segmentation"] == {"outputs/panoptic/pq": 0.558, "outputs/instances/ap": 0.284, "outputs/classes/mean_iou": 0.743}
    assert rows["separate"]["outputs/depth/median_scaled/abs_rel"] == 0.103 and not rows["shared"]
    lines = markdown(SPEC, [row(f"m{n}", "flow_mask", **{SPEC.figures[0].name: 0.2}) for n in range(2)])
    assert "| Abs Rel (paper) |" in lines[0] and "| 0.200 ± 0.000 (0.134) |" in lines[2] and "| - (0.183) |" in lines[2]
    assert not score_over_parameters(SPEC, [row("m", "shared") | {"parameters": 1}], PAPER, "town05"), "no label is a curve"


def row(model, label, **figures):
    return {"model": model, "label": label, "network": "n", "size": "s", "mean": {one.name: None for one in SPEC.figures} | figures,
            "paper": PAPER.figures("unified_encoder", "nano", label, "town05")}


def test_models_of_one_label_are_put_together():
    figure = SPEC.figures[0].name
    rows = [row("b1", "shared", **{figure: 0.3}), row("a1", "separate", **{figure: 0.2}), row("b2", "shared", **{figure: 0.5}),
            row("c", "")]
    first, second = by_label(SPEC, rows)
    assert (first["label"], first["models"], first["mean"][figure], first["std"][figure]) == ("separate", 1, 0.2, None)
    assert (second["models"], second["mean"][figure]) == (2, 0.4) and second["std"][figure] == pytest.approx(0.2 ** 0.5 / 10 ** 0.5)
    lines = markdown(SPEC, rows)
    assert lines[2].startswith("| separate encoders (the teacher) | n s | 1 | 0.200 |") and "| 2 | 0.400 ± 0.141 | - |" in lines[3]
    assert markdown(SPEC, rows[:2]) == []


@pytest.mark.slow
def test_a_tiny_run_writes_the_table_and_the_same_command_measures_nothing_again(tmp_path, capsys):
    write_bag(tmp_path / "bags" / "b", seconds=2.0, every=2)
    write_bag(tmp_path / "recordings" / "generated" / "c", seconds=1.0, every=2, rate=-0.2, town="generated:201")
    section = "unified_single_scale"
    options = ["size=tiny", "batch=4", "epochs=0.5", "validation_share=0.0", "precision=fp32", "threads=1", f"{section}.input_height=0",
               f"{section}.input_width=0", f"{section}.camera_x_m=-1.5", f"{section}.camera_z_m=2.0"]
    words = ["benchmark", "unified_encoder", "--suite", "generated", "--models", "shared_1", "shared_2", "--bags", str(tmp_path / "bags"),
             "--recordings-dir", str(tmp_path / "recordings"), "--out", str(tmp_path / "out"), "--models-dir", str(tmp_path / "models"),
             "--runs-dir", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"), "--train-device", "cpu", "--engine", "torch",
             "--latency-frames", "0", "--train-options", *options, "--json"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["model"] for one in result["rows"]] == ["shared_1", "shared_2"] and all(one["frames"] == 10 for one in result["rows"])
    assert all(one["mean"]["outputs/classes/mean_iou"] is not None for one in result["rows"])
    assert "| shared encoder | unified_single_scale tiny | 2 |" in (tmp_path / "out" / "labels.md").read_text()
    made = (tmp_path / "out" / "results" / "shared_1" / "seed_0.json").stat().st_mtime_ns
    assert main(words) == 0
    assert (tmp_path / "out" / "results" / "shared_1" / "seed_0.json").stat().st_mtime_ns == made
