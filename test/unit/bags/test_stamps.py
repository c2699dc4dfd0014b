"""Stamps that cannot be believed: the topic is named, in one line, and what is only odd is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bags import SPEED, copy_bag
from support.rewrite import moved, rewrite

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.stamps import CLOCK_LIMIT_NS, Times, header_stamp, judge, lateness, placed, stamped
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
    (np.repeat(ticks(50), 9), "400 of 450 messages repeat a stamp"),
    (np.concatenate([ticks(50), np.full(4, 49 * TICK)]), "4 of 54 messages repeat a stamp"),
    (np.zeros(20), "all 20 messages have the stamp 0.000 s: they are taken at their bag times"),
    (np.concatenate([ticks(9), [10 * TICK, 9 * TICK], ticks(9, 11 * TICK)]), "1 of 20 messages came out of order"),
])
def test_what_a_network_does_is_told_and_not_refused(stamps, told):
    assert verdict(stamps).fault == "" and verdict(stamps).notes == (told,)


def test_stamps_that_stop_while_odometrys_go_on_are_refused_and_those_of_a_slow_simulator_are_not():
    """Of a slow simulator all topics repeat their stamps, however often; one topic that stops alone has a broken clock."""
    stopped = verdict(np.minimum(ticks(100), 49 * TICK), reference=ticks(100))
    assert stopped.fault == "stamps that stand still: 2.450 s in 51 of 100 messages, while those of ego go on from 2.450 s to 4.950 s"
    assert verdict(np.minimum(ticks(80), 49 * TICK), reference=ticks(80)).fault == ""  # 1.5 s: a picture that was sent again
    slow = np.repeat(ticks(10), 60)
    assert verdict(slow, reference=slow).fault == "" and verdict(slow, reference=ticks(10)).fault == ""
    ego = Times(np.arange(100) * TICK, np.minimum(ticks(100), 49 * TICK))
    assert "while those of t go on" in judge({"ego": ego, "t": Times(np.arange(100) * TICK, ticks(100))}, "ego")["ego"].fault


@pytest.mark.parametrize("stamp", [5, 7 * S, 1_700_000_000 * S])
@pytest.mark.parametrize("count", [4, 30])
@pytest.mark.parametrize("beside", [False, True])
def test_one_stamp_that_stays_is_refused_however_short_the_time(stamp, count, beside):
    """A dead driver sends its last picture again and again, beside a car that moves on or without any odometry."""
    found = verdict(np.full(count, stamp), reference=ticks(100, 7 * S) if beside else None)
    assert found.fault == f"stamps that stand still: {stamp / 1e9:.3f} s in {count} of {count} messages" and found.clock is None


@pytest.mark.parametrize("pace", [1, 4])
def test_messages_without_stamps_are_placed_by_odometrys_at_their_bag_times(pace, stamp=0):
    """Also where simulated time is slower than the bag's."""
    ego = Times(10**12 + np.arange(100) * TICK * pace, ticks(100, 7 * S))
    bare = Times(ego.received[10:40] + 3, np.full(30, stamp))
    found = judge({"ego": ego, "t": bare}, "ego")["t"]
    assert found.fault == "" and "30 messages have the stamp" in found.notes[0]
    assert np.abs(placed(bare, found).stamps - ego.stamps[10:40]).max() <= 3
    assert placed(Times(ego.received[:1] - S, bare.stamps[:1]), found).stamps.tolist() == [6 * S]
    assert placed(Times(ego.received[-1:] + S, bare.stamps[:1]), found).stamps.tolist() == [int(ego.stamps[-1]) + S]


def test_without_any_stamps_the_bag_times_count_and_without_those_nothing_can_be_placed():
    bare = Times(ticks(20, 3 * S), np.zeros(20, np.int64))
    found = judge({"ego": bare, "t": bare}, "ego")
    assert placed(bare, found["ego"]).stamps.tolist() == placed(bare, found["t"]).stamps.tolist() == bare.received.tolist()
    sound = Times(ticks(20, 3 * S), ticks(20, 90 * S))
    assert placed(bare, judge({"ego": bare, "t": sound}, "ego")["ego"]).stamps.tolist() == sound.stamps.tolist()
    nothing = judge({"t": Times(np.full(20, 5), np.zeros(20, np.int64))}, "ego")["t"]
    assert nothing.fault == "stamps that stand still: 0.000 s in 20 of 20 messages, and one bag time for all of them"


def test_two_messages_of_one_stamp_have_that_stamp_and_two_zeros_beside_a_clock_have_none():
    twice = Times(np.array([0, 9]), np.array([5 * S, 5 * S]))
    assert judge({"t": twice}, "ego")["t"].clock is None
    zeros = Times(np.array([0, 9]), np.zeros(2, np.int64))
    assert judge({"t": zeros}, "ego")["t"].clock is None
    assert judge({"t": zeros, "ego": Times(ticks(9), ticks(9, S))}, "ego")["t"].clock is not None


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_lateness_is_what_the_latest_message_is_late(jitter):
    stamps = ticks(len(jitter)) + np.array(jitter) * 1_000_000
    worst = max((max(stamps[:i + 1]) - stamps[i] for i in range(len(stamps))), default=0)
    assert lateness([Times(ticks(len(jitter)), stamps)]) == worst
    halves = [Times(ticks(len(jitter))[part], stamps[part]) for part in (slice(0, None, 2), slice(1, None, 2)) if len(stamps[part])]
    assert lateness(halves) == worst and lateness([]) == 0


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


