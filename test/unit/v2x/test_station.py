"""What a station sends is what its gateway takes; and the guide's example says what comes of it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.v2x import START_NS, Radio, S, actor

from kd_planner_ros.core.scene import SIGNAL_DTYPE, LightState
from kd_planner_ros.core.v2x import OBJECTS, PHASE_DTYPE, PHASES, PICTURE
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.v2x.payloads import jpeg_size, read_rows
from kd_planner_ros.v2x.station import Sender, phases_of

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "use_v2x.md"


def sender(radio, first=1, **settings):
    channel = Channel(ChannelSettings(**settings))
    return Sender(radio.stations[0], radio.signers["north"], channel, first), channel


def test_its_messages_pass_with_one_number_after_another():
    radio = Radio()
    one, channel = sender(radio)
    image = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    signals = np.zeros(2, SIGNAL_DTYPE)
    signals["x"], signals["id"] = (10.0, 151.0), (1, 2)
    one.objects(np.concatenate([actor(1, x=151.0), actor(2, x=100.0), actor(3)]), START_NS, START_NS)
    one.picture("camera", image, START_NS, START_NS)
    one.phases(signals, START_NS, START_NS)
    arrived = channel.arrived(START_NS)
    assert [(message.sequence, message.kind, message.camera) for message in arrived] == [
        (1, OBJECTS, ""), (2, PICTURE, "camera"), (3, PHASES, "")]
    assert read_rows(arrived[0].payload, OBJECTS)["id"].tolist() == [3, 2], "in range, the nearest first"
    assert jpeg_size(arrived[1].payload) == (768, 432) and read_rows(arrived[2].payload, PHASES)["signal"].tolist() == [1]
    for message in arrived[::2]:
        radio.gateway.take(message)
    assert radio.gateway.counts["accepted"] == 2 and radio.gateway.refusals == {}


def test_a_station_that_was_started_again_goes_on_above_its_numbers():
    radio = Radio()
    for t_s in (0.0, 0.1):
        one, channel = sender(radio, first=0)
        one.objects(actor(), START_NS + round(t_s * S), START_NS + round(t_s * S))
        for message in channel.arrived(START_NS + S):
            radio.gateway.take(replace(message, received_ns=START_NS + round((t_s + 0.01) * S)))
    assert radio.gateway.counts["accepted"] >= 1 and set(radio.gateway.refusals) <= {"replayed"}, "two starts within one millisecond"


def test_noise_and_clock_are_the_channels():
    radio = Radio()
    one, channel = sender(radio, clock_offset_ms=250.0, position_noise_m=1.0)
    one.objects(actor(), START_NS, START_NS)
    (message,) = channel.arrived(START_NS)
    assert message.stamp_ns == START_NS + S // 4 and read_rows(message.payload, OBJECTS)["x"][0] != 20.0


def test_phases_of_signals():
    signals = np.zeros(1, SIGNAL_DTYPE)
    signals["id"], signals["state"], signals["yaw"] = 7, LightState.GREEN, np.pi / 2
    signals["stop_x0"], signals["stop_x1"], signals["stop_y0"], signals["stop_y1"] = 2.0, 6.0, 1.0, 1.0
    rows = phases_of(signals)
    assert rows.dtype == PHASE_DTYPE and rows["signal"] == 7 and rows["state"] == LightState.GREEN and np.isnan(rows["min_end_s"])
    assert (rows["stop_x"], rows["stop_y"]) == (4.0, 1.0) and rows["yaw"] == pytest.approx(-np.pi / 2), "the way of the traffic"


def test_signals_whose_stop_lines_the_gateway_would_refuse_are_not_sent():
    radio = Radio()
    one, channel = sender(radio)
    signals = np.zeros(2, SIGNAL_DTYPE)
    signals["x"], signals["id"] = 140.0, (1, 2)
    signals["stop_x0"] = signals["stop_x1"] = (130.0, 160.0)
    one.phases(signals, START_NS, START_NS)
    message, = channel.arrived(START_NS)
    radio.gateway.take(message)
    assert read_rows(message.payload, PHASES)["signal"].tolist() == [1] and radio.gateway.refusals == {}


def test_the_guides_example_prints_what_it_says(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(compile(code, str(GUIDE), "exec"), {})
    (said,) = re.findall(r"print\(.*\)\s+# (.*)", code)
    assert capsys.readouterr().out.strip() == said
