"""The benchmark's arithmetic and files from hand-made records: the worked examples, means, the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.bags import write_bag
from support.networks import write_card

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.benchmark import models, report, training
from kd_planner_ros.evaluation.benchmark.cards import put_on_card
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.models import ModelFacts, ModelStore
from kd_planner_ros.evaluation.benchmark.outcomes import Outcome
from kd_planner_ros.evaluation.benchmark.recipe import read_paper, read_recipe
from kd_planner_ros.evaluation.benchmark.run import run
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.benchmark.suites import find_suite, recorded_in
from kd_planner_ros.evaluation.benchmark.table import build_table, flat_columns, flatten
from kd_planner_ros.evaluation.score import INFRACTIONS, RouteRecord
from kd_planner_ros.networks.interfuser.config import SMALL_INPUTS
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.store import load_model, save_model

SHORT_M = 70.7107
PLANKD = find_spec("plankd")


def record(index: int, completion: float = 100.0, penalty: float = 1.0, **events: int) -> RouteRecord:
    kinds = {kind: ["x"] * events.get(kind, 0) for kind in INFRACTIONS}
    return RouteRecord(f"RouteScenario_{index}_rep0", index, "Completed", completion, penalty, kinds, 80.0, SHORT_M,
                       30.0, 0.0, 0, "Town05")


def short(first: RouteRecord) -> tuple[RouteRecord, ...]:
    """Ten routes of Town05 Short, all clean but the first."""
    return (first, *(record(index) for index in range(1, 10)))


def rows_of(*outcomes: Outcome, suite: str = "town05-short", facts=None):
    return build_table(PLANKD, outcomes, facts or {}, read_recipe(PLANKD), read_paper(PLANKD), suite)


def test_one_collision_on_one_completed_short_route_is_0_141():
    one = Outcome.of_drives("tcp_25m8", 0, "town05-short", "", short(record(0, 100.0, 0.5, collisions_pedestrian=1)))
    (row,) = rows_of(one)
    assert round(row["mean"]["collision_rate_legacy"], 3) == 0.141
    assert row["mean"]["infraction_score"] == pytest.approx(0.950)  # the paper's InterFuser teacher
    assert row["mean"]["collision_rate_per_km"] == pytest.approx(1 / (10 * 0.080))
    assert row["mean"]["infraction_rate_legacy"] == 0.0


def test_the_paper_row_of_93_70():
    """26.3M + PlanKD: 0.207 per km legacy means 68.3 % of that route, so DS = 96.43 - 0.4 * 6.83."""
    routes = (record(0, 68.3, 0.6, collisions_vehicle=1), record(1, 96.0), *(record(index) for index in range(2, 10)))
    (row,) = rows_of(Outcome.of_drives("interfuser_26m3", 0, "town05-short", "", routes))
    assert row["mean"]["route_completion"] == pytest.approx(96.43)
    assert row["mean"]["driving_score"] == pytest.approx(93.70, abs=0.005)
    assert round(row["mean"]["collision_rate_legacy"], 3) == 0.207


def test_mean_and_deviation_are_over_seeds():
    outcomes = [Outcome.of_drives("tcp_3m1_plankd", seed, "town05-short", "", short(record(0, completion)))
                for seed, completion in ((0, 100.0), (1, 70.0), (2, 40.0))]
    (row,) = rows_of(*outcomes)
    assert row["mean"]["driving_score"] == pytest.approx(97.0) and row["std"]["driving_score"] == pytest.approx(3.0)
    assert row["seeds"] == [0, 1, 2] and row["drives"] == 30
    (alone,) = rows_of(outcomes[0])
    assert alone["std"]["driving_score"] == 0.0


def test_rows_stand_beside_the_papers_and_in_the_recipes_order():
    names = ["mine", "tcp_13m9_plankd", "tcp_25m8", "interfuser_26m3", "tcp_13m9_no_entropy"]
    outcomes = [Outcome.of_drives(name, 0, "town05-short", "", short(record(0))) for name in names]
    outcomes.append(Outcome.of_drives("tcp_25m8", 0, "town05-long", "", short(record(0))))
    rows = rows_of(*outcomes)
    assert [row["model"] for row in rows] == ["tcp_25m8", "tcp_13m9_plankd", "tcp_13m9_no_entropy", "interfuser_26m3",
                                              "mine"]
    assert [row["paper"].get("driving_score") for row in rows] == [95.53, 95.49, 78.59, 82.70, None]
    assert rows[0]["drives"] == 10  # the other suite's outcome is not mixed in
    (long,) = rows_of(*outcomes, suite="town05-long")
    assert long["paper"] == dict(zip(PLANKD.paper_figures, (53.41, 100.0, 0.534, 0.076, 0.115)))


def test_the_papers_file_has_every_row_of_its_tables():
    paper = read_paper(PLANKD)
    assert len(paper.results) == 14 + 12 and len(paper.costs) == 8
    assert {key[2] for key in paper.results} == set(PLANKD.labels)
    assert all(set(row) == {"town05-long", "town05-short"} for row in paper.results.values())
    assert paper.figures("tcp", "3.1m", "plankd", "town05-short")["infraction_score"] == 0.960
    assert paper.figures("tcp", "3.1m", "at", "town05-short") == {}


def test_the_recipe_has_what_the_paper_compares():
    recipe = read_recipe(PLANKD)
    tcp = {(model.size, model.label) for model in recipe.values() if model.network == "tcp"}
    assert tcp == {("25.8m", "teacher"), *((size, label) for size in ("13.9m", "7.6m", "3.1m") for label in
                                           ("imitation", "plankd")),
                   *(("13.9m", label) for label in list(PLANKD.labels)[3:])}
    assert {(model.size, model.label) for model in recipe.values() if model.network == "interfuser"} == {
        ("26.3m", "teacher"), ("3.8m", "imitation"), ("3.8m", "plankd")}
    paths = training.TrainingPaths((Path("bags"),), Path("models"), Path("runs"), Path("cache"))
    configs = {model.name: training.train_config(model, paths, False) for model in recipe.values()}
    assert not configs["tcp_13m9_no_entropy"].options("plankd").entropy and configs["tcp_13m9_plankd"].options("plankd").entropy
    assert configs["tcp_13m9_at"].method == "at" and Path(configs["tcp_13m9_at"].teacher) == Path("models/tcp_25m8")
    students = [model for model in recipe.values() if model.method not in ("", "imitation")]
    assert all(model.teacher for model in students)
    inputs = {(model.network, model.options.get("tcp.input_height"), model.options.get("tcp.input_width"))
              for model in recipe.values()}
    assert len(inputs) == 2  # one input size a network, or a teacher would not fit


def test_the_report_holds_the_numbers(tmp_path):
    facts = {"tcp_25m8": ModelFacts("tcp_25m8", "tcp", "25.8m", "ab", 25_768_065, 17_010_000_000, 1.083, 17.93, "torch"),
             "tcp_13m9_plankd": ModelFacts("tcp_13m9_plankd", "tcp", "13.9m", "cd", 13_915_201, 8_420_000_000)}
    rows = rows_of(*(Outcome.of_drives(name, seed, "town05-short", "", short(record(0, 100.0 - 30 * seed)))
                     for name in facts for seed in (0, 1)), facts=facts)
    facts = {"suite": "town05-short", "vehicles": 120}
    page = report.write_report(tmp_path, PLANKD, rows, read_paper(PLANKD), facts, ["tcp_7m6_plankd"])
    text = page.read_text()
    for words in ("98.50 ± 2.12", "95.49", "25.77 M", "17.01 G", "17.9", "120 vehicles", "tcp_7m6_plankd", "PlanKD"):
        assert words in text
    assert text.count("<svg") == 2
    (first, _) = csv.DictReader((tmp_path / "table.csv").open())
    assert list(first) == flat_columns(PLANKD) == list(csv.reader((tmp_path / "table.csv").open()).__next__())
    assert float(first["driving_score_mean"]) == pytest.approx(98.5) and first["paper_driving_score"] == "95.53"
    assert json.loads((tmp_path / "table.json").read_text())["rows"][0]["macs"] == 17_010_000_000
    head, _, teacher, _ = (tmp_path / "table.md").read_text().splitlines()
    assert head.count("|") == teacher.count("|") and "98.50 ± 2.12" in teacher and "25.77 M" in teacher and "1.08" in teacher
    before = text
    report.write_report(tmp_path, PLANKD, rows, read_paper(PLANKD), facts, ["tcp_7m6_plankd"])
    assert page.read_text() == before
    assert "busy machine" not in text and flatten(PLANKD, rows[1])["latency_ms"] == "" and "25.77" in report.lines(PLANKD, rows)[1]


def test_the_papers_costs_stand_beside_its_own_input_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_costs", lambda *_: {})  # counting takes seconds
    paths = {}
    for name, network, size, fields in (("small", "tcp", "3.1m", {"input_height": 64, "input_width": 224}), ("papers", "tcp", "3.1m", {}),
                                        ("views", "interfuser", "3.8m", {}), ("views128", "interfuser", "3.8m", SMALL_INPUTS)):
        found = find_network(network)
        config = found.config({"size": size, **fields})
        save_model(tmp_path / name, network, config, found.build_model(config).state_dict())
        paths[name] = tmp_path / "facts" / f"{name}.json"

    def facts():
        return {name: models.model_facts(name, ModelStore(tmp_path), path, 0, "cpu", "torch") for name, path in paths.items()}

    measured = facts()
    for path in paths.values():  # files from before it was kept
        path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "papers_input"}))
    assert facts() == measured
    rows = rows_of(*(Outcome.of_drives(name, 0, "town05-short", "", short(record(0))) for name in paths), facts=measured)
    costs = {row["model"]: (row["paper_ms"], row["paper_gflops"]) for row in rows}
    assert costs == {"small": (None, None), "papers": (7.2, 2.67), "views": (17.2, 7.21), "views128": (None, None)}
    report.write_report(tmp_path, PLANKD, rows, read_paper(PLANKD), {"suite": "town05-short", "vehicles": 120}, [])
    found = {row["model"]: (row["paper_ms"], row["paper_gflops"]) for row in csv.DictReader((tmp_path / "table.csv").open())}
    assert found["papers"] == ("7.2", "2.67") and found["small"] == found["views128"] == ("", "")
    assert {row["model"]: row["paper_ms"] for row in json.loads((tmp_path / "table.json").read_text())["rows"]}["small"] is None
    ends = {line.split(" | ")[0].strip("| "): line.split(" | ")[-1].strip(" |") for line in report.markdown(PLANKD, rows)}
    assert ends["papers"] == "7.2" and ends["small"] == ends["views128"] == ""
    text = (tmp_path / "report.html").read_text()
    assert text.count(">7.2<") == text.count(">17.2<") == 1


def test_a_latency_taken_on_a_busy_machine_says_so_and_is_taken_again(tmp_path, monkeypatch):
    from kd_planner_ros.networks.registry import find_network
    from kd_planner_ros.runtime.store import save_model

    network = find_network("tcp")
    config = network.config({"size": "3.1m", "input_height": 32, "input_width": 64})
    save_model(tmp_path / "small", "tcp", config, network.build_model(config).state_dict(), {}, {})

    def facts(load: float, **more):
        monkeypatch.setattr(models.os, "getloadavg", lambda: (load, 0.0, 0.0))
        return models.model_facts("small", ModelStore(tmp_path), tmp_path / "facts" / "small.json", 2, "cpu", "torch", **more)

    busy = facts(99.0)
    assert busy.busy and busy.macs < 1e9 and busy.latency_ms > 0.0
    assert facts(0.0) == busy  # between drives nothing is measured again
    quiet = facts(0.0, again_if_busy=True)
    assert not quiet.busy and facts(99.0, again_if_busy=True) == quiet
    (row,) = rows_of(Outcome.of_drives("small", 0, "town05-short", "", short(record(0))), facts={"small": busy})
    page = report.write_report(tmp_path, PLANKD, [row], read_paper(PLANKD), {"suite": "town05-short", "vehicles": 120}, [])
    assert "(busy machine)" in page.read_text()


def test_the_scores_are_put_on_the_card_of_the_weights_that_drove(tmp_path):
    config = find_network("tcp").config({"size": "3.1m", "input_height": 32, "input_width": 64})
    model = find_network("tcp").build_model(config)
    card = save_model(tmp_path / "mine", "tcp", config, model.state_dict(), scores={"validation": {"l2_m": 1.0}})
    (row,) = rows_of(*(Outcome.of_drives("mine", seed, "town05-short", card.weights_sha256, short(record(0))) for seed in (0, 1)))
    assert not put_on_card(PLANKD, row, "town05-short", ModelStore(tmp_path), "other weights")
    assert not put_on_card(PLANKD, {**row, "model": "nobody"}, "town05-short", ModelStore(tmp_path), "")
    assert put_on_card(PLANKD, row, "town05-short", ModelStore(tmp_path), card.weights_sha256)
    scores = read_card(tmp_path / "mine").scores
    assert scores["validation"] == {"l2_m": 1.0}
    found = scores["closed_loop_town05_short"]
    assert found["seeds"] == [0, 1] and found["routes"] == 10 and "--seeds 2" in found["command"]
    assert found["driving_score"] == pytest.approx(row["mean"]["driving_score"], abs=1e-3) and found["std"]["driving_score"] == 0
    load_model(tmp_path / "mine")  # card and weights still fit


# --- bad input ------------------------------------------------------------------------------------------------------

def test_missing_files_say_which_option_to_give(tmp_path):
    with pytest.raises(ConfigError, match="a map of Town05 in .*--maps-dir"):
        find_suite(PLANKD, "town05-short", tmp_path, tmp_path)
    (tmp_path / "Town05.xodr").write_text("")
    with pytest.raises(ConfigError, match="town05_long.xml.*--routes-dir"):
        find_suite(PLANKD, "town05-long", tmp_path, tmp_path)
    assert find_suite(PLANKD, "default-town", tmp_path, tmp_path).map == "default"


@pytest.mark.parametrize("text, words", [
    ("models: [", "YAML in"), ("{}", "'models' in"), ("models: {a: {size: 3.1m}}", "network and size of model a"),
    ("models: {a: {network: tcp, size: 3.1m, label: best}}", "a label out of"),
    ("models: {a: {network: tcp, size: 3.1m, warm_start: a}}", "a start of a"),
    ("models: {a: {network: tcp, size: 3.1m, teacher: b}, b: {network: tcp, size: 25.8m}}", "a teacher of a"),
])
def test_broken_recipes_are_named(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_recipe(PLANKD, path)


@pytest.mark.parametrize("seen, words", [("Town05", "Town01, Town05"), ("Carla/Maps/Town05_Opt", "Town01, Town05"),
                                         ("", "a map without a name, Town01")])
def test_a_model_that_has_seen_the_town_is_refused(tmp_path, seen, words):
    folder = tmp_path / "m"
    folder.mkdir()
    card = {"name": "m", "network": "tcp", "config": {}, "weights_sha256": "0", "parameters": 1, "card_version": 1,
            "training": {"teacher": {"training": {"data": {"maps": ["Town01", seen]}}}}}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match=f"has not seen Town05; got .m., trained on {words}; .*--allow-leak"):
        models.require_unseen("m", ModelStore(tmp_path), "Town05")
    with pytest.raises(ConfigError, match="has not seen generated:201 or Town05; got .m."):
        models.require_unseen("m", ModelStore(tmp_path), "generated:201 Town05")
    models.require_unseen("m", ModelStore(tmp_path), "")
    models.require_unseen("constant_velocity", ModelStore(tmp_path), "Town05")


@pytest.mark.parametrize("seen, refused", [
    ({"maps": ["Town01", "Carla/Maps/Town03_Opt"]}, "has not seen Town03 or dair_a .val.; got .m., trained on Town01, Town03"),
    ({"maps": ["Town01", "dair_b"]}, None), ({"maps": ["dair_a"], "splits": {"dair_a": ["train"]}}, None),
    ({"maps": ["dair_a"], "splits": {"dair_a": ["train", "val"]}}, "trained on dair_a .train., dair_a .val.; "),
    ({"maps": ["dair_a"], "splits": {"dair_a": ["", "train"]}}, "trained on dair_a, dair_a .train.; "),
    ({"maps": ["dair_a"]}, "trained on dair_a; ")])
def test_a_model_that_has_seen_a_map_or_a_part_of_the_suites_recordings_is_refused(tmp_path, seen, refused):
    write_card(tmp_path / "m", **seen)
    shown = {("Town03", ""), ("dair_a", "val")}
    if refused is None:
        models.require_unseen("m", ModelStore(tmp_path), "", shown)
    else:
        with pytest.raises(ConfigError, match=refused):
            models.require_unseen("m", ModelStore(tmp_path), "", shown)


def test_what_the_recordings_of_a_suite_show(tmp_path, capsys):
    for name, town in (("a", "Town03"), ("b", "maps/Town01.net.xml"), ("c", "")):
        write_bag(tmp_path / "v2x" / name, seconds=1.0, town=town, labels=False)
    suite = find_suite(find_spec("v2x"), "loss-30", recordings_dir=tmp_path)
    assert recorded_in(suite) == {("Town01", ""), ("Town03", "")}
    assert "1 of 3 recordings in" in capsys.readouterr().err
    (tmp_path / "v2x" / "a" / "a.mcap").write_bytes(b"broken")
    assert recorded_in(suite) == set() and recorded_in(find_suite(PLANKD, "default-town", tmp_path, tmp_path)) == set()


def test_every_suite_of_the_v2x_benchmark_refuses_a_model_of_its_own_map(tmp_path, monkeypatch):
    """Also those whose recordings may be of any map."""
    spec = find_spec("v2x")
    for folder in {suite.bags for suite in spec.suites.values()}:
        write_bag(tmp_path / "recordings" / folder / "a", seconds=1.0, town="Town03", labels=False)
    (tmp_path / "models").mkdir()
    write_card(tmp_path / "models" / "m", maps=["Town03"])
    monkeypatch.setattr("kd_planner_ros.evaluation.benchmark.run._names", lambda this: (["m"], []))
    for name in spec.suites:
        config = BenchmarkConfig(benchmark="v2x", suite=name, recordings_dir=tmp_path / "recordings", models_dir=tmp_path / "models",
                                 models=("m",), train=False, out=tmp_path / "out")
        with pytest.raises(ConfigError, match="has not seen .*Town03; got .m., trained on Town03"):
            run(config)
    assert not (tmp_path / "out").exists()
