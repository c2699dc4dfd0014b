"""The cap beside vehicles that hide somebody: only while nothing is heard, and so that the car can stop within what it sees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.makers import MAKERS, find_maker
from support.plans import ego
from support.v2x import START_NS, Radio, actor, picture

from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.v2x import SILENT_DTYPE, CoopState, ReportedObjects, SilentStations
from kd_planner_ros.driving.caution import NO_BOUND
from kd_planner_ros.driving.occlusion import Occlusion
from kd_planner_ros.wire.channels import find_channel

NOBODY, S = np.zeros((0, 2)), 1_000_000_000


def van(x=25.0, y=-3.0, height=2.4, vx=0.0):
    row = np.zeros(1, ACTOR_DTYPE)
    row["id"], row["kind"], row["x"], row["y"], row["vx"] = 4, ActorKind.CAR, x, y, vx
    row["length"], row["width"], row["height"] = 5.4, 2.0, height
    return row


def reported(rows, stamp_ns=0, listed=True, stations=None):
    return ReportedObjects(stamp_ns, rows, np.zeros(len(rows)), np.array(stations or [0] * len(rows), np.int16), listed)


def lost(rows, speed, x=0.0, after_s=1.0):
    """The bound of a car that heard ``rows`` at time 0, and nothing since."""
    rule = Occlusion()
    rule.bound(reported(rows), NOBODY, ego(speed, x=x), 0)
    now_ns = round(after_s * S)
    return rule.bound(reported(rows[:0], now_ns, False), NOBODY, ego(speed, now_ns, x=x), now_ns)


@given(st.floats(4.0, 15.0), st.floats(-10.0, 40.0))
def test_a_car_that_is_not_capped_can_stop_before_the_far_end(speed, x):
    seen_m = 25.0 + 2.7 - 2.45 - x
    needed_m = 0.3 * speed + speed**2 / 8.0
    capped = lost(van(), speed, x).throttle == 0.0
    assert capped == (0.0 < seen_m < needed_m and 0.0 < 25.0 - x < 40.0)


@pytest.mark.parametrize("rows", [van(y=-6.5), van(height=1.45), van(vx=2.0), van(x=-20.0), van(x=60.0), van()[:0]],
                         ids=["far aside", "low", "moving", "behind", "far ahead", "nothing"])
def test_what_hides_nobody_changes_nothing(rows):
    assert lost(rows, 12.0) == NO_BOUND


def test_the_cap_holds_while_nothing_is_heard_and_is_forgotten():
    assert lost(van(), 12.0, x=15.0, after_s=0.5) == NO_BOUND, "the stations look behind it"
    assert 0.0 < lost(van(), 12.0, x=15.0).brake <= 0.5 and lost(van(), 3.0, x=20.0) == NO_BOUND
    assert lost(van(), 12.0, x=15.0, after_s=31.0) == NO_BOUND
    rule = Occlusion()
    rule.bound(reported(van()), NOBODY, ego(12.0), 0)
    assert rule.bound(reported(van(), S), NOBODY, ego(12.0, S, x=15.0), S) == NO_BOUND, "heard again"
    assert rule.bound(None, NOBODY, ego(12.0, 2 * S, x=15.0), 2 * S) != NO_BOUND
    rule.reset()
    assert rule.bound(None, NOBODY, ego(12.0, 2 * S, x=15.0), 2 * S) == NO_BOUND


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("seen", ["nothing", "pictures", "lists"])
def test_what_a_gateway_sends_when_the_lists_stop_reaches_the_cap(name, seen):
    """Pictures alone give COOP_FULL, and nobody looks behind the van all the same; an empty list is one."""
    make, channel, radio, rule = find_maker(name), find_channel("v2x_objects"), Radio(), Occlusion()
    lorry = actor(3, x=70.0, y=-3.0, kind=ActorKind.TRUCK, length=5.4, width=2.0, height=2.4)

    def heard(t_s, answer):
        car = ego(12.0, START_NS + round(t_s * S), x=60.0)
        message = channel.encode(make, answer.objects, answer.objects.stamp_ns, "map")
        return rule.bound(channel.decode(message), NOBODY, car, car.stamp_ns)

    for tick in range(40):
        radio.send(tick / 10, rows=lorry)
        if tick % 5 == 0:
            radio.send(tick / 10, jpeg=picture(tick))
        assert heard(tick / 10 + 0.05, radio.picture(tick / 10 + 0.05)) == NO_BOUND
    for tick in range(40, 60):
        if seen == "lists":
            radio.send(tick / 10, rows=lorry[:0])
        if seen != "nothing" and tick % 5 == 0:
            radio.send(tick / 10, jpeg=picture(tick))
        answer = radio.picture(tick / 10 + 0.05)
        bound = heard(tick / 10 + 0.05, answer)
    assert answer.state == (CoopState.EGO_ONLY if seen == "nothing" else CoopState.COOP_FULL) and not len(answer.objects.rows)
    assert bound == NO_BOUND if seen == "lists" else bound.brake > 0.0


def test_a_vehicle_that_drove_off_hides_nobody_at_its_old_place():
    rule = Occlusion()
    rule.bound(reported(van()), NOBODY, ego(12.0), 0)
    for tick in range(1, 21):
        rule.bound(reported(van(x=25.0 + tick, vx=10.0), tick * S // 10), NOBODY, ego(12.0), tick * S // 10)
    assert rule.bound(None, NOBODY, ego(12.0, 3 * S, x=15.0), 3 * S) == NO_BOUND


def test_a_vehicle_that_another_station_reported_first_is_one_vehicle():
    rule = Occlusion()
    for tick in range(5):
        rule.bound(reported(van(), tick * S // 10, stations=[tick % 2]), NOBODY, ego(12.0), tick * S // 10)
    assert len(rule._known) == 1
    rule.bound(reported(van(x=35.0, vx=10.0), S, stations=[0]), NOBODY, ego(12.0), S)
    assert rule.bound(None, NOBODY, ego(12.0, 2 * S, x=15.0), 2 * S) == NO_BOUND


@pytest.mark.parametrize("other", [van(x=90.0), van(x=60.0, vx=5.0), actor(4, x=60.0)], ids=["standing", "moving", "walker"])
def test_another_stations_object_of_the_same_id_takes_no_vehicle_away(other):
    rule = Occlusion()
    rule.bound(reported(np.concatenate([van(), other]), stations=[0, 1]), NOBODY, ego(12.0), 0)
    assert rule.bound(None, NOBODY, ego(12.0, S, x=15.0), S).brake > 0.0


def silent(*feet, stamp_ns=0, rest_s=np.inf):
    return SilentStations(stamp_ns, np.array([(number, x, y, rest_s) for number, (x, y) in enumerate(feet)], SILENT_DTYPE))


def blind(stations, speed, x=0.0, now_ns=0, path=NOBODY):
    """The bound of a car that never heard a list."""
    return Occlusion().bound(None, path, ego(speed, now_ns, x=x), now_ns, stations)


@given(st.floats(2.0, 20.0), st.floats(-80.0, 60.0))
def test_a_car_that_never_heard_a_list_can_stop_within_what_it_is_taken_to_see(speed, x):
    """The mast stands 15 m beside the way: the crossing begins 20 m before it and ends 20 m after it."""
    bound = blind(silent((0.0, 15.0)), speed, x)
    sees_m = max(-20.0 - x - 2.45, 0.0) + 8.0
    if -80.0 <= x <= 19.0 and 0.3 * speed + speed**2 / 8.0 > sees_m + 1.0:  # the rule looks at each metre of the way
        assert bound.throttle == 0.0 and 0.0 < bound.brake <= 0.5
    if x > 20.0 or 0.3 * speed + speed**2 / 8.0 < sees_m:
        assert bound == NO_BOUND


@pytest.mark.parametrize("stations, x", [(None, 0.0), (silent(), 0.0), (silent((0.0, 26.0)), 0.0), (silent((200.0, 0.0)), 0.0),
                                         (silent((-40.0, 0.0)), 0.0), (silent((0.0, 5.0), rest_s=29.0), 0.0),
                                         (silent((np.nan, 5.0)), 0.0), (silent((0.0, 5.0), stamp_ns=-31 * S), 0.0)],
                         ids=["nothing said", "none", "aside", "far ahead", "behind", "its list is remembered", "broken", "long ago"])
def test_stations_that_cap_nothing(stations, x):
    assert blind(stations, 12.0, x) == NO_BOUND


def test_the_crossing_on_the_path_counts_not_the_one_straight_on():
    turn = np.array([[x, 0.0] for x in range(21)] + [[20.0, y] for y in range(1, 61)], float)
    for ahead, round_the_corner in ((silent((60.0, 0.0)), False), (silent((20.0, 40.0)), True)):
        assert (blind(ahead, 20.0, path=turn) != NO_BOUND) == round_the_corner and (blind(ahead, 20.0) == NO_BOUND) == round_the_corner


def test_a_crossing_counts_for_half_a_minute_after_it_was_called_silent_last():
    assert blind(silent((0.0, 5.0)), 12.0, now_ns=29 * S).brake > 0.0


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("sent, capped", [("pictures", True), ("nothing", False), ("lists", False)])
def test_what_a_gateway_says_of_a_station_without_lists_reaches_the_cap(name, sent, capped):
    make, channel, radio = find_maker(name), find_channel("v2x_silent"), Radio()
    for tick in range(20):
        if sent == "lists":
            radio.send(tick / 10)
        if sent != "nothing" and tick % 5 == 0:
            radio.send(tick / 10, jpeg=picture(tick))
        answer = radio.picture(tick / 10 + 0.05)
        rows = channel.decode(channel.encode(make, answer.silent, answer.objects.stamp_ns, "map"))
        car = ego(12.0, START_NS + tick * S // 10, x=-5.0)
        bound = Occlusion().bound(answer.objects, NOBODY, car, car.stamp_ns, SilentStations(car.stamp_ns, rows))
        assert (bound != NO_BOUND) == (capped and tick >= 10), "a list may take a second to come"
