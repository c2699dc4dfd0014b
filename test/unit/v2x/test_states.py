"""The state machine as a table: one letter a frame of 0.25 s in, one a frame out."""

import pytest

from kd_planner_ros.core.v2x import CoopState
from kd_planner_ros.v2x.settings import GatewaySettings
from kd_planner_ros.v2x.states import StateMachine

INPUTS = {"F": (True, True, True), "P": (True, False, True), "O": (False, True, True), ".": (False, False, True), "x": (True, True, False)}
OUTPUTS = {CoopState.COOP_FULL: "F", CoopState.COOP_OBJECTS: "O", CoopState.EGO_ONLY: "E", CoopState.MINIMAL_RISK: "M"}


@pytest.mark.parametrize("frames, states", [
    ("........", "EEEEEEEE"),
    ("FFFFFFFFF", "EEEEEEFFF"),  # the seventh frame is 1.5 s after the first
    ("PPPPPPPPP", "EEEEEEFFF"),
    ("OOOOOOOOO", "EEEEEEOOO"),
    ("OOOOOOOFFFFFFFF", "EEEEEEOOOOOOOFF"),  # pictures need their own good frames
    ("FFFFFFFOF", "EEEEEEFOF"),  # down at the frame; a gap of one picture's period needs no way back
    ("FFFFFFF.F", "EEEEEEFEF"),
    ("FFFFFFFOOFFFFFFF", "EEEEEEFOOOOOOOOF"),  # a longer one does
    ("FFFFFFF..FFFFFFF", "EEEEEEFEEEEEEEEF"),
    ("FFF.FFFFFFFF", "EEEEEEFFFFFF"),  # nor does a good frame count less for it
    ("FFF..FFFFFFFF", "EEEEEEEEEEEFF"),
    ("FFFFFFFxFFFFFFFF", "EEEEEEFMEEEEEEFF"),  # without odometry nothing is good
    ("x.x", "MEM"),
])
def test_states(frames, states):
    machine = StateMachine(GatewaySettings())
    given = [OUTPUTS[machine.update(number * 250_000_000, *INPUTS[frame])] for number, frame in enumerate(frames)]
    assert "".join(given) == states


def test_a_frame_asked_for_again_counts_once():
    machine = StateMachine(GatewaySettings(reenter_s=0.0))
    for _ in range(5):
        assert machine.update(0, True, True, True) == CoopState.EGO_ONLY


def test_two_pictures_a_second_are_enough_at_two_frames_a_second():
    machine = StateMachine(GatewaySettings())
    assert [machine.update(number * 500_000_000, True, False, True).name for number in range(4)] == [
        "EGO_ONLY", "EGO_ONLY", "EGO_ONLY", "COOP_FULL"]
