"""The way ahead of samples of recordings with few places."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.timeline import POSE_COLUMNS, Series, Timeline
from kd_planner_ros.samples.rows import label

HALF_NS = 500_000_000


def drive(gaps_ns) -> Timeline:
    """A car at 4 m/s along x with a place after each of ``gaps_ns``."""
    stamps = 10**9 + np.concatenate([[0], np.cumsum(gaps_ns)]).astype(np.int64)
    ego = np.zeros((len(stamps), len(POSE_COLUMNS)))
    ego[:, 0], ego[:, 6] = 4.0 * stamps / 1e9, 4.0
    return Timeline(Series(stamps, ego))


def test_key_frames_that_are_not_half_a_second_apart_give_samples():
    """nuScenes: of 40 key frames, a fifth of the gaps 0.55 s long, all but the last 3 s have a way."""
    gaps = np.full(39, HALF_NS)
    gaps[::5] = 550_000_000
    timeline = drive(gaps)
    rows, keep, why = label(timeline, timeline.ego.stamps, steps=6, step_ns=HALF_NS)
    assert keep.tolist() == (timeline.ego.stamps + 6 * HALF_NS <= timeline.ego.stamps[-1] + 25_000_000).tolist() and keep.sum() == 34
    np.testing.assert_allclose(rows["future"][keep][..., 0], np.broadcast_to(2.0 * np.arange(1, 7), (34, 6)), atol=0.1)
    assert why["end of route"] == 6


def test_nothing_is_made_up_in_a_longer_gap():
    gaps = np.full(20, HALF_NS)
    gaps[10] = 1_000_000_000
    timeline = drive(gaps)
    _, keep, _ = label(timeline, timeline.ego.stamps, steps=2, step_ns=HALF_NS)
    assert keep.tolist() == [True] * 9 + [False] * 2 + [True] * 8 + [False] * 2


@pytest.mark.parametrize(("stamp", "place"), [(10**9, 4.0), (1_250_000_000, 5.0), (999_999_999, np.nan), (1_500_000_001, np.nan)])
def test_between_two_rows_a_series_is_linear(stamp, place):
    assert drive([HALF_NS]).ego.between(np.array([stamp]))[0, 0] == pytest.approx(place, nan_ok=True)
