"""A plan in a run folder holds everything that the planner gave, and comes back."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.wire import SAMPLES, detections, plan

from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, MapLines
from kd_planner_ros.core.records import Plan
from kd_planner_ros.evaluation.run_plans import PLAN_KEYS, candidates_of, plan_from_json, plan_to_json


def there_and_back(sent):
    text = json.dumps(plan_to_json(sent), allow_nan=False)
    return plan_from_json(json.loads(text))


def near(back, sent):
    np.testing.assert_allclose(back, sent, atol=6e-5)
    assert np.shape(back) == np.shape(sent)


@pytest.mark.parametrize("sent", [one for one in SAMPLES["plan"] if isinstance(one, Plan)])
def test_round_trip(sent):
    back = there_and_back(sent)
    near(back.trajectory.points, sent.trajectory.points)
    near(back.goal.target_point, sent.goal.target_point)
    assert back.goal.command == sent.goal.command and back.mode == sent.mode and back.inference_ms == sent.inference_ms
    assert dict(back.notes) == pytest.approx(dict(sent.notes), abs=6e-5)
    for name in ("candidates", "scores"):
        assert (getattr(back, name) is None) == (getattr(sent, name) is None)
        if getattr(sent, name) is not None:
            near(getattr(back, name), getattr(sent, name))
    assert (back.detections is None) == (sent.detections is None) and (back.lines is None) == (sent.lines is None)
    if sent.detections is not None:
        for name in DETECTION_DTYPE.names:
            near(back.detections.rows[name], sent.detections.rows[name])
        near(back.detections.forecasts, sent.detections.forecasts)
        near(back.detections.forecast_times_s, sent.detections.forecast_times_s)
        assert (back.detections.forecast_scores is None) == (sent.detections.forecast_scores is None)
    if sent.lines is not None:
        near(back.lines.points, sent.lines.points)
        assert back.lines.kinds.tolist() == sent.lines.kinds.tolist()


def test_what_is_not_given_is_left_out():
    assert set(plan_to_json(plan())) == set(PLAN_KEYS)
    assert set(plan_to_json(SAMPLES["plan"][0])) - set(PLAN_KEYS) == {
        "candidates", "scores", "detections", "lines", "notes", "mode"}


def test_a_line_of_an_older_version_is_read():
    entry = {"stamp_s": 0.05, "points": [[2.0, 0.5]], "times_s": [0.5], "goal": [10.0, -1.0], "command": "LEFT", "attention": None,
             "inference_ms": 4.5}
    back = plan_from_json(entry)
    assert back.stamp_ns == 50_000_000 and back.candidates is None and back.detections is None and back.mode == ""
    assert candidates_of(entry) is None


def test_forecast_times_travel_as_they_are():
    found = replace(detections(2, steps=3), forecast_times_s=np.array([1e-5, 2e-5, 0.5]))
    assert there_and_back(plan(detections=found)).detections.forecast_times_s.tolist() == [1e-5, 2e-5, 0.5]


def test_nothing_known_is_null_and_nobody_is_an_empty_list():
    found = detections(2)
    found.forecasts[1] = np.nan
    found.rows["height"] = np.nan
    back = there_and_back(plan(detections=found, notes={"p_red": math.nan}))
    assert np.isnan(back.detections.forecasts[1]).all() and np.isnan(back.detections.rows["height"]).all()
    assert math.isnan(back.notes["p_red"])
    empty = MapLines(np.zeros((0, 20, 2), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.float32))
    back = there_and_back(plan(detections=Detections(np.zeros(0, DETECTION_DTYPE)), lines=empty, candidates=np.zeros((0, 6, 2))))
    assert len(back.detections) == 0 and len(back.lines) == 0 and len(back.candidates) == 0
