"""All suites of a benchmark by one command, and each beside its baseline: drives are made up, everything else is the benchmark's own."""

import json
from dataclasses import asdict

import pytest

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.benchmark import driving, outcomes
from kd_planner_ros.evaluation.benchmark.all_suites import asks_for_all, run_all
from kd_planner_ros.evaluation.benchmark.config import BenchmarkConfig
from kd_planner_ros.evaluation.benchmark.run import begin, run
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.evaluation.score import INFRACTIONS, PENALTIES, RouteRecord, write_statistics

BENCHMARK = """
kind: drive
models: [constant_velocity]
baseline: "off"
suites:
  noisy: {map: default, routes: hidden, options: {routes_count: 6, v2x: "on", v2x_loss: 0.5}}
  "off": {map: default, routes: hidden, options: {routes_count: 6, v2x: "off"}}
figures: {driving_score: {text: driving score, short: DS}, collision_rate_per_km: {}}
"""
HITS = {"off": 4, "on": 1}
"""Collisions of six drives by the state of V2X, those of 'on' on another route than those of 'off'."""


def record(route: int, hit: bool, seed: int) -> RouteRecord:
    kinds = {kind: ["hit"] if hit and kind == "collisions_vehicle" else [] for kind in INFRACTIONS}
    return RouteRecord(f"r{route}", 0, "Completed", 100.0, PENALTIES["collisions_vehicle"] if hit else 1.0, kinds, 100.0, 90.0, 30.0, 0.0,
                       seed, "town", {"weather": "Benchmark"})


@pytest.fixture
def drives(monkeypatch):
    """What was driven; nothing really drives."""
    done = []

    def drive(config: ClosedLoopConfig) -> None:
        done.append(config)
        config.out.mkdir(parents=True)
        facts = {name: value for name, value in asdict(config).items() if name not in ("out", "seeds", "route_ids")}
        (config.out / "evaluation.json").write_text(json.dumps(facts))
        hit = [5] if config.v2x == "on" else [0, 1, 2, 3]
        assert len(hit) == HITS[config.v2x]
        write_statistics(config.out / "statistics.json", [record(route, route in hit, config.first_seed) for route in range(6)])

    monkeypatch.setattr(driving, "drive_here", drive)
    return done


@pytest.fixture
def config(tmp_path):
    (tmp_path / "radio.yaml").write_text(BENCHMARK)
    return BenchmarkConfig("all", tmp_path / "out", seeds=1, train=False, latency_frames=0, models_dir=tmp_path,
                           benchmark=str(tmp_path / "radio.yaml"))


def test_every_suite_is_measured_the_baseline_first_and_stands_beside_it(config, drives, tmp_path):
    assert asks_for_all(config)
    found = run_all(config)
    assert [(one.v2x, one.v2x_loss) for one in drives] == [("off", 0.0), ("on", 0.5)]
    assert all((one.routes, one.routes_count) == ("hidden", 6) for one in drives)
    assert [one["suite"] for one in found["suites"]] == ["off", "noisy"]
    lines = (tmp_path / "out" / "suites.md").read_text().splitlines()
    assert lines[0] == "| suite | model | driving score | with a collision | only off | only here | p (exact) |"
    assert lines[2:] == ["| off | constant_velocity | 73.333 | 4 of 6 |  |  |  |",
                         "| noisy | constant_velocity | 93.333 | 1 of 6 | 4 | 1 | 0.38 |"]
    pairs = json.loads((tmp_path / "out" / "noisy" / "pairs.json").read_text())
    event = pairs["models"]["constant_velocity"]["events"]["collision"]
    assert pairs["baseline"] == "off" and (event["baseline"], event["other"], event["p"]) == (4, 1, 0.375)
    assert not (tmp_path / "out" / "off" / "pairs.json").exists()
    assert "# noisy versus off" in (tmp_path / "out" / "noisy" / "pairs.md").read_text()
    again = run_all(config)
    assert len(drives) == 2 and again == found, "what is finished is not driven again"


