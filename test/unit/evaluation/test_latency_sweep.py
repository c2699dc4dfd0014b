"""The latency sweep without a world: its order, what is driven once, what is kept, and the report by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation import closed_loop, latency_report, latency_sweep
from kd_planner_ros.evaluation.latency_sweep import SweepConfig, plan_points

MODELS = {"fast": Path("models/fast"), "slow": Path("models/slow")}


@pytest.fixture
def driven(monkeypatch):
    """Evaluations that cost nothing: the score is 100 less a point for each 10 ms and each seed."""
    calls = []

    def evaluate(config, progress):
        calls.append((config.planner, float(config.latency), config.first_seed))
        config.out.mkdir(parents=True, exist_ok=True)
        score = 100.0 - float(config.latency) / 10.0 - config.first_seed
        (config.out / "summary.json").write_text(json.dumps({"mean": dict.fromkeys(latency_report.FIGURES, score)}))
        (config.out / "evaluation.json").write_text(json.dumps({"weights_sha256": "w"}))

    monkeypatch.setattr(closed_loop, "run", evaluate)
    monkeypatch.setattr(latency_report, "plot", lambda rows, path: None)
    monkeypatch.setattr(latency_sweep, "read_card", lambda folder: SimpleNamespace(weights_sha256="w"))
    return calls


def measure(config, folder):
    return {"own": 12.0 if folder.name == "fast" else 120.0, "paper-input": 90.0, "engine": "none"}


def config(out, **changes):
    return SweepConfig(out, latencies=("0", "own", "paper-input", "10", "40", "100"), **{"seeds": 2, **changes})


def test_equal_ticks_are_driven_once_in_the_order_of_what_they_tell(tmp_path, driven):
    """fast: 0, 12 -> 1, 90 -> 2, 10 and 40 -> 1, 100 -> 2 ticks; slow: 0, 120 -> 3, 2, 1, 1, 2."""
    latency_sweep.run(config(tmp_path), MODELS, False, measure)
    fast = [("models/fast", ms, 0) for ms in (0.0, 50.0, 100.0)]
    slow = [("models/slow", ms, 0) for ms in (0.0, 150.0, 100.0, 50.0)]
    assert driven[:7] == fast + slow and driven[7:] == [(*one[:2], 1) for one in fast + slow]


def test_what_is_finished_is_kept_and_more_seeds_go_on(tmp_path, driven):
    latency_sweep.run(config(tmp_path, seeds=1), MODELS, False, measure)
    first = len(driven)
    result = latency_sweep.run(config(tmp_path), MODELS, False, lambda *_: pytest.fail("measured twice"))
    assert first == 7 and len(driven) == 14 and {seed for *_, seed in driven[first:]} == {1}
    assert (result["finished"], result["planned"]) == (14, 14)


def test_a_sweep_in_another_folder_or_with_other_weights_is_refused(tmp_path, driven, monkeypatch):
    latency_sweep.run(config(tmp_path), MODELS, False, measure)
    with pytest.raises(ConfigError, match="roll_forward"):
        latency_sweep.run(config(tmp_path, roll_forward=False), MODELS, False, measure)
    with pytest.raises(ConfigError, match="engine"):
        latency_sweep.run(config(tmp_path, engine="torch"), MODELS, False, measure)
    monkeypatch.setattr(latency_sweep, "read_card", lambda folder: SimpleNamespace(weights_sha256="new"))
    with pytest.raises(ConfigError, match="other weights"):
        latency_sweep.run(config(tmp_path), MODELS, False, measure)


def test_plans_are_held_where_the_sweep_says_so(tmp_path, driven, monkeypatch):
    seen = []
    evaluate = closed_loop.run
    monkeypatch.setattr(closed_loop, "run", lambda config, progress: seen.append(config.roll_forward) or evaluate(config, progress))
    latency_sweep.run(config(tmp_path, roll_forward=False, seeds=1), MODELS, False, measure)
    assert set(seen) == {False} and driven


@pytest.mark.parametrize("text", ["-1", "nan", "soon"])
def test_a_latency_that_is_none_is_refused(tmp_path, driven, text):
    with pytest.raises(ConfigError, match="own or paper-input"):
        latency_sweep.run(SweepConfig(tmp_path, latencies=("0", text)), MODELS, False, measure)
    assert not driven


def test_the_report_by_hand(tmp_path, driven):
    """Seeds 0 and 1 differ by one point: the mean lies half a point lower, the deviation is 0.7."""
    result = latency_sweep.run(config(tmp_path), MODELS, False, measure)
    own = next(one for one in result["rows"] if (one["model"], one["latency"]) == ("slow", "own"))
    assert (own["ms"], own["ticks"], own["seeds"]) == (120.0, 3, [0, 1])
    assert own["mean"]["driving_score"] == 84.5 and own["std"]["driving_score"] == pytest.approx(0.7071, abs=1e-4)
    text = (tmp_path / "latency.md").read_text().splitlines()
    assert text[0] == "| model | 0 ms | own | paper-input | 10 ms | 40 ms | 100 ms |"
    assert text[3].startswith("| `slow` | 99.5 ± 0.7, 2 seeds | 84.5 ± 0.7 (120 ms), 2 seeds |")
    assert json.loads((tmp_path / "latency.json").read_text()) == json.loads(json.dumps(result))


def test_the_plot_is_a_picture(tmp_path):
    summary = dict.fromkeys(latency_report.FIGURES, 70.0)
    rows = [latency_report.row("m", "0", 0.0, 0, {0: summary, 1: summary}), latency_report.row("m", "own", 12.0, 1, {0: summary}),
            latency_report.row("other", "0", 0.0, 0, {})]
    latency_report.plot(rows, tmp_path / "latency.png")
    assert (tmp_path / "latency.png").read_bytes()[:4] == b"\x89PNG"


def test_a_row_that_is_not_driven_says_so():
    assert "not driven" in latency_report.table([latency_report.row("m", "50", 50.0, 1, {})])


def test_points_of_no_seed_are_none():
    assert list(plan_points({"fast": {"0": 0.0}}, MODELS, 0)) == []
