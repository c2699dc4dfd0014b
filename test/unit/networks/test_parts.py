"""Which parts of a perceiver run on which frame, by hand."""

import pytest

from kd_planner_ros.core.errors import ConfigError, PlannerError
from kd_planner_ros.networks.parts import WHOLE, Part, Schedule

EYE = Part("eye", switch=False)
PARTS = (EYE, Part("depth", ("eye",)), Part("pose", ("eye",), ("eye",)), Part("flow", ("eye", "pose"), ("eye",)))


def runs(schedule, frames):
    return [sorted(schedule.next()) for _ in range(frames)]


def test_everything_runs_on_every_frame_by_default():
    schedule = Schedule(PARTS)
    assert schedule.switches == ("depth", "pose", "flow") and schedule.rates == {"depth": 1, "pose": 1, "flow": 1}
    assert runs(schedule, 2) == [["depth", "eye", "flow", "pose"]] * 2


def test_a_part_runs_every_nth_frame_and_what_it_needs_with_it():
    schedule = Schedule(PARTS)
    schedule.set_rates({"depth": 2, "pose": 0, "flow": 0})
    assert runs(schedule, 4) == [["depth", "eye"], [], ["depth", "eye"], []]


def test_a_part_that_reads_the_frame_before_has_it_there():
    """Flow on frames 0, 3, 6: the encoder also runs on frames 2 and 5."""
    schedule = Schedule(PARTS)
    schedule.set_rates({"depth": 0, "pose": 3, "flow": 3})
    assert runs(schedule, 6) == [["eye", "flow", "pose"], [], ["eye"], ["eye", "flow", "pose"], [], ["eye"]]


def test_a_slow_part_runs_more_often_where_a_fast_one_needs_it():
    schedule = Schedule(PARTS)
    schedule.set_rates({"depth": 0, "pose": 2})
    assert runs(schedule, 2) == [["eye", "flow", "pose"]] * 2 and not schedule.blocked()
    assert schedule.hurried() == {"pose": ("flow",)}
    for rates in ({"flow": 2}, {"flow": 4}, {"pose": 1, "flow": 3}, {"pose": 3, "flow": 0}):
        schedule.set_rates(rates)
        assert not schedule.hurried(), rates
    schedule.set_rates({"pose": 2, "flow": 3})
    assert schedule.hurried() == {"pose": ("flow",)}


def test_a_part_that_needs_one_that_is_off_never_runs_and_is_told():
    schedule = Schedule(PARTS)
    schedule.set_rates({"pose": 0})
    assert schedule.blocked() == {"flow": ("pose",)} and runs(schedule, 2) == [["depth", "eye"]] * 2
    schedule.set_rates({"flow": 0})
    assert not schedule.blocked()


@pytest.mark.parametrize(("rates", "words"), [
    ({"sound": 1}, "out of depth, pose, flow; got 'sound'"), ({"eye": 0}, "out of depth, pose, flow; got 'eye'"),
    ({"depth": -1}, "rate_divider.depth: a whole number from 0"), ({"depth": True}, "got True"), ({"depth": 1.5}, "got 1.5"),
    ({"depth": 1001}, "to 1000; got 1001")])
def test_unfit_rates_are_refused_and_change_nothing(rates, words):
    schedule = Schedule(PARTS)
    with pytest.raises(ConfigError, match=words):
        schedule.set_rates({"pose": 5, **rates})
    assert schedule.rates == {"depth": 1, "pose": 1, "flow": 1}


def test_parts_that_cannot_run_in_their_order_are_refused():
    with pytest.raises(PlannerError, match="that it needs; got no pose"):
        Schedule((EYE, PARTS[3], PARTS[2]))
    with pytest.raises(PlannerError, match="one part of each name"):
        Schedule((EYE, EYE))
    assert Schedule(WHOLE).switches == ("network",)
