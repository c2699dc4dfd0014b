"""The channel from roadside station to car: what it does follows from the seed, the station and the message's number."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import unfit_options
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.v2x import OBJECTS, RadioMessage
from kd_planner_ros.v2x.channel import ARRIVED, LOST, OVERHEAD_BYTES, QUEUE_FULL, SENT, Channel, clock_ns, fate, measured
from kd_planner_ros.v2x.channel_settings import ChannelSettings

MS = 1_000_000


def message(sequence, station="a", size=100, stamp_ns=0):
    return RadioMessage(station, sequence, OBJECTS, stamp_ns, bytes(size))


def losses(settings, count, station="a"):
    return np.array([fate(settings, station, number).lost for number in range(count)])


def rows(count):
    table = np.zeros(count, ACTOR_DTYPE)
    table["id"], table["x"], table["yaw"] = np.arange(count), 10.0, 1.0
    return table


def test_a_perfect_channel_hands_out_what_it_gets_at_once():
    channel = Channel()
    for number in range(3):
        channel.send(message(number), 50 * MS * number)
    assert [(one.sequence, one.received_ns) for one in channel.arrived(100 * MS)] == [(0, 0), (1, 50 * MS), (2, 100 * MS)]
    assert channel.counts == {SENT: 3, ARRIVED: 3} and channel.bytes_sent == 3 * (100 + OVERHEAD_BYTES)


def test_the_fate_of_a_message_depends_on_seed_station_and_number_alone():
    settings = ChannelSettings(seed=4, loss=0.3, burst=4.0, latency_ms=80.0, jitter_ms=30.0, position_noise_m=0.5)
    forth = [fate(settings, "a", number) for number in range(200)]
    assert [fate(settings, "a", number) for number in reversed(range(200))] == forth[::-1]
    for other in (replace(settings, seed=5), replace(settings, loss=0.4)):
        assert [fate(other, "a", number) for number in range(200)] != forth
    assert [fate(settings, "b", number) for number in range(200)] != forth
    table = rows(5)
    assert measured(settings, "a", 7, table).tobytes() == measured(settings, "a", 7, table).tobytes()
    assert measured(settings, "a", 8, table).tobytes() != measured(settings, "a", 7, table).tobytes()


@pytest.mark.parametrize(("loss", "burst", "run"), [(0.1, 1.0, 1 / 0.9), (0.3, 5.0, 5.0), (0.5, 8.0, 8.0), (0.5, 1.0, 2.0)])
def test_losses_have_the_share_and_the_mean_run_that_were_asked_for(loss, burst, run):
    lost = losses(ChannelSettings(loss=loss, burst=burst), 6000)
    begun = lost[1:] & ~lost[:-1]
    assert lost.mean() == pytest.approx(loss, abs=0.04)
    assert lost[1:].sum() / begun.sum() == pytest.approx(run, rel=0.2)


def test_no_loss_and_whole_loss():
    assert not losses(ChannelSettings(), 50).any() and losses(ChannelSettings(loss=1.0), 50).all()


def test_late_messages_arrive_late_and_may_overtake_one_another():
    channel = Channel(ChannelSettings(latency_ms=100.0, jitter_ms=100.0))
    for number in range(200):
        channel.send(message(number), 20 * MS * number)
    found = channel.arrived(100_000 * MS)
    delays_ms = np.array([(one.received_ns - 20 * MS * one.sequence) / MS for one in found])
    assert [one.received_ns for one in found] == sorted(one.received_ns for one in found)
    assert [one.sequence for one in found] != sorted(one.sequence for one in found)
    assert delays_ms.min() >= 100.0 and delays_ms.mean() == pytest.approx(200.0, rel=0.2)


def test_nothing_is_handed_out_before_it_has_arrived():
    channel = Channel(ChannelSettings(latency_ms=70.0))
    channel.send(message(0), 0)
    assert channel.arrived(69 * MS) == [] and len(channel.arrived(70 * MS)) == 1 and channel.arrived(200 * MS) == []


def test_a_narrow_channel_delays_what_waits_and_drops_what_would_wait_too_long():
    settings = ChannelSettings(bandwidth_kbps=(1000 + OVERHEAD_BYTES) * 8 / 100, queue_ms=250.0)  # a message takes 100 ms
    channel = Channel(settings)
    for number in range(5):
        channel.send(message(number, size=1000), 0)
    channel.send(message(0, station="b", size=1000), 0)
    found = channel.arrived(10_000 * MS)
    assert [(one.station, one.received_ns / MS) for one in found] == [("a", 100.0), ("b", 100.0), ("a", 200.0), ("a", 300.0)]
    assert channel.counts[QUEUE_FULL] == 2, "stations do not share a queue"


def test_a_reset_channel_begins_anew():
    channel = Channel(ChannelSettings(loss=0.5, latency_ms=10.0, bandwidth_kbps=8.0))

    def drive():
        for number in range(20):
            channel.send(message(number), 50 * MS * number)
        return channel.arrived(60_000 * MS)

    first, counts = drive(), dict(channel.counts)
    channel.reset()
    assert channel.counts == {} and drive() == first and channel.counts == counts and counts[LOST] > 0


def test_noise_has_the_deviations_that_were_asked_for_and_misses_objects():
    settings = ChannelSettings(position_noise_m=0.5, velocity_noise_mps=0.2, heading_noise_deg=5.0, missed=0.25)
    table = rows(4000)
    found = measured(settings, "a", 0, table)
    assert len(found) == pytest.approx(3000, abs=150) and (np.diff(found["id"]) > 0).all()
    assert found["x"].std() == pytest.approx(0.5, rel=0.1) and found["vy"].std() == pytest.approx(0.2, rel=0.1)
    assert np.degrees(found["yaw"]).std() == pytest.approx(5.0, rel=0.1) and found["x"].mean() == pytest.approx(10.0, abs=0.05)
    assert (table["x"] == 10.0).all() and measured(ChannelSettings(), "a", 0, table) is table


def test_a_clock_that_is_ahead_and_runs_fast():
    settings = ChannelSettings(clock_offset_ms=250.0, clock_drift_ppm=50.0)
    assert clock_ns(settings, 0) == 250 * MS and clock_ns(settings, 100_000 * MS) == 100_255 * MS
    assert clock_ns(ChannelSettings(), 7) == 7


@pytest.mark.parametrize("change", [{"loss": 1.5}, {"latency_ms": -1.0}, {"burst": 0.0}, {"missed": math.nan}, {"seed": -1}])
def test_a_setting_out_of_range_is_refused_by_its_option(change):
    with pytest.raises(ConfigError, match="--" + next(iter(change)).replace("_", "-")):
        Channel(ChannelSettings(**change))


def test_every_setting_can_be_an_option():
    assert unfit_options(ChannelSettings) == "" and len(fields(ChannelSettings)) == 13
