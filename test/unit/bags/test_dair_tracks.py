"""Velocities of DAIR-V2X's road users, from their tracks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.bags.dair.tracks import add_velocities
from kd_planner_ros.core.scene import ACTOR_DTYPE

STEP_NS = 100_000_000


def listed(*users):
    """ACTOR_DTYPE of (id, x, y)."""
    rows = np.zeros(len(users), ACTOR_DTYPE)
    for row, (name, x, y) in zip(rows, users, strict=True):
        row["id"], row["x"], row["y"] = name, x, y
    return rows


@given(st.floats(-20.0, 20.0), st.floats(-20.0, 20.0), st.lists(st.integers(1, 249), min_size=2, max_size=20))
def test_who_keeps_a_velocity_has_it(vx, vy, gaps_ms):
    times = np.cumsum(gaps_ms) * 1_000_000
    lists = [listed((7, vx * one * 1e-9, vy * one * 1e-9), (8, 3.0, 4.0)) for one in times]
    assert add_velocities(lists, times) == 0
    for rows in lists:
        assert rows["vx"].tolist() == pytest.approx([vx, 0.0], abs=0.02) and rows["vy"].tolist() == pytest.approx([vy, 0.0], abs=0.02)


def test_who_has_no_track_or_no_neighbour_in_time_has_none_and_is_counted():
    lists = [listed((1, 0.0, 0.0), (100, 5.0, 0.0)), listed((1, 1.0, 0.0), (200, 6.0, 0.0)), listed(), listed((1, 9.0, 0.0))]
    assert add_velocities(lists, [0, STEP_NS, 2 * STEP_NS, 9 * STEP_NS]) == 3
    assert [rows["vx"].tolist() for rows in lists] == [[10.0, 0.0], [10.0, 0.0], [], [0.0]]


def test_no_lists_need_none():
    assert add_velocities([], []) == 0 and add_velocities([listed()], [5]) == 0
