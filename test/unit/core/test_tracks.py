"""Road users over time: interpolated, unknown before they appear and after they vanish."""

import numpy as np
import pytest

from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.tracks import Tracks

HALF_NS = 500_000_000


def tracks():
    """Every 0.5 s from 0 to 3 s: car 3 throughout at 4 m/s, its yaw running over pi; car 8 at 1, 1.5 and 2.5 s."""
    tables = []
    for number in range(7):
        there = [3, 8] if number in (2, 3, 5) else [3]
        rows = np.zeros(len(there), ACTOR_DTYPE)
        rows["id"], rows["x"], rows["vx"] = there, 2.0 * number, 4.0
        rows["yaw"] = (3.0 + 0.2 * number + np.pi) % (2 * np.pi) - np.pi
        tables.append(rows[::-1])
    starts = np.concatenate([[0], np.cumsum([len(one) for one in tables])])
    return Tracks(np.arange(7) * HALF_NS, starts, np.concatenate(tables))


def test_the_table_of_an_instant():
    assert tracks().ids.tolist() == [3, 8]
    assert sorted(tracks().at(2 * HALF_NS + 10_000_000)["id"].tolist()) == [3, 8]
    assert len(tracks().at(2 * HALF_NS + 100_000_000)) == 0


def test_places_between_instants_and_where_there_are_none():
    stamps = np.array([0.25, 1.0, 1.25, 2.0, 2.5, 3.0, 3.02, 3.2, -0.2]) * 1e9
    found = tracks().states(np.array([3, 8, 77]), stamps.astype(np.int64))
    assert found.shape == (3, 9, 5)
    np.testing.assert_allclose(found[0, :, 0], [1.0, 4.0, 5.0, 8.0, 10.0, 12.0, 12.0, np.nan, np.nan], atol=1e-6)
    np.testing.assert_allclose(found[1, :, 0], [np.nan, 4.0, 5.0, np.nan, 10.0, np.nan, np.nan, np.nan, np.nan], atol=1e-6)
    assert np.isnan(found[2]).all()
    assert np.cos(found[0, 0, 2] - 3.1) == pytest.approx(1.0, abs=1e-6)  # the shorter way over pi
    wide = tracks().states(np.array([8]), np.array([2_000_000_000]), gap_ns=2 * HALF_NS)
    assert wide[0, 0, 0] == pytest.approx(8.0)
