"""The page over all drives names each, links what exists, and shows the spread over seeds."""

from __future__ import annotations

from kd_planner_ros.evaluation import overview
from kd_planner_ros.evaluation.score import INFRACTIONS, RouteRecord, summary


def _record(seed: int, penalty: float, texts: dict) -> RouteRecord:
    return RouteRecord(f"RouteScenario_{seed}", seed, "Completed", 100.0, penalty, {k: texts.get(k, ()) for k in INFRACTIONS},
                       100.0, 70.7, 20.0, 0.0, seed, "default", {"weather": "ClearNoon"})


def test_overview(tmp_path):
    records = [_record(0, 1.0, {}), _record(1, 0.6, {"collisions_vehicle": ("hit a bus",)})]
    folders = [tmp_path / "seed_0" / "a", tmp_path / "seed_1" / "a"]
    folders[0].mkdir(parents=True)
    (folders[0] / "report.html").write_text("x")
    means = summary(records)
    facts = {"latency_text": "100 ms a plan: 2 ticks", "planner": "p", "map": "default", "drives": 2, "seeds": [0, 1], "mean": means,
             "std": {key: 0.25 for key in means}}
    page = overview.write(tmp_path, facts, records, folders).read_text()
    assert "What came by radio" not in page
    radio = {"states": {"EGO_ONLY": 30, "COOP_OBJECTS": 90}, "channel": {"sent": 9, "queue_full": 2}, "accepted": 7, "bytes_sent": 800,
             "refused": {"forged": 5}, "cautious_ticks": 4}
    heard = overview.write(tmp_path, {**facts, "v2x": radio}, records, folders).read_text()
    for text in ("COOP_OBJECTS", "75 %", "9 sent, 2 queue full", "forged", "does not fit the message", "in 4 ticks"):
        assert text in heard
    assert 'href="seed_0/a/report.html"' in page and "seed_1/a/report.html" not in page
    assert "simulated latency 100 ms a plan" in page
    assert "1 x collisions vehicle" in page and "80.0" in page and "± 0.2" in page and "ClearNoon" in page
