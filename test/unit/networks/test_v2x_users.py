"""Road users as tokens: their numbers, who is not there, and that a network reads them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.frames import frame

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.v2x_vlm.config import OBJECTS, V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.meeting import beside_way
from kd_planner_ros.networks.v2x_vlm.model import build_model, example_inputs
from kd_planner_ros.networks.v2x_vlm.processor import build_processor
from kd_planner_ros.networks.v2x_vlm.users import FEATURES, THERE, user_features
from kd_planner_ros.runtime.engines import OpenVinoEngine

CONFIG = V2xVlmConfig(roadside="objects", lists="tokens", stations=2, meets=True, head="displacement")
AHEAD = np.array([30.0, 0.0])
POLE = CameraSpec("camera", Pose(20.0, 8.0, 6.0), 384, 216, 90.0, 0.1)


def one(x: float, y: float, speed: float = 0.0, heading: float = 0.0, kind: int = ActorKind.PEDESTRIAN) -> np.ndarray:
    return np.array([[kind, x, y, speed, heading]])


def with_list(shown, places):
    rows = np.zeros(len(places), ACTOR_DTYPE)
    rows["id"], rows["kind"] = np.arange(len(places)), ActorKind.PEDESTRIAN
    rows["x"], rows["y"] = (np.array(places, float).reshape(-1, 2) + (shown.ego.pose.x, shown.ego.pose.y)).T
    rows["length"] = rows["width"] = 0.5
    return dataclasses.replace(shown, roadside=(RoadsideView("s", POLE, None, rows, shown.stamp_ns, 0.0, Pose(20.0, 8.0)),))


def test_who_stands_beside_the_way_is_told_with_how_far():
    assert beside_way(np.array([[20.0, 3.0], [20.0, -3.0], [10.0, 0.0]]), AHEAD).tolist() == [[20.0, 3.0], [20.0, -3.0], [10.0, 0.0]]
    turn = beside_way(np.array([[12.0, 30.0]]), np.array([10.0, 10.0]))[0]
    assert turn[1] == pytest.approx(-2.0, abs=0.05), "the way leads to the left, and 10 m ahead it goes there: he is 2 m to its right"


def test_a_row_of_features_says_what_is_known_of_a_road_user_and_empty_rows_are_zero():
    found = user_features(one(20.0, -8.0, 2.0, math.pi / 2), AHEAD, 3, meets=True)
    assert found.shape == (3, FEATURES) and not found[1:].any()
    assert found[0, THERE] == 1.0 and found[0, 1:7].sum() == 1.0
    assert found[0, 7:].tolist() == pytest.approx([0.4, -0.16, 0.0, 0.2, 20 / 45, -0.8, 1.0, 20 / 45, 0.5], abs=1e-6)
    without = user_features(one(20.0, -8.0, 2.0, math.pi / 2), AHEAD, 3, meets=False)
    assert not without[0, 11:].any() and np.array_equal(without[0, :11], found[0, :11])
    assert user_features(np.zeros((0, 5)), AHEAD, 3, meets=True).shape == (3, FEATURES)
    assert user_features(np.repeat(one(9.0, 1.0), 12, 0), AHEAD, OBJECTS, meets=True)[:, THERE].sum() == OBJECTS


@given(st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), st.floats(0.0, 30.0), st.floats(-7.0, 7.0), st.floats(-5.0, 60.0),
       st.floats(-40.0, 40.0))
def test_features_are_finite_and_of_about_one(x: float, y: float, speed: float, heading: float, ahead: float, left: float):
    found = user_features(one(x, y, speed, heading), np.array([ahead, left]), 1, meets=True)
    assert np.isfinite(found).all() and np.abs(found).max() <= 3.0


def test_the_prompt_names_no_road_user_and_the_tokens_do():
    processor, shown = build_processor(CONFIG), frame(CONFIG.rig, 0)
    empty, told = processor.encode([with_list(shown, [])]), processor.encode([with_list(shown, [(20.0, 3.0)])])
    assert torch.equal(empty["words"], told["words"]), "a list came both times"
    assert not torch.equal(processor.encode([shown])["words"], told["words"]), "that no list came is a word"
    assert empty["users"][0, :, THERE].sum() == 0 and told["users"][0, :, THERE].sum() == 1
    assert told["words"].shape[1] == 64 < V2xVlmConfig(roadside="objects", stations=2, meets=True).prompt


def test_a_road_user_changes_the_plan_and_the_place_of_nobody_does_not():
    torch.manual_seed(0)
    model, inputs = build_model(CONFIG).eval(), example_inputs(CONFIG)
    with torch.no_grad():
        alone = model(**inputs)["points"]
        noise = dict(inputs, users=torch.rand(1, OBJECTS, FEATURES))
        noise["users"][..., THERE] = 0.0
        assert torch.equal(model(**noise)["points"], alone), "a row that says nobody is there is not read"
        told = torch.from_numpy(user_features(one(15.0, 1.0), AHEAD, OBJECTS, meets=True))[None]
        assert not torch.allclose(model(**dict(inputs, users=told))["points"], alone)


@pytest.mark.parametrize("fields", [{"roadside": "picture", "lists": "tokens"}, {"roadside": "objects", "lists": "both"}])
def test_tokens_need_lists(fields):
    with pytest.raises(ConfigError, match="lists"):
        V2xVlmConfig(**fields)


def test_the_exported_graph_gives_the_plan_of_torch():
    pytest.importorskip("openvino", reason="openvino is not installed: use the pinned environment ('make setup')")
    torch.manual_seed(0)
    model, inputs = build_model(CONFIG).eval(), example_inputs(CONFIG)
    engine = OpenVinoEngine(model, find_network("v2x_vlm"), inputs)
    told = dict(inputs, users=torch.from_numpy(user_features(np.repeat(one(15.0, 1.0), 2, 0), AHEAD, OBJECTS, meets=True))[None])
    for read in (inputs, told):
        with torch.no_grad():
            assert torch.allclose(engine.run(read)["points"], model(**read)["points"], atol=engine.tolerance)
