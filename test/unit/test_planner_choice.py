"""What 'auto' stands for."""

import json

from kd_planner_ros.ros.planner_facts import FALLBACK, resolve_planner


def card(folder, scores):
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({
        "card_version": 1, "name": folder.name, "network": "tcp", "config": {}, "weights_sha256": "", "parameters": 1,
        "scores": scores}))


def test_auto_is_the_model_that_drives_best(tmp_path):
    assert resolve_planner("auto", str(tmp_path))[0] == FALLBACK
    card(tmp_path / "b_unscored", {})
    card(tmp_path / "c_unscored", {"validation": {"l2_m": 0.1}})
    assert resolve_planner("auto", str(tmp_path))[0] == "b_unscored"
    card(tmp_path / "d_good", {"closed_loop_default_town": {"driving_score": 67.0}})
    card(tmp_path / "a_poor", {"closed_loop_default_town": {"driving_score": 20.0}})
    (tmp_path / "a_broken").mkdir()
    (tmp_path / "a_broken" / "card.json").write_text("{")
    assert resolve_planner("auto", str(tmp_path)) == ("d_good", str(tmp_path))
    assert resolve_planner("a_poor", str(tmp_path))[0] == "a_poor"
