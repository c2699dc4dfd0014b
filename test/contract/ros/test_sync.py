"""The aligner's contract, kept by our own and by message_filters' synchroniser where that is installed."""

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.sync.aligner import Aligner, InputSpec
from kd_planner_ros.sync.cadence import Cadence

MS = 1_000_000
SPECS = (InputSpec("front"), InputSpec("lidar"), InputSpec("odometry"), InputSpec("v2x", required=False, max_age_s=0.5),
         InputSpec("speed", required=False, max_age_s=0.06, headerless=True))


def make(kind, specs=SPECS):
    if kind == "message_filters":
        pytest.importorskip("message_filters", reason="message_filters is not installed: source ROS 2, or put "
                            "ros2/message_filters' src folder on PYTHONPATH")
        from kd_planner_ros.ros.sync import MessageFiltersAligner as chosen
    else:
        chosen = Aligner
    sets = []
    return chosen(specs, "front", sets.append), sets


both = pytest.mark.parametrize("kind", ["own", "message_filters"])


def feed(aligner, stamp, names=("lidar", "odometry", "front"), offsets=MappingProxyType({})):
    for name in names:
        aligner.add(name, stamp + offsets.get(name, 0), f"{name}@{stamp // MS}")


@both
def test_one_set_per_trigger_whatever_the_order(kind):
    aligner, sets = make(kind)
    orders = [("lidar", "odometry", "front"), ("front", "odometry", "lidar"), ("odometry", "front", "lidar")]
    for n in range(9):
        feed(aligner, 100 * MS * n, orders[n % 3])
    assert [one.stamp_ns for one in sets] == [100 * MS * n for n in range(9)]
    names = ("front", "lidar", "odometry")
    assert all(one.items[name] == f"{name}@{one.stamp_ns // MS}" for one in sets for name in names)
    assert aligner.counters.sets == 9 and aligner.counters.missed == 0


