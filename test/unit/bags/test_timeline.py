"""The navigation goals along a recorded drive."""

import dataclasses

import numpy as np
import pytest
from support.bags import copy_bag

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.timeline import follow
from kd_planner_ros.core.timeline import Series


def test_a_recording_from_its_middle_on_has_the_goals_of_the_whole(tmp_path):
    with open_bag(copy_bag(tmp_path / "arc", seconds=6.0)) as recording:
        route, whole = recording.route, recording.timeline
    targets, commands = follow(route, whole)
    for first in (1, len(targets) // 3, len(targets) // 2, len(targets) - 2):
        rows = Series(whole.ego.stamps[first:], whole.ego.values[first:])
        found, turns = follow(route, dataclasses.replace(whole, ego=rows))
        assert found == pytest.approx(targets[first:]) and (turns == commands[first:]).all(), first
    assert np.isfinite(targets).all()
