"""Sequence numbers, rates and clocks."""

import numpy as np
import pytest

from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.order import NS, WINDOW, ClockEstimate, RateLimit, ReplayWindow
from kd_planner_ros.v2x.settings import GatewaySettings


@pytest.mark.parametrize("sequences, verdicts", [
    ([5, 6, 9], ["", "", ""]), ([5, 5], ["", reasons.REPLAYED]), ([5, 8, 6, 6], ["", "", reasons.REORDERED, reasons.REPLAYED]),
    ([500, 501 - WINDOW], ["", reasons.REORDERED]), ([0], [""])])
def test_sequence_numbers(sequences, verdicts):
    window = ReplayWindow()
    assert [take(window, one, 1000 + number) for number, one in enumerate(sequences)] == verdicts


def take(window, sequence, stamp_ns):
    reason = window.take(sequence, stamp_ns)
    if not reason:
        window.accept(sequence, stamp_ns)
    return reason


def test_a_stamp_that_does_not_grow():
    window, sent = ReplayWindow(), [(1, 10), (2, 10), (3, 9), (4, 11)]
    assert [take(window, *one) for one in sent] == ["", reasons.REORDERED, reasons.REORDERED, ""]


def test_a_station_that_begins_anew_is_heard_and_what_it_sent_before_is_not():
    window = ReplayWindow()
    assert [take(window, one, 10 + one - 500) for one in (500, 501)] == ["", ""]
    assert [take(window, one, 100 + one) for one in (7, 8, 7)] == ["", "", reasons.REPLAYED]
    assert [take(window, 500, 10), take(window, 501, 11), take(window, 9, 109)] == [reasons.REORDERED, reasons.REORDERED, ""]
    assert take(window, 500 - WINDOW, 5) == reasons.REORDERED and take(window, 8 - WINDOW, 5) == reasons.REPLAYED


def test_a_stamp_that_is_found_false_silences_nobody():
    window = ReplayWindow()
    assert [window.take(1, 3600 * NS), take(window, 2, NS), window.take(1, 3600 * NS)] == ["", "", reasons.REPLAYED]


def test_a_replay_window_stays_small():
    window = ReplayWindow()
    for number in range(10_000):
        take(window, number, number)
    assert len(window.seen) == WINDOW


def test_the_rate_allows_a_second_at_once_and_then_its_rate():
    limit = RateLimit(20.0, 1e6)
    assert sum(limit.take(0, 1) for _ in range(30)) == 20
    assert sum(limit.take(NS // 2, 1) for _ in range(30)) == 10
    assert sum(limit.take(NS // 4, 1) for _ in range(30)) == 0  # time that goes back gives nothing
    assert [limit.take(10 * NS, 600_000), limit.take(10 * NS, 600_000), limit.take(10 * NS, 400_000)] == [True, False, True]


def test_asking_the_rate_takes_nothing():
    limit = RateLimit(1.0, 100.0)
    assert all(limit.allows(0, 100) for _ in range(5)) and not limit.allows(0, 101)
    assert [limit.take(0, 1), limit.allows(0, 1), limit.allows(NS, 1)] == [True, False, True]


def clock_after(seconds, delay, hz=10):
    clock = ClockEstimate()
    for number in range(int(seconds * hz)):
        stamp_ns = round(number / hz * NS)
        clock.take(stamp_ns + round(delay(number / hz) * NS), stamp_ns)
    return clock


def test_the_offset_is_the_least_delay_of_half_a_minute():
    rng = np.random.default_rng(0)
    jitter = clock_after(40, lambda _: 0.03 + rng.exponential(0.05))
    assert jitter.offset_s == pytest.approx(0.03, abs=0.002) and jitter.verdict(GatewaySettings()) == ""
    assert clock_after(40, lambda t: 0.2 if t < 5 else 0.25).offset_s == pytest.approx(0.25)  # the old one is forgotten


@pytest.mark.parametrize("seed", range(5))
def test_jitter_is_no_drift(seed):
    rng = np.random.default_rng(seed)
    assert clock_after(40, lambda _: 0.02 + rng.exponential(0.05), hz=2).verdict(GatewaySettings()) == ""


@pytest.mark.parametrize("ppm, verdict", [(20, ""), (-20, ""), (100, reasons.CLOCK_DRIFT), (-100, reasons.CLOCK_DRIFT)])
def test_drift(ppm, verdict):
    assert clock_after(30, lambda t: 0.02 + ppm * 1e-6 * t).verdict(GatewaySettings()) == verdict


def test_little_is_not_judged():
    assert clock_after(0.9, lambda _: 5.0).verdict(GatewaySettings()) == ""
    assert clock_after(2.0, lambda _: 5.0).verdict(GatewaySettings()) == reasons.CLOCK_OFFSET
