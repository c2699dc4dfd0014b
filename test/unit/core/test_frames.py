"""Frames from their parts: calibrations, ages, and what a history gives back."""

import numpy as np
import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.frames import FrameHistory, make_frame, with_history
from kd_planner_ros.core.records import EgoState, Pose
from kd_planner_ros.core.sensors import CameraSpec, SensorRig

FRONT, REAR = CameraSpec("front", Pose(x=1.3, z=2.3), 8, 4, 90.0), CameraSpec("rear", Pose(x=-1.3, z=2.3), 8, 4, 90.0)
RIG = SensorRig((FRONT, REAR), history_s=(0.2, 0.1))
PICTURE = np.zeros((4, 8, 3), np.uint8)


def frame(milliseconds):
    return make_frame(RIG.cameras, EgoState(milliseconds * 1_000_000, Pose(), 0.0), None, {"front": PICTURE}, {})


def test_a_frame_knows_the_cameras_of_its_pictures():
    made = frame(50)
    assert dict(made.calibrations) == {"front": FRONT}, "no picture of 'rear' came"
    assert made.ages_s == {"front": 0.0} and made.stamp_ns == 50_000_000 and made.goal is None
    assert made.history == () and made.roadside == ()


def test_history_comes_in_the_order_it_was_declared_in_and_says_what_is_missing():
    history = FrameHistory(RIG)
    made = [with_history(frame(at), history) for at in (0, 100, 200, 320)]
    assert made[0].history == (None, None)
    assert made[1].history[0] is None and made[1].history[1].stamp_ns == 0
    assert [one.stamp_ns for one in made[2].history] == [0, 100_000_000]
    assert [one.stamp_ns for one in made[3].history] == [100_000_000, 200_000_000], "20 ms off are within half a tick"
    assert made[3].history[1].history == (), "an earlier frame keeps no history: memory stays bounded"


def test_history_forgets_when_time_was_set_back_and_on_reset():
    history = FrameHistory(RIG)
    for at in (1000, 1100):
        with_history(frame(at), history)
    assert with_history(frame(0), history).history == (None, None)
    history.reset()
    assert with_history(frame(100), history).history == (None, None)


def test_a_rig_without_history_costs_no_memory():
    history = FrameHistory(SensorRig((FRONT,)))
    assert with_history(frame(0), history).history == () and not history._kept


@pytest.mark.parametrize("age_s", [0.0, -0.1, float("nan")])
def test_an_offset_that_is_not_in_the_past_is_refused(age_s):
    with pytest.raises(ConfigError, match="history_s"):
        SensorRig(history_s=(age_s,))
