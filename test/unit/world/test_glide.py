"""A vehicle that SUMO puts somewhere at once is shown gliding there."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.world.glide import Glide


def row(x: float, y: float, yaw: float = 0.0, number: int = 1, vx: float = 10.0) -> np.ndarray:
    table = np.zeros(1, ACTOR_DTYPE)
    table["id"], table["x"], table["y"], table["yaw"], table["vx"] = number, x, y, yaw, vx
    return table


def shown(glide: Glide, **place: float) -> tuple[float, float, float]:
    table = row(**place)
    glide.smooth(table)
    return float(table["x"][0]), float(table["y"][0]), float(table["yaw"][0])


def test_steady_motion_is_left_alone():
    glide = Glide(0.05)
    for tick in range(10):
        assert shown(glide, x=0.5 * tick, y=0.0) == (0.5 * tick, 0.0, 0.0)


def test_a_jump_to_the_next_lane_becomes_a_slide():
    glide, ys = Glide(0.05), []
    shown(glide, x=0.0, y=0.0)
    for tick in range(1, 80):
        ys.append(shown(glide, x=0.5 * tick, y=1.5)[1])
    assert ys[0] == pytest.approx(0.0, abs=1e-6) and np.abs(np.diff([0.0, *ys])).max() < 0.12
    assert np.all(np.diff(ys) >= 0.0) and ys[-1] == pytest.approx(1.5, abs=0.02)


def test_a_sudden_heading_turns_gently_across_the_date_line_too():
    glide = Glide(0.05)
    shown(glide, x=0.0, y=0.0, yaw=3.1)
    yaws = [shown(glide, x=0.5 * tick, y=0.0, yaw=-3.0)[2] for tick in range(1, 40)]
    turns = np.angle(np.exp(1j * np.diff([3.1, *yaws])))
    assert np.abs(turns).max() < 0.05 and yaws[-1] == pytest.approx(-3.0, abs=0.01)


def test_a_newcomer_with_an_old_place_does_not_glide():
    glide = Glide(0.05)
    shown(glide, x=0.0, y=0.0, number=1)
    assert shown(glide, x=100.0, y=5.0, number=2)[:2] == (100.0, 5.0)
