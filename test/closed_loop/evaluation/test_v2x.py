"""Closed loop with V2X: what only a station sees is not hit; messages that nobody can trust change no byte of the drive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kd_planner_ros.evaluation import closed_loop
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.evaluation.run_folder import read_run


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """(folder of the drive, record) of one hidden walker, by the settings of the radio; each is driven once."""
    done = {}

    def run(again="", **settings):
        key = (again, *sorted(settings.items()))
        if key not in done:
            config = ClosedLoopConfig("constant_velocity", tmp_path_factory.mktemp("drive"), routes="hidden", routes_count=1, route_seed=5,
                                      vehicles=0, walkers=0)
            result = closed_loop.run(replace(config, **settings), progress=False)
            folder, = config.out.glob("seed_0/*")
            done[key] = folder, result
        return done[key]

    return run


def pedestrians_hit(folder):
    return sum(event["kind"] == "collisions_pedestrian" for event in read_run(folder).events)


def test_the_walker_is_hit_without_and_not_with_v2x(drive):
    off, on = drive(v2x="off"), drive(v2x="on")
    assert pedestrians_hit(off[0]) == 1 and pedestrians_hit(on[0]) == 0
    assert off[1]["v2x"] == {} and on[1]["v2x"]["cautious_ticks"] > 5 and on[1]["v2x"]["states"]["COOP_OBJECTS"] > 100
    assert on[1]["mean"]["driving_score"] > off[1]["mean"]["driving_score"]
    reasons = read_run(on[0]).telemetry["reason"]
    assert 5 < reasons.count("hidden_object") <= on[1]["v2x"]["cautious_ticks"], "a control that has another reason keeps that"


@pytest.mark.parametrize("attack", ["unsigned", "forged", "replayed"])
def test_messages_that_cannot_be_trusted_change_no_byte(drive, attack):
    off, attacked = drive(v2x="off"), drive(v2x="on", v2x_attack=attack)
    for name in ("telemetry.csv", "events.jsonl", "plans.jsonl"):
        assert (off[0] / name).read_bytes() == (attacked[0] / name).read_bytes()
    radio = attacked[1]["v2x"]
    assert radio["accepted"] == 0 and set(radio["states"]) == {"EGO_ONLY"} and sum(radio["refused"].values()) > 100
    assert (attacked[0] / "v2x_rejected.jsonl").stat().st_size > 1000, "the evidence is kept"


def test_ghosts_of_a_station_with_a_key_cost_time_and_no_way(drive):
    off, ghosts = drive(v2x="off"), drive(v2x="on", v2x_attack="ghosts")
    assert ghosts[1]["mean"]["route_completion"] >= off[1]["mean"]["route_completion"] - 2.0
    assert ghosts[1]["v2x"]["cautious_ticks"] > 100


def test_two_drives_of_one_seed_with_loss_are_the_same_bytes(drive):
    lossy = {"v2x": "on", "v2x_loss": 0.3, "v2x_burst": 2.0, "v2x_latency_ms": 100.0, "v2x_jitter_ms": 50.0}
    one, two = drive(**lossy), drive("again", **lossy)
    for name in ("telemetry.csv", "events.jsonl", "statistics.json"):
        assert (one[0] / name).read_bytes() == (two[0] / name).read_bytes()
    assert one[1]["v2x"]["channel"]["lost"] > 50 and pedestrians_hit(one[0]) == 0
