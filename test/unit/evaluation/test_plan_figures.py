"""What ``replay`` prints: words of its figures, no internals."""

from __future__ import annotations

from kd_planner_ros.cli.options import show
from kd_planner_ros.evaluation.nuscenes import SECONDS
from kd_planner_ros.evaluation.plan_figures import replayed

NONE = {figure: dict.fromkeys((*SECONDS, "avg")) for figure in ("l2_m", "collision_percent")}
RESULT = {"planner": "small", "l2_m": {"0.5": 1.303, "1.0": None}, "collision_rate": {"0.5": 0.25, "1.0": None},
          "counted": {"0.5": [988, 198], "1.0": [0, 0]}, "min_ade_m": None, "min_ade_plans": 0, "steer_mae": 0.11, "steered": 990,
          "refused": 3, "nuscenes": {"vad": NONE, "uniad": NONE, "plans": {}, "skipped": 0}, "detected": {}, "frames": 199,
          "dropped": 1, "extra": 794, "unanswered": 2, "unreadable": 0,
          "wall_s": 12.3, "calibration": {}, "notes": ["/tf is not played"]}


def test_a_replay_is_told_as_an_open_loop_evaluation_is():
    said = replayed(RESULT)
    assert said[:3] == ["time s         L2 m  touches  plans", "0.5           1.303    0.250    988", "1.0               -        -      0"]
    assert [line for line in said[3:] if "steering" in line or "pictures" in line or "/tf" in line] == [
        "steering error 0.110 of full lock over 990 plans; 3 plans refused, 2 ticks without a control in time",
        "199 pictures asked small for a plan, 1 got none; 794 plans at other times; 0 pictures unreadable; played in 12 s",
        "/tf is not played"]


def test_what_else_ran_is_told_with_its_counts():
    said = "\n".join(replayed({**RESULT, "perceptions": 5, "pictures_unseen": 1, "radio": {"lost": 2}, "roadside_unheard": 4,
                               "calibration": {"front": "2 degrees off"}, "out": "seen", "written": {"/a": 3, "/b": 4},
                               "not_written": {"/c": "x_msgs/msg/X"}, "min_ade_m": 0.5, "min_ade_plans": 9}))
    for words in ("minADE 0.500 m", "5 perceptions, 1 pictures without one", "radio: 2 lost", "4 messages of roadside stations",
                  "calibration: front: 2 degrees off", "written: seen, 7 messages of 2 topics", "not written: /c: x_msgs/msg/X"):
        assert words in said
    assert not any(sign in said for sign in "[]{}") and "None" not in said


def test_an_empty_collection_of_a_result_is_none_in_words(capsys):
    show({"failed": (), "left_out": {}, "counts": {"a": 1}})
    assert capsys.readouterr().out.split("\n")[:3] == [f"{'failed':<26} none", f"{'left_out':<26} none", f"{'counts':<26} a: 1"]
