"""A benchmark is a file: PlanKD's, a second one by its path, one of another package; and what a broken file is told."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from support.bags import write_bag
from support.plugins import distribution

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import ConfigError, PluginError
from kd_planner_ros.core.plugins import BENCHMARKS
from kd_planner_ros.evaluation import open_loop
from kd_planner_ros.evaluation.benchmark import plots
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.recipe import Paper, read_recipe
from kd_planner_ros.evaluation.benchmark.run import begin
from kd_planner_ros.evaluation.benchmark.spec import benchmark_files, find_spec, load_yaml, read_spec
from kd_planner_ros.evaluation.open_loop import OpenLoopConfig
from kd_planner_ros.runtime.paths import config_folder

TINY = """\
title: Tiny
kind: open_loop
models: [constant_velocity]
suites: {arcs: {bags: arcs, options: {horizons: [0.5, 3.0]}}}
figures:
  l2_m/0.5: {text: error at 0.5 s, short: L2, digits: 2}
  l2_m/3: {text: error at 3 s, short: at3}
  steer_mae: {}
"""


OWN = {path.stem for path in (config_folder() / "benchmarks").glob("*.yaml")}


@pytest.fixture
def tiny(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_plankds_benchmark_is_what_it_was():
    spec = find_spec("plankd")
    assert spec.kind == "drive" and list(spec.suites) == ["town05-short", "town05-long", "default-town"]
    assert spec.paper_figures == ("driving_score", "route_completion", "infraction_score", "collision_rate_legacy",
                                  "infraction_rate_legacy")
    assert [figure.name for figure in spec.figures[5:]] == ["collision_rate_per_km", "infraction_rate_per_km", "completed"]
    assert spec.labels["no_attention"].text == "PlanKD w/o safe attention" and spec.command == "kd-planner benchmark plankd"
    run = begin(BenchmarkConfig("default-town"))
    assert run.folder == Path("runs/benchmark/default-town") and run.settings["routes_count"] == 10
    assert all(suite.options == {"roll_forward": False} for suite in spec.suites.values())  # as all tables and cards were driven


def test_a_second_benchmark_is_one_file(tiny, tmp_path, capsys):
    write_bag(tmp_path / "recordings" / "arcs" / "b", rate=0.2)
    words = ["benchmark", str(tiny), "--recordings-dir", str(tmp_path / "recordings"), "--out", str(tmp_path / "out"),
             "--latency-frames", "0", "--json"]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    result = json.loads(shown[-1])
    (row,) = result["rows"]
    assert result["benchmark"] == "tiny" and row["model"] == "constant_velocity" and row["seeds"] == [0] and row["plans"] == 16
    own = open_loop.run(OpenLoopConfig(tmp_path / "recordings" / "arcs", horizons=(0.5, 3.0)), progress=False)
    assert row["mean"] == {"l2_m/0.5": own["l2_m"]["0.5"], "l2_m/3": None, "steer_mae": own["steer_mae"]}  # its plans end after 2 s
    assert "L2" in shown[0] and "at3" in shown[0] and " - " in shown[1]
    (line,) = csv.DictReader((tmp_path / "out" / "table.csv").open())
    assert float(line["l2_m/0.5_mean"]) == row["mean"]["l2_m/0.5"] and line["plans"] == "16" and line["l2_m/3_mean"] == ""
    assert f"| constant_velocity |  | 1 | {own['l2_m']['0.5']:.2f} |  | - |" in (tmp_path / "out" / "table.md").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Tiny benchmark: arcs" in page and "error at 0.5 s" in page and "paper's number" not in page
    kept = (tmp_path / "out" / "results" / "constant_velocity" / "seed_0.json").stat().st_mtime_ns
    assert cli.main(words) == 0, "what is measured is kept"
    assert (tmp_path / "out" / "results" / "constant_velocity" / "seed_0.json").stat().st_mtime_ns == kept


def test_the_results_of_one_benchmark_are_not_taken_for_anothers(tiny, tmp_path, capsys):
    write_bag(tmp_path / "recordings" / "arcs" / "b", rate=0.2)
    words = ["--recordings-dir", str(tmp_path / "recordings"), "--out", str(tmp_path / "out"), "--latency-frames", "0"]
    assert cli.main(["benchmark", str(tiny), *words]) == 0
    other = tiny.with_name("other.yaml")
    other.write_text(TINY)
    assert cli.main(["benchmark", str(other), *words]) == 2
    assert "begun with (benchmark 'tiny')" in capsys.readouterr().err


def test_a_benchmark_of_another_package_is_found_by_its_name(tmp_path, monkeypatch, capsys):
    distribution(monkeypatch, tmp_path, "stranger", {BENCHMARKS: {"arcs": "stranger_b.benchmarks"}},
                 {"stranger_b/benchmarks/arcs.yaml": TINY})
    assert find_spec("arcs").title == "Tiny" and set(benchmark_files()) == {*OWN, "arcs"}
    distribution(monkeypatch, tmp_path, "broken", {BENCHMARKS: {"nothing": "broken_b"}}, {"broken_b/readme.txt": ""})
    assert set(benchmark_files()) == {*OWN, "arcs"}  # the rest works
    assert "distribution 'broken'" in capsys.readouterr().err
    with pytest.raises(PluginError, match="'nothing' .* from distribution 'broken' .*no file nothing.yaml"):
        find_spec("nothing")


def test_a_package_with_a_built_in_benchmarks_name_is_refused(tmp_path, monkeypatch):
    distribution(monkeypatch, tmp_path, "rival", {BENCHMARKS: {"plankd": "rival_b"}}, {"rival_b/plankd.yaml": TINY})
    with pytest.raises(PluginError, match="kd_planner_ros and rival"):
        find_spec("plankd")


@pytest.mark.parametrize("before, after, words", [
    ("kind: open_loop", "kind: openloop", "a kind out of drive, open_loop, cooperative, dense .*got 'openloop'"),
    ("kind: open_loop\n", "", "the key kind in .*got none of that name"),
    (TINY, "title: mine", r"the keys kind, suites, figures, recipe \(or models\) in .*add_a_benchmark.md"),
    ("models: [constant_velocity]\n", "", "'recipe' or 'models' .*neither"),
    ("title: Tiny", "titel: Tiny", "got 'titel'; correct it: 'title' is near"),
    ("digits: 2", "digit: 2", "'figures' l2_m/0.5 .*got 'digit'; correct it: 'digits' is near"),
    ("{bags: arcs,", "{", "'bags' of suite arcs"),
    ("suites:", "suites: [", "YAML in"),
])
def test_a_broken_file_is_one_line(tiny, before, after, words):
    tiny.write_text(TINY.replace(before, after))
    with pytest.raises(ConfigError, match=words):
        read_spec(tiny)


def test_options_and_figures_that_the_evaluation_lacks_are_named(tiny, tmp_path, capsys):
    write_bag(tmp_path / "recordings" / "arcs" / "b", rate=0.2)
    words = ["benchmark", str(tiny), "--recordings-dir", str(tmp_path / "recordings"), "--out", str(tmp_path / "o"),
             "--latency-frames", "0"]
    tiny.write_text(TINY.replace("horizons", "horizon"))
    assert cli.main(words) == 2 and "'horizons' is near" in capsys.readouterr().err
    tiny.write_text(TINY.replace("steer_mae", "steer_mea"))
    assert cli.main(words) == 2 and "got 'steer_mea'; correct it: steer_mae" in capsys.readouterr().err


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ConfigError, match="a benchmark out of .*plankd.*got 'plankb'; correct the name: 'plankd' is near"):
        find_spec("plankb")


@pytest.mark.parametrize("old, new", [("benchmark_plankd.yaml", "gpu"), ("benchmark_plankd_cpu.yaml", "cpu"),
                                      ("benchmark_plankd_turns_cpu.yaml", "turns_cpu"),
                                      ("benchmark_interfuser_cpu.yaml", "interfuser_cpu")])
def test_a_recipes_old_path_names_the_new_one(old, new, tmp_path):
    assert (config_folder() / "benchmarks" / "plankd" / f"{new}.yaml").is_file()
    with pytest.raises(ConfigError, match=f"got config/{old}; give config/benchmarks/plankd/{new}.yaml"):
        read_recipe(find_spec("plankd"), Path("config") / old)
    assert cli.main(["benchmark", "plankd", "--recipe", f"config/{old}", "--out", str(tmp_path)]) == 2


def test_a_network_that_the_file_does_not_name_is_drawn_too():
    row = {"model": "m", "network": "constant_velocity", "label": "", "size": "", "parameters": 1_000_000, "seeds": [0], "paper": {},
           "mean": {"driving_score": 50.0}, "std": {"driving_score": 0.0}}
    drawn = plots.score_over_parameters(find_spec("plankd"), [row, row | {"network": "tcp"}], Paper(), "default-town")
    assert "TCP, default-town" in drawn and "constant_velocity, default-town" in drawn


def test_a_recipe_that_has_moved_is_named(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cpu.yaml").touch()
    with pytest.raises(ConfigError, match="got no such file; use .*mine/cpu.yaml"):
        load_yaml(tmp_path / "cpu.yaml")
    with pytest.raises(ConfigError, match="got no such file; check the path"):
        load_yaml(tmp_path / "gpu.yaml")


def test_the_smallest_benchmark_of_the_guide_is_one(tmp_path):
    guide = Path(__file__).parents[3] / "docs" / "guides" / "add_a_benchmark.md"
    (text,) = re.findall(r"```yaml small.yaml\n(.*?)```", guide.read_text(), re.DOTALL)
    (tmp_path / "small.yaml").write_text(text)
    spec = read_spec(tmp_path / "small.yaml")
    assert spec.kind == "open_loop" and spec.models[0] == "constant_velocity" and spec.out == Path("runs/benchmark/small")
    write_bag(tmp_path / "recordings" / "mine" / "b", seconds=4.0)
    run = begin(BenchmarkConfig(benchmark=str(tmp_path / "small.yaml"), recordings_dir=tmp_path / "recordings", train=False))
    assert run.wanted == ["constant_velocity", "tcp64_7m6"]