def test_a_slow_simulators_repeats_are_merged_and_counted(bag, tmp_path):
    """Wall-clock timers send each tick's state several times; what comes later with the same stamp is not of that instant."""
    def change(topic, when, raw):
        again = raw if not topic.endswith("/odometry") else _moved(raw)
        return [(when, raw), *((when + n * 5_000_000, again) for n in range(1, 6))]

    found, recording = samples(rewrite(bag, tmp_path / "b", change))
    truth, _ = samples(bag)
    assert [one.frame.stamp_ns for one in found] == [one.frame.stamp_ns for one in truth]
    assert [one.frame.ego.pose.x for one in found] == [one.frame.ego.pose.x for one in truth]
    assert f"{EGO}: 800 of 960 messages repeat a stamp" in recording.notes and recording.incomplete == 0


def test_controls_and_pictures_without_stamps_are_placed_and_told(bag, tmp_path):
    """Nodes that leave the header empty; the bag's clock is another one than the simulator's."""
    def change(topic, when, raw):
        bare = topic.endswith(("vehicle_control_cmd", "/front/image"))
        return [(10**12 + 3 * when, stamped(raw, 0) if bare else raw)]

    found, recording = samples(rewrite(bag, tmp_path / "b", change))
    truth, _ = samples(bag)
    assert [(one.frame.stamp_ns, one.truth.control) for one in found] == [(one.frame.stamp_ns, one.truth.control) for one in truth]
    assert np.array_equal(found[9].frame.images["front"], truth[9].frame.images["front"])
    assert f"{CAMERA}: all 80 messages have the stamp 0.000 s: they are taken at their bag times" in recording.notes
    assert sum("vehicle_control_cmd: all 160 messages" in note for note in recording.notes) == 1


@pytest.mark.parametrize("late_by", [2 * TICK, 9 * TICK])
def test_late_pictures_are_read_in_the_order_of_their_stamps(bag, tmp_path, late_by):
    """Every eighth picture is held up by the network: no instant is lost, none comes out of order."""
    def change(topic, when, raw):
        late = topic.endswith("/front/image") and when % (16 * TICK) == 0
        return [(when + (late_by + 1 if late else 0), raw)]

    found, recording = samples(rewrite(bag, tmp_path / "b", change))
    truth, _ = samples(bag)
    assert [one.frame.stamp_ns for one in found] == [one.frame.stamp_ns for one in truth] and recording.incomplete == 0
    assert all(np.array_equal(one.frame.images["front"], other.frame.images["front"]) for one, other in zip(found, truth, strict=True))
    assert any(f"{CAMERA}: 10 of 80 messages came out of order" in note for note in recording.notes)


def test_pictures_that_all_come_late_are_paired_with_their_truth(bag, tmp_path):
    """A slow camera: more instants of truth than are kept by number lie between."""
    def change(topic, when, raw):
        return [(when + 30 * TICK if topic.endswith("/front/image") else when, raw)]

    found, recording = samples(rewrite(bag, tmp_path / "b", change))
    assert len(found) == 80 and recording.incomplete == 0 and any("1.5 s behind" in note for note in recording.notes)


@pytest.mark.parametrize("one_time", [True, False])
def test_speeds_are_paired_only_where_bag_times_tell_ticks_apart(bag, tmp_path, one_time):
    """A converted recording has one bag time, at which every speed was received."""
    faster = lambda topic, raw, when: _speed(when / S) if topic.endswith("/speedometer") else raw  # noqa: E731
    found, recording = samples(rewrite(bag, tmp_path / "b", lambda topic, when, raw: [
        (S if one_time else when, faster(topic, raw, when))]))
    speeds = [one.frame.ego.speed_mps for one in found]
    assert speeds == pytest.approx([SPEED] * 80 if one_time else [one.frame.stamp_ns / S for one in found])
    assert any("160 of 160 ticks without" in note and "speedometer" in note for note in recording.notes) == one_time


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


def _moved(raw):
    from kd_planner_ros.bags.messages import typestore

    message = typestore().deserialize_cdr(raw, "nav_msgs/msg/Odometry")
    message.pose.pose.position.x += 99.0
    return bytes(typestore().serialize_cdr(message, "nav_msgs/msg/Odometry"))


def _speed(mps):
    from kd_planner_ros.bags.messages import make, typestore

    return bytes(typestore().serialize_cdr(make("std_msgs/msg/Float32", data=mps), "std_msgs/msg/Float32"))
