"""The steering perceiver: what it sees with the angle beside it, its window, and its parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.unified import STEP_NS, frame

from kd_planner_ros.networks.parts import Schedule
from kd_planner_ros.networks.unified_encoder.processor import build_processor as build_eyes
from kd_planner_ros.networks.unified_encoder.steering import WINDOW
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig
from kd_planner_ros.networks.unified_steering.model import OUTPUTS, build_model
from kd_planner_ros.networks.unified_steering.parts import build_parts
from kd_planner_ros.networks.unified_steering.processor import build_processor

TINY = UnifiedSteeringConfig(size="tiny", camera_width=64, camera_height=48)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(TINY).eval()


def picture(number):
    return frame((number + 1) * STEP_NS, number, TINY)


def look(model, processor, seen):
    with torch.inference_mode():
        return processor.decode(model(**processor.encode([seen])), seen)


def test_it_steers_when_its_window_is_whole_and_sees_what_the_encoder_sees(model):
    processor, eyes = build_processor(TINY), build_eyes(TINY)
    for number in range(WINDOW + 1):
        found = look(model, processor, picture(number))
        own = look(model.perception, eyes, picture(number))
        ready = number >= WINDOW - 1
        assert found.scalars["steering_ready"] == ready and math.isfinite(found.scalars["steer"]) == ready
        assert ("steer" in found.unknown) != ready and abs(np.nan_to_num(found.scalars["steer"])) <= 1.0
        assert set(found.outputs) == set(own.outputs)
        assert all(np.array_equal(found.outputs[name].array, one.array, equal_nan=True) for name, one in own.outputs.items())
    assert found.unknown == own.unknown and "1 of 16" in look(model, build_processor(TINY), picture(0)).unknown["steer"]


def test_after_a_gap_the_window_begins_anew(model):
    processor = build_processor(TINY)
    for number in range(WINDOW):
        found = look(model, processor, picture(number))
    assert found.scalars["steering_ready"] == 1.0
    assert look(model, processor, picture(WINDOW + 9)).unknown["steer"] == "not ready: 1 of 16 pictures"


def test_the_angle_is_a_share_of_full_lock_and_stays_within_it(model):
    processor = build_processor(TINY)
    for number in range(WINDOW):
        seen = picture(number)
        with torch.inference_mode():
            outputs = dict(model(**processor.encode([seen])))
        found = processor.decode({**outputs, "steer": torch.tensor([35.0 if number < WINDOW - 1 else -900.0])}, seen)
    assert found.scalars["steer"] == -1.0
    last = picture(WINDOW)
    with torch.inference_mode():
        outputs = dict(model(**processor.encode([last])))
    assert processor.decode({**outputs, "steer": torch.tensor([35.0])}, last).scalars["steer"] == pytest.approx(0.5)


def test_its_parts_give_what_the_whole_gives_and_steering_is_a_switch(model):
    parts, processor = build_parts(model, TINY), build_processor(TINY)
    assert parts[-1].name == "steering" and "steering" in Schedule(parts).switches
    for number in range(3):
        known = dict(processor.encode([picture(number)]))
        with torch.inference_mode():
            whole = model(**known)
            for part in parts:
                known |= part.module(*(known[name] for name in part.inputs))
        for name in OUTPUTS:
            torch.testing.assert_close(known[name], whole[name], rtol=1e-4, atol=1e-4)
        processor.decode(whole, picture(number))
    without = {name: one for name, one in whole.items() if name != "steer"}
    assert "steer" not in processor.decode(without, picture(3)).scalars
