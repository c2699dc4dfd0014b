"""The log of a gateway: each change of its state, its counts each second, and a roadside view now and then."""

import json

import cv2
import numpy as np
import pytest
from support.v2x import START_NS, Radio, S, picture

from kd_planner_ros.core.v2x import CoopState
from kd_planner_ros.v2x.log import FILE_NAME, PICTURES, VIEWS_S, GatewayLog


def lines(folder):
    return [json.loads(line) for line in (folder / FILE_NAME).read_text().splitlines()]


def drive(radio, log, until_s, sends, from_s=0.0):
    """Ten answers a second, each logged; ``sends(t_s)`` before each."""
    for tick in range(round(from_s * 10), round(until_s * 10)):
        sends(tick / 10)
        log.take(radio.picture(tick / 10 + 0.05), radio.gateway.counts["accepted"])


def test_states_reasons_counts_and_views_are_logged(tmp_path):
    radio, log = Radio(), GatewayLog(tmp_path / "run", START_NS)

    def both(t_s):
        radio.send(t_s)
        if round(10 * t_s) % 2 == 0:
            radio.send(t_s, jpeg=picture(round(10 * t_s)))

    drive(radio, log, 4.0, both)
    drive(radio, log, 5.0, radio.send, 4.0)  # lists alone
    drive(radio, log, 8.0, lambda t_s: radio.send(t_s, latency_s=2.0), 5.0)
    log.close()
    found = lines(tmp_path / "run")
    told = [line for line in found if "state" in line]
    order = list(dict.fromkeys(line["state"] for line in told))
    assert order == [CoopState.EGO_ONLY.name, CoopState.COOP_FULL.name, CoopState.COOP_OBJECTS.name]
    assert told[-1]["state"] == CoopState.EGO_ONLY.name and "no picture or object list that may be used" in told[-1]["why"]
    stamps = [line["stamp_s"] for line in told]
    assert stamps == sorted(stamps) and stamps[0] == pytest.approx(0.05) and np.diff(stamps).max() <= 1.1
    assert told[-1]["accepted"] == 50 + 20 and sum(told[-1]["rejected"].values()) > 20, "counts go on while the state stays"
    views = [line for line in found if "view" in line]
    assert 1 <= len(views) <= 4 / VIEWS_S + 1 and all(0.0 <= line["age_s"] < 0.5 and line["station"] == "north" for line in views)
    image = cv2.imread(str(tmp_path / "run" / PICTURES / views[0]["view"]))
    assert image.shape == (72, 128, 3)


def test_counts_are_those_of_the_drive_over_all_its_gateways(tmp_path):
    radio, log = Radio(), GatewayLog(tmp_path, START_NS, pictures=False)
    drive(radio, log, 1.0, lambda t_s: radio.send(t_s, latency_s=2.0 if round(10 * t_s) % 2 else None))
    log.carry(radio.gateway.counts["accepted"], radio.gateway.refusals)
    radio.gateway.reset()
    drive(radio, log, 2.0, lambda t_s: radio.send(t_s, **({"payload": bytes(45)} if round(10 * t_s) % 2 else {})), 1.0)
    log.take(radio.picture(9.0), radio.gateway.counts["accepted"])
    log.close()
    last = lines(tmp_path)[-1]
    assert last["accepted"] == 5 + 5 and list(last["rejected"].items()) == [("malformed", 5), ("stale", 5)]


def test_a_log_without_pictures_and_one_that_goes_on(tmp_path):
    radio, log = Radio(), GatewayLog(tmp_path, START_NS - 10 * S, pictures=False)
    drive(radio, log, 3.0, lambda t_s: radio.send(t_s, jpeg=picture(round(10 * t_s))))
    log.close()
    log.close()
    before = lines(tmp_path)
    assert before[0]["stamp_s"] == pytest.approx(10.05) and all("state" in line for line in before) and not (tmp_path / PICTURES).exists()
    log.take(radio.picture(3.05), 0)
    log.close()
    assert lines(tmp_path)[:-1] == before, "an answer after the end is added"
