"""A jump to the next lane becomes a slide of about three seconds; everything else stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.world.lane_slide import LaneSlide


def make_table(*rows):
    table = np.zeros(len(rows), ACTOR_DTYPE)
    for row, (identity, x, y, v) in zip(table, rows):
        row["id"], row["x"], row["y"], row["vx"] = identity, x, y, v
    return table


def test_a_jump_to_the_left_lane_is_spread_over_seconds():
    slide, ys, yaws = LaneSlide(), [], []
    for tick in range(120):
        table = make_table((7, 0.5 * tick, 0.0 if tick < 10 else 3.5, 10.0), (3, 0.4 * tick, -8.0, 8.0))
        slide.step(table, 0.05)
        assert table["y"][1] == -8.0 and table["vy"][1] == 0.0
        ys.append(float(table["y"][0]))
        yaws.append(float(table["yaw"][0]))
    steps = np.diff(ys)
    assert steps.min() >= 0.0 and steps.max() < 0.08, "never faster sideways than 1.4 m/s"
    assert ys[9] == 0.0 and ys[-1] == pytest.approx(3.5)
    assert 1.5 < 0.05 * sum(0.1 < y < 3.4 for y in ys) < 4.5
    assert max(yaws) == pytest.approx(np.arctan2(1.4, 10.0), abs=0.01) and yaws[-1] == 0.0


def test_a_new_vehicle_and_a_far_jump_are_shown_where_they_are():
    slide = LaneSlide()
    slide.step(make_table((1, 0.0, 0.0, 5.0)), 0.05)
    table = make_table((1, 90.0, 3.5, 5.0), (2, 0.0, 3.5, 5.0))
    slide.step(table, 0.05)
    assert table["x"].tolist() == [90.0, 0.0] and table["y"].tolist() == [3.5, 3.5]


def test_a_standing_vehicle_does_not_slide():
    slide = LaneSlide()
    slide.step(make_table((1, 0.0, 0.0, 0.0)), 0.05)
    for _ in range(40):
        table = make_table((1, 0.0, 3.5, 0.0))
        slide.step(table, 0.05)
    assert table["y"][0] == pytest.approx(0.0)
    empty = np.zeros(0, ACTOR_DTYPE)
    slide.step(empty, 0.05)