def test_pairs_are_over_all_seeds(config, drives, tmp_path):
    run_all(BenchmarkConfig(**{**vars(config), "seeds": 2}))
    pairs = json.loads((tmp_path / "out" / "noisy" / "pairs.json").read_text())["models"]["constant_velocity"]
    assert len(drives) == 4 and (pairs["drives"], pairs["routes"], pairs["events"]["collision"]["baseline"]) == (12, 6, 8)


def test_a_suite_alone_is_compared_where_the_baseline_lies_beside_it(config, drives, tmp_path):
    alone = BenchmarkConfig(**{**vars(config), "suite": "noisy", "out": tmp_path / "out" / "noisy"})
    run(alone)
    assert not (tmp_path / "out" / "noisy" / "pairs.json").exists()
    run(BenchmarkConfig(**{**vars(config), "suite": "off", "out": tmp_path / "out" / "off"}))
    run(alone)
    assert (tmp_path / "out" / "noisy" / "pairs.json").exists()


def test_a_baseline_of_other_weights_or_other_traffic_is_refused(config, drives, tmp_path):
    run_all(config)
    base = tmp_path / "out" / "off"
    path = outcomes.result_path(base, "constant_velocity", 0)
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), "weights_sha256": "0"}))
    alone = BenchmarkConfig(**{**vars(config), "suite": "noisy", "out": tmp_path / "out" / "noisy"})
    with pytest.raises(ConfigError, match="other weights in .*off; delete .* --suite off again"):
        run(alone)
    path.write_text(kept)
    settings = base / "drives" / "constant_velocity" / "seed_0" / "evaluation.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "vehicles": 7}))
    with pytest.raises(ConfigError, match="with the vehicles of .*7"):
        run(alone)


def test_what_a_later_suite_lacks_is_refused_before_anything_is_driven(config, drives, tmp_path):
    (tmp_path / "radio.yaml").write_text(BENCHMARK.replace("map: default, routes: hidden, options: {routes_count: 6, v2x: \"on\"",
                                                           "map: Town77, routes: hidden, options: {routes_count: 6, v2x: \"on\""))
    with pytest.raises(ConfigError, match="a map of Town77"):
        run_all(BenchmarkConfig(**{**vars(config), "maps_dir": tmp_path}))
    assert not drives


@pytest.mark.parametrize("old, new", [('baseline: "off"', "baseline: nothing"), ("kind: drive", "kind: open_loop")])
def test_a_baseline_is_a_suite_that_is_driven(config, tmp_path, old, new):
    text = BENCHMARK.replace(old, new)
    (tmp_path / "radio.yaml").write_text(text.replace("routes: hidden", "routes: hidden, bags: some") if "open_loop" in new else text)
    with pytest.raises(ConfigError, match="baseline: one of the suites noisy, off of a benchmark of kind drive"):
        find_spec(str(tmp_path / "radio.yaml"))


def test_the_command_prints_the_table(config, drives, tmp_path, capsys):
    words = ["benchmark", str(tmp_path / "radio.yaml"), "--suite", "all", "--out", str(tmp_path / "out"), "--seeds", "1", "--no-train",
             "--latency-frames", "0", "--models-dir", str(tmp_path), "--json"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "| noisy | constant_velocity |" in out and json.loads(out.splitlines()[-1])["page"].endswith("suites.md")


def test_the_hazards_are_driven_in_every_state_of_the_radio(tmp_path):
    spec = find_spec("v2x_hazards")
    (tmp_path / "Town05.net.xml").touch()
    assert spec.kind == "drive" and spec.baseline == "off" and len(spec.suites) == 14
    for name, suite in spec.suites.items():
        made = begin(BenchmarkConfig(name, benchmark="v2x_hazards", maps_dir=tmp_path, models_dir=tmp_path))
        driven = ClosedLoopConfig("tcp64_7m6", tmp_path, map=made.suite.map, routes=made.suite.routes, **suite.options)
        assert made.settings["routes_count"] == 44 and made.suite.town == "Town05" and driven.vehicles == driven.walkers == 0
        assert driven.v2x == ("off" if name == "off" else "on")
        said = [value for key in ("v2x_loss", "v2x_latency_ms", "v2x_attack") if (value := suite.options.get(key))]
        assert len(said) == (name not in ("off", "on", "planner-alone")), name
        assert driven.v2x_supervisor == (name != "planner-alone") and driven.latency == "100"
