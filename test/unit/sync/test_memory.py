"""Earlier sets by their age: whole or not at all, from whatever order the messages came in."""

import pytest

from kd_planner_ros.sync.aligner import InputSpec
from kd_planner_ros.sync.memory import SetMemory

MS = 1_000_000
INPUTS = [InputSpec("front", max_age_s=0.025), InputSpec("odometry", max_age_s=0.025)]


def memory(*offsets_ms):
    return SetMemory(INPUTS, "front", [offset * MS for offset in offsets_ms], 25 * MS)


def feed(kept, name, *stamps_ms):
    for stamp in stamps_ms:
        kept.add(name, stamp * MS, f"{name} {stamp}")


def stamps(found):
    return [None if one is None else one.stamp_ns // MS for one in found]


def test_sets_at_each_offset_in_their_order():
    kept = memory(200, 100, 50)
    feed(kept, "front", *range(0, 400, 50))
    feed(kept, "odometry", *range(10, 400, 50))
    found = kept.before(350 * MS)
    assert stamps(found) == [150, 250, 300]
    assert found[0].items == {"front": "front 150", "odometry": "odometry 160"} and found[0].ages_s == {"front": 0.0, "odometry": -0.01}
    assert stamps(kept.before(100 * MS)) == [None, 0, 50]


def test_a_set_that_lacks_an_input_is_no_set():
    kept = memory(100)
    feed(kept, "front", 0, 100)
    feed(kept, "odometry", 30, 100)
    assert stamps(kept.before(100 * MS)) == [None], "odometry lies 30 ms from the picture"
    feed(kept, "odometry", 5)
    assert stamps(kept.before(100 * MS)) == [0], "it came late"


@pytest.mark.parametrize("at_ms, found", [(24, 24), (26, None)])
def test_a_picture_counts_within_half_a_tick(at_ms, found):
    kept = memory(100)
    feed(kept, "front", at_ms)
    feed(kept, "odometry", at_ms)
    assert stamps(kept.before(100 * MS)) == [found]


def test_memory_stays_bounded_and_a_reset_forgets():
    kept = memory(100)
    feed(kept, "front", *range(0, 60_000, 50))
    feed(kept, "odometry", *range(0, 60_000, 50))
    assert len(kept._kept["front"]) <= 14 and stamps(kept.before(59_950 * MS)) == [59_850]
    kept.reset()
    assert stamps(kept.before(59_950 * MS)) == [None]
