"""Two evaluations of the same drives, drive by drive."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.compare import CompareConfig, mcnemar, run
from kd_planner_ros.evaluation.score import INFRACTIONS, PENALTIES, RouteRecord, write_statistics

SETTINGS = {"map": "default", "routes": "hidden", "planner": "tcp64_7m6", "v2x": "off", "v2x_loss": 0.0, "vehicles": 0}


def record(route: str, hit: bool = False, seed: int = 0, completion: float = 100.0) -> RouteRecord:
    kinds = {kind: ["hit"] if hit and kind == "collisions_vehicle" else [] for kind in INFRACTIONS}
    return RouteRecord(route, 0, "Completed" if completion == 100.0 else "Failed", completion,
                       PENALTIES["collisions_vehicle"] if hit else 1.0, kinds, 100.0, 90.0, 30.0, 0.0, seed, "town",
                       {"weather": "Benchmark"})


def write(folder, records, **settings):
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({**SETTINGS, **settings}))
    write_statistics(folder / "statistics.json", records)
    return folder


def test_pairs_events_and_scores_by_hand(tmp_path):
    off = write(tmp_path / "off", [record(f"r{n}", hit=n < 8) for n in range(10)] + [record("gone")])
    on = write(tmp_path / "on", [record(f"r{n}", hit=n in (0, 9), completion=50.0 if n == 5 else 100.0) for n in range(10)],
               v2x="on", v2x_loss=0.3, latency="slow.json", latency_sha256="1", fallback_planner="tcp64_3m1", fallback_weights_sha256="2")
    found = run(CompareConfig(off, on, out=tmp_path / "pairs.json"))
    assert (found["drives"], found["routes"], found["unpaired"]) == (10, 10, {"baseline": 1, "other": 0})
    collision = found["events"]["collision"]
    assert collision == {"baseline": 8, "other": 2, "only_baseline": 7, "only_other": 1, "p": pytest.approx(18 / 256)}
    assert found["events"]["vehicle"] == collision and found["events"]["pedestrian"]["p"] == 1.0
    assert found["events"]["completed"]["only_baseline"] == 1
    assert found["scores"]["driving_score"]["baseline"] == pytest.approx(68.0)
    assert found["scores"]["driving_score"]["other"] == pytest.approx((7 * 100 + 50 + 2 * 60) / 10)
    share = found["scores"]["collision"]["difference"]
    assert share["mean"] == pytest.approx(-60.0) and share["low"] < -60.0 < share["high"] < 0.0
    assert json.loads((tmp_path / "pairs.json").read_text()) == found


def test_drives_of_one_route_are_drawn_together(tmp_path):
    """Ten seeds of one route are one route: no interval over routes can be drawn from it."""
    off = write(tmp_path / "off", [record("r", hit=seed < 5, seed=seed) for seed in range(10)])
    on = write(tmp_path / "on", [record("r", seed=seed) for seed in range(10)])
    found = run(CompareConfig(off, on))
    gap = found["scores"]["collision"]["difference"]
    assert found["routes"] == 1 and gap["low"] == gap["mean"] == gap["high"] == pytest.approx(-50.0)


@pytest.mark.parametrize("settings, named", [({"map": "generated:1"}, "map"), ({"vehicles": 20}, "vehicles")])
def test_other_drives_are_refused(tmp_path, settings, named):
    folders = write(tmp_path / "a", [record("r")]), write(tmp_path / "b", [record("r")], **settings)
    with pytest.raises(ConfigError, match=named):
        run(CompareConfig(*folders))


def test_nothing_in_common_and_what_stands_twice_is_refused(tmp_path):
    first, second = write(tmp_path / "a", [record("r")]), write(tmp_path / "b", [record("s")])
    with pytest.raises(ConfigError, match="none"):
        run(CompareConfig(first, second))
    with pytest.raises(ConfigError, match="1 drives more"):
        run(CompareConfig(first, write(tmp_path / "c", [record("r"), record("r")])))
    with pytest.raises(ConfigError, match=r"no evaluation\.json"):
        run(CompareConfig(first, tmp_path / "nowhere"))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_sum_of_both_tails(few, many):
    count, least = few + many, min(few, many)
    tail = sum(math.comb(count, k) for k in range(least + 1)) / 2.0 ** count
    assert mcnemar(few, many) == pytest.approx(min(1.0, 2.0 * tail))


def test_the_command_prints_both_tables(tmp_path, capsys):
    off, on = write(tmp_path / "off", [record("r", hit=True), record("alone")]), write(tmp_path / "on", [record("r")], v2x="on")
    assert cli.main(["evaluate", "compare", "--baseline", str(off), "--other", str(on)]) == 0
    out = capsys.readouterr().out
    assert "| collision | 1 | 0 | 1 | 0 | 1 |" in out and "1 of baseline" in out