@both
def test_tolerance_and_signed_age(kind):
    aligner, sets = make(kind)
    feed(aligner, 1000 * MS, offsets={"lidar": 20 * MS})
    feed(aligner, 1100 * MS, offsets={"lidar": 30 * MS})
    feed(aligner, 1200 * MS)
    assert [one.stamp_ns // MS for one in sets] == [1000, 1200]
    assert sets[0].ages_s["lidar"] == pytest.approx(-0.02)
    assert aligner.counters.missed == 1 and aligner.counters.lacking["lidar"] == 1


@both
def test_a_missing_required_input_gives_no_set_and_a_missing_optional_one_does(kind):
    aligner, sets = make(kind)
    for n in range(5):
        feed(aligner, 100 * MS * n, ("odometry", "front"))
    assert sets == [] and aligner.counters.lacking["lidar"] == 4 and aligner.unseen() == ["lidar"]
    feed(aligner, 500 * MS)
    assert len(sets) == 1 and "v2x" not in sets[0].items


@both
def test_an_optional_input_comes_with_its_age_until_it_is_too_old(kind):
    aligner, sets = make(kind)
    aligner.add("v2x", 0, "boxes")
    feed(aligner, 400 * MS)
    feed(aligner, 600 * MS)
    assert sets[0].items["v2x"] == "boxes" and sets[0].ages_s["v2x"] == pytest.approx(0.4)
    assert "v2x" not in sets[1].items


@both
def test_a_headerless_input_takes_the_newest_stamp_seen(kind):
    aligner, sets = make(kind)
    aligner.add("speed", None, 1.0)
    assert aligner.ages_s(0) == {}
    aligner.add("odometry", 950 * MS, "odometry")
    aligner.add("speed", None, 7.5)
    feed(aligner, 1000 * MS)
    assert sets[0].items["speed"] == 7.5 and sets[0].ages_s["speed"] == pytest.approx(0.05)


@both
def test_time_set_back_is_noticed_and_matching_goes_on(kind):
    aligner, sets = make(kind)
    for n in range(50, 60):
        feed(aligner, 100 * MS * n)
    feed(aligner, 100 * MS * 60, ("lidar", "odometry"))  # newer ones still wait when time is set back
    sets.clear()
    for n in range(10):
        feed(aligner, 100 * MS * n)
    assert [one.stamp_ns // MS for one in sets][-8:] == [100 * n for n in range(2, 10)]
    assert aligner.counters.resets >= 1


@both
def test_a_slightly_late_message_is_left_out(kind):
    aligner, sets = make(kind)
    feed(aligner, 1000 * MS)
    aligner.add("lidar", 950 * MS, "late")
    assert aligner.counters.late == 1 and len(sets) == 1


@both
def test_an_exception_in_the_callback_leaves_it_alive(kind):
    aligner, sets = make(kind)
    calls = []

    def fail(one):
        calls.append(one)
        raise RuntimeError("callback")

    aligner.on_set = fail
    with pytest.raises(RuntimeError):
        feed(aligner, 1000 * MS)
    aligner.on_set = sets.append
    feed(aligner, 1100 * MS)
    assert len(calls) == 1 and [one.stamp_ns // MS for one in sets] == [1100]


def test_silence_is_told_per_input():
    aligner, _ = make("own")
    feed(aligner, 1000 * MS)
    aligner.add("odometry", 1600 * MS, "odometry")
    assert aligner.silent(1600 * MS, 0.5) == {"front": pytest.approx(0.6), "lidar": pytest.approx(0.6)}


def test_the_trigger_must_be_an_input_with_a_header():
    with pytest.raises(ValueError):
        Aligner(SPECS, "speed", print)
    with pytest.raises(ValueError):
        Aligner(SPECS, "rear", print)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.permutations(["front", "lidar", "odometry"]), min_size=1, max_size=12), st.randoms())
def test_any_order_within_a_tick_gives_the_same_sets(orders, random):
    aligner, sets = make("own")
    for n, order in enumerate(orders):
        feed(aligner, 50 * MS * n, order)
    assert [one.stamp_ns for one in sets] == [50 * MS * n for n in range(len(orders))]


def test_cadence_is_due_every_second_tick_and_after_a_gap():
    cadence, due = Cadence(0.1), []
    for n in [0, 1, 2, 3, 4, 9, 10, 11]:
        if cadence.due(50 * MS * n):
            cadence.mark(50 * MS * n)
            due.append(n)
    assert due == [0, 2, 4, 9, 11]


# --- optional inputs that are waited for -----------------------------------------------------------------------------

WAITED = (InputSpec("front"), InputSpec("left", required=False, wait_sets=2))


def waiting(offered=lambda name: True):
    sets = []
    return Aligner(WAITED, "front", sets.append, offered), sets


def test_a_side_camera_that_comes_late_is_waited_for_whatever_the_order():
    aligner, sets = waiting()
    for n, names in enumerate((("front", "left"), ("left", "front"), ("front", "left"))):
        feed(aligner, 100 * n * MS, names)
    assert [sorted(one.items) for one in sets] == [["front", "left"]] * 3 and aligner.counters.missed == 0


def test_a_side_camera_that_dies_delays_two_sets_and_costs_none():
    aligner, sets = waiting()
    feed(aligner, 0, ("front", "left"))
    counts = []
    for n in range(1, 6):
        feed(aligner, 100 * n * MS, ("front",))
        counts.append(len(sets))
    assert counts == [1, 2, 4, 5, 6], "two pictures wait for the next one, the third does not"
    assert [one.stamp_ns // MS for one in sets] == [0, 100, 200, 300, 400, 500] and all("left" not in one.items for one in sets[1:])
    feed(aligner, 600 * MS, ("left", "front"))
    assert sorted(sets[-1].items) == ["front", "left"] and aligner.counters.missed == 0


def test_who_is_not_offered_is_not_waited_for_and_who_was_never_seen_not_for_long():
    aligner, sets = waiting(lambda name: False)
    feed(aligner, 0, ("front",))
    assert len(sets) == 1
    aligner, sets = waiting()
    for n in range(5):
        feed(aligner, 100 * n * MS, ("front",))
    assert [one.stamp_ns // MS for one in sets] == [0, 100, 200, 300, 400]
