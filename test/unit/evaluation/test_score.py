"""Scoring: the two worked examples of the paper, the penalties, and the statistics file."""

from __future__ import annotations

import json

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.score import (
    COLLISIONS, RULES, legacy_rate, read_records, route_record, statistics, summary, true_rate, write_statistics)


def facts(*kinds, completion=1.0, outside=0.0, length=80.0, key=70.7, status="Completed"):
    return {"route": "RouteX", "town": "Town05", "status": status, "completion": completion, "outside_share": outside,
            "route_length_m": length, "key_length_m": key, "duration_game_s": 20.0,
            "events": [{"kind": kind, "message": f"{kind} happened"} for kind in kinds]}


def test_one_collision_on_one_completed_short_route_is_0_141():
    records = [route_record(facts("collisions_pedestrian") if i == 0 else facts(), index=i) for i in range(10)]
    assert legacy_rate(records, COLLISIONS) == pytest.approx(0.141, abs=5e-4)
    assert legacy_rate(records, RULES) == 0.0
    means = summary(records)
    assert means["infraction_score"] == pytest.approx(0.95)
    assert means["driving_score"] == pytest.approx(95.0)
    assert true_rate(records, COLLISIONS) == pytest.approx(1 / 0.8)


def test_lights_run_are_told_per_km_beside_all_rule_breaks():
    means = summary([route_record(facts("red_light", "red_light", "stop_infraction")), route_record(facts(completion=0.5))])
    assert means["red_lights_per_km"] == pytest.approx(2 / 0.12) and means["infraction_rate_per_km"] == pytest.approx(3 / 0.12)


def test_the_26m_row_of_table_2_gives_93_70():
    """IS 0.960, RC 96.43, collision rate 0.207: nine perfect routes but for RC, and one vehicle hit at RC 68.3 %."""
    others = (964.3 - 68.3) / 9 / 100
    records = [route_record(facts("collisions_vehicle", completion=0.683))]
    records += [route_record(facts(completion=others)) for _ in range(9)]
    means = summary(records)
    assert means["collision_rate_legacy"] == pytest.approx(0.207, abs=5e-4)
    assert means["route_completion"] == pytest.approx(96.43)
    assert means["infraction_score"] == pytest.approx(0.960)
    assert means["driving_score"] == pytest.approx(93.70, abs=5e-3), "mean of products, not product of means"


def test_penalties_multiply():
    record = route_record(facts("red_light", "stop_infraction", "collisions_layout", "vehicle_blocked", outside=0.25))
    assert record.score_penalty == pytest.approx(0.7 * 0.8 * 0.65 * 0.75)
    assert record.infractions["red_light"] == ["red_light happened"]


def test_statistics_file_has_the_leaderboards_fields_and_reads_back(tmp_path):
    records = [route_record(facts("red_light"), index=0, seed=3, notes={"weather": "ClearNoon"}),
               route_record(facts(completion=0.4, status="Failed - Agent got blocked"), index=1)]
    path = tmp_path / "statistics.json"
    write_statistics(path, records, total=2)
    data = json.loads(path.read_text())
    assert data["_checkpoint"]["progress"] == [2, 2] and data["entry_status"] == "Finished"
    assert set(data["_checkpoint"]["records"][0]["scores"]) == {"score_composed", "score_route", "score_penalty"}
    assert data["_checkpoint"]["global_record"]["scores"]["score_composed"] == pytest.approx((70 + 40) / 2)
    assert len(data["labels"]) == len(data["values"]) == 12
    again = read_records(path)
    assert again == records
    assert statistics(again, 2) == statistics(records, 2)


def test_unfinished_and_broken_files(tmp_path):
    assert statistics([], total=3)["entry_status"] == "Started"
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(ConfigError, match="leaderboard statistics"):
        read_records(tmp_path / "s.json")
    with pytest.raises(ConfigError, match="no file"):
        read_records(tmp_path / "none.json")
