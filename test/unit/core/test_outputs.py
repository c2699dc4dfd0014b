"""Records of what networks give back: shapes that fit together are kept, others are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.outputs import DENSE_KINDS, DETECTION_DTYPE, DenseOutput, Detections, LineKind, MapLines, Perception


def rows(count=2):
    return np.zeros(count, DETECTION_DTYPE)


def test_detections_with_forecasts():
    found = Detections(rows(), np.zeros((2, 6, 12, 2), np.float32), np.zeros((2, 6), np.float32), np.arange(1.0, 13.0))
    assert len(found) == 2 and len(Detections(rows(0))) == 0


@pytest.mark.parametrize("wrong, sentence", [
    (dict(rows=np.zeros((2, 7))), "DETECTION_DTYPE"), (dict(rows=np.zeros((2, 1), DETECTION_DTYPE)), "DETECTION_DTYPE"),
    (dict(forecasts=np.zeros((3, 6, 12, 2))), r"forecasts \[2, M, T, 2\]"),
    (dict(forecast_times_s=np.arange(11.0)), r"forecast_times_s \[12\]"),
    (dict(forecast_times_s=None), "forecast_times_s"), (dict(forecast_scores=np.zeros((2, 5))), r"forecast_scores \[2, 6\]"),
    (dict(forecasts=None), "forecasts beside"),
    *((dict(forecast_times_s=times), "finite, above 0 and increasing") for times in (
        np.arange(-12.0, 0.0), np.arange(12.0), np.full(12, np.nan), [*range(1, 12), np.inf], np.repeat(np.arange(1.0, 7.0), 2)))])
def test_detections_refuse_what_does_not_fit(wrong, sentence):
    good = dict(rows=rows(), forecasts=np.zeros((2, 6, 12, 2)), forecast_scores=np.zeros((2, 6)),
                forecast_times_s=np.arange(1.0, 13.0))
    with pytest.raises(PlannerError, match=sentence):
        Detections(**{**good, **wrong})


def test_map_lines():
    assert len(MapLines(np.zeros((3, 20, 2)), np.full(3, LineKind.STOP, np.uint8), np.ones(3))) == 3
    with pytest.raises(PlannerError, match=r"kinds \[3\]"):
        MapLines(np.zeros((3, 20, 2)), np.zeros(2, np.uint8), np.ones(3))
    with pytest.raises(PlannerError, match=r"points \[L, P, 2\]"):
        MapLines(np.zeros((3, 20)), np.zeros(3, np.uint8), np.ones(3))


def test_every_kind_of_dense_output():
    for kind, (types, dimensions) in DENSE_KINDS.items():
        for one in types:
            DenseOutput(kind, np.zeros((4, 6) + (3,) * (dimensions - 2), one))
        with pytest.raises(PlannerError, match=kind):
            DenseOutput(kind, np.zeros((4, 6) + (3,) * (dimensions - 2), "f8"))
        with pytest.raises(PlannerError, match=kind):
            DenseOutput(kind, np.zeros((4, 6, 2), types[0]))
    with pytest.raises(PlannerError, match="depth, classes"):
        DenseOutput("colour", np.zeros((4, 6), "u1"))


def test_perception_may_be_empty():
    assert Perception(7, "front").outputs == {}
