"""Stamps that cannot be believed: the topic is named, in one line, and what is only odd is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bags import SPEED, copy_bag
from support.rewrite import moved, rewrite, stamped

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.stamps import CLOCK_LIMIT_NS, Times, header_stamp, judge
from kd_planner_ros.core.errors import BagError

S = 10**9
TICK = 50_000_000
EGO, CAMERA = "/carla/ego_vehicle/odometry", "/carla/ego_vehicle/front/image"
OTHERS = ("/front/image", "vehicle_control_cmd", "/imu", "/truth/state")


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return copy_bag(tmp_path_factory.mktemp("stamps") / "bag", labels=False, every=2)


def samples(path):
    with open_bag(path) as recording:
        return list(recording.samples()), recording


def ticks(count=100, first=0, step=TICK):
    return np.arange(count, dtype=np.int64) * step + first


def verdict(stamps, received=None, reference=None):
    stamps = np.asarray(stamps, np.int64)
    times = {"t": Times(np.arange(len(stamps)) * TICK if received is None else np.asarray(received), stamps)}
    if reference is not None:
        times["ego"] = Times(np.arange(len(reference)) * TICK, np.asarray(reference, np.int64))
    return judge(times, "ego")["t"]


def test_what_is_sound_is_not_doubted(bag):
    found, recording = samples(bag)
    assert len(found) == 80 and recording.notes == [] and not any(one.fault or one.notes for one in recording.verdicts.values())
    assert EGO in recording.verdicts and CAMERA in recording.verdicts and "/truth/objects" in recording.verdicts


@pytest.mark.parametrize("stamps, named", [
    (np.zeros(20), "stand still: 0.000 s in 20 of 20 messages"),
    (np.concatenate([ticks(50), np.full(4, 49 * TICK)]), "stand still: 2.450 s in 5 of 54"),
    (np.concatenate([ticks(50), ticks(50)]), "set back from 2.450 s to 0.000 s at message 51 of 100"),
    (np.concatenate([ticks(50), ticks(14, 46 * TICK)]), "set back from 2.450 s to 2.300 s at message 51"),
    (np.concatenate([ticks(5, 1_700_000_000 * S), ticks(50)]), "set back from 1700000000.200 s to 0.000 s at message 6"),
    (np.concatenate([ticks(50), [0], ticks(50, 50 * TICK)]), "set back from 2.450 s to 0.000 s at message 51 of 101"),
])
def test_stamps_that_do_not_grow_are_refused(stamps, named):
    assert named in verdict(stamps).fault


@pytest.mark.parametrize("stamps, told", [
    (np.repeat(ticks(50), 2), "50 of 100 messages repeat a stamp"),
    (np.repeat(ticks(50), 3), "100 of 150 messages repeat a stamp"),
    (np.concatenate([ticks(9), [10 * TICK, 9 * TICK], ticks(9, 11 * TICK)]), "1 of 20 messages came out of order"),
])
def test_what_a_network_does_is_told_and_not_refused(stamps, told):
    assert verdict(stamps).fault == "" and verdict(stamps).notes == (told,)


@given(st.integers(20, 60), st.integers(3, 15), st.integers(3, 300))
@settings(max_examples=60, deadline=None)
def test_every_set_back_of_three_messages_is_found(before, after, back):
    """Whatever was recorded before, and however far time was set back."""
    first = ticks(before, 100 * S)
    assert "set back" in verdict(np.concatenate([first, ticks(after, int(first[-1]) - max(back, 3) * TICK)])).fault


@given(st.integers(-10**7, 10**7), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_clock_beside_odometrys_is_found_by_its_offset(offset_ms, every):
    offset = offset_ms * 1_000_000
    found = verdict(ticks(100, offset)[::every], np.arange(100)[::every] * TICK, ticks(100))
    far = abs(offset) > CLOCK_LIMIT_NS + TICK
    assert bool(found.fault) == (abs(offset) > CLOCK_LIMIT_NS) or not far
    assert far <= ("two clocks" in found.fault)


def test_a_slow_sensor_and_slow_simulated_time_are_no_clocks_of_their_own():
    late = verdict(ticks(100), np.arange(100) * TICK + S, ticks(120))
    assert late.fault == "" and late.notes == ("its stamps are 1.0 s behind those of ego that were received at the same time",)
    slow = {"t": Times(np.arange(0, 100, 5) * S, ticks(20, step=5 * TICK)), "ego": Times(np.arange(100) * S, ticks(100))}
    assert judge(slow, "ego")["t"].fault == "" and judge(slow, "ego")["t"].notes == ()


def test_bag_times_that_say_nothing_are_not_compared():
    assert verdict(ticks(100), np.zeros(100), ticks(100)).fault == ""


@pytest.mark.parametrize("wanted", OTHERS)
def test_a_topic_of_another_clock_is_named_or_left_out(bag, tmp_path, wanted):
    """Pictures are needed, so the recording is refused; control, acceleration and truth are left out, and that is told."""
    path = rewrite(bag, tmp_path / "b", moved(wanted, lambda stamp: stamp + 1_700_000_000 * S))
    if wanted == "/front/image":
        with pytest.raises(BagError, match=f"{CAMERA} in .*from 1700000001.000 s to 170000000.* s, and {EGO} from 1.000 s to 8.950 s"):
            samples(path)
        return
    found, recording = samples(path)
    assert len(found) == 80
    assert any(wanted in note and "is left out" in note and "two clocks" in note for note in recording.notes)
    assert found[0].truth.control is None if wanted == "vehicle_control_cmd" else True


def test_odometry_of_wall_time_is_told_by_the_pictures(bag, tmp_path):
    path = rewrite(bag, tmp_path / "b", moved("/odometry", lambda stamp: stamp + 1_700_000_000 * S))
    with pytest.raises(BagError, match=r"front/image.* from 1\.000 s to .*odometry from 1700000001\.000 s"):
        samples(path)


@pytest.mark.parametrize("by_s", [0.3, 2.5, 4.0])
def test_time_that_is_set_back_never_gives_another_episodes_ego(bag, tmp_path, by_s):
    back = lambda stamp: stamp if stamp < 5 * S else stamp - round(by_s * S)  # noqa: E731
    path = rewrite(bag, tmp_path / "b", lambda topic, _, raw: stamped(raw, back(header_stamp(raw, topic)))
                   if topic.endswith(("/odometry", *OTHERS)) else raw)
    with pytest.raises(BagError, match=r"time that was set back from 4\.9\d0 s to .*record one drive"):
        samples(path)


def test_a_message_that_came_twice_counts_once(bag, tmp_path):
    path = rewrite(bag, tmp_path / "b", lambda topic, when, raw: [(when, raw), (when + 5, raw)])
    found, recording = samples(path)
    stamps = [one.frame.stamp_ns for one in found]
    assert stamps == sorted(set(stamps)) and len(stamps) == 80
    assert f"{CAMERA}: 80 of 160 messages repeat a stamp" in recording.notes


def test_odometry_without_finite_numbers_is_left_out_and_counted(bag, tmp_path):
    def change(topic, when, raw):
        return _without_numbers(raw) if topic == EGO and when % (10 * TICK) == 0 else raw

    path = rewrite(bag, tmp_path / "b", change)
    found, recording = samples(path)
    assert any("16 of 160 messages on /carla/ego_vehicle/odometry are left out" in note for note in recording.notes)
    assert all(np.isfinite(one.frame.ego.pose.x) and one.frame.ego.speed_mps == SPEED for one in found)


def _without_numbers(raw):
    from kd_planner_ros.bags.messages import typestore

    message = typestore().deserialize_cdr(raw, "nav_msgs/msg/Odometry")
    object.__setattr__(message.pose.pose.position, "x", float("nan"))
    return bytes(typestore().serialize_cdr(message, "nav_msgs/msg/Odometry"))
