"""TCP on the unified encoder's Swin: TCP's inputs and outputs, the encoder's picture, and what it begins with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.unified import STEP_NS
from support.unified import frame as picture_frame

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.model import build_model as build_tcp
from kd_planner_ros.networks.tcp.model import example_inputs as tcp_inputs
from kd_planner_ros.networks.unified_encoder.model import feature_shapes
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_tcp.config import UnifiedTCPConfig
from kd_planner_ros.networks.unified_tcp.model import OUTPUTS, build_model, example_inputs
from kd_planner_ros.networks.unified_tcp.processor import build_processor
from kd_planner_ros.runtime.params import count_parameters

torch.set_num_threads(1)
TINY = UnifiedTCPConfig(size="tiny", camera_width=64, camera_height=48)
GOAL = NavigationGoal(np.array([20.0, 3.0]), Command.LEFT)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(TINY).eval()


def test_it_answers_as_tcp_and_gives_the_encoders_maps(model):
    with torch.no_grad():
        found = model(**example_inputs(TINY, 2), features=True)
    tcp = TCPConfig(size="3.1m", input_height=32, input_width=64)
    with torch.no_grad():
        theirs = build_tcp(tcp).eval()(**tcp_inputs(tcp, 2), features=True)
    assert {name for name in theirs if not name.startswith("stage")} == {name for name in found if not name.startswith("stage")}
    assert all(found[name].shape == theirs[name].shape for name in OUTPUTS if "attention" not in name)
    assert found["attention"].shape == (2, 4, 1, 2) and torch.allclose(found["attention"].sum((2, 3)), torch.ones(2, 4))
    assert [tuple(found[f"stage{number}"].shape[1:]) for number in (1, 2, 3, 4)] == feature_shapes(TINY)


def test_the_nano_size_is_smaller_than_the_tcp_that_it_is_compared_with():
    with torch.device("meta"):
        model = build_model(UnifiedTCPConfig(size="nano"))
    assert count_parameters(model) < TCPConfig(size="7.6m").spec.parameters
    assert {name.split(".")[0] for name in model.state_dict()} >= {"backbone", "join_traj", "decoder_ctrl"}


def test_it_sees_the_section_that_the_encoder_has_learnt_from():
    config = UnifiedTCPConfig(size="tiny", camera_width=128, camera_height=96)
    frame = replace(picture_frame(STEP_NS, 0, config), goal=GOAL, ego=EgoState(STEP_NS, Pose(), 6.0))
    given = build_processor(config).encode([frame])
    seen = UnifiedEncoderProcessor(config).encode([frame])["image"]
    assert torch.equal(given["image"], seen)
    assert given["state"][0, :3].tolist() == pytest.approx([0.5, -3.0, -20.0], abs=1e-5)  # planner frame: x right, y backward


def test_a_plan_comes_out(model):
    processor = build_processor(TINY)
    frame = replace(picture_frame(STEP_NS, 0, TINY), goal=GOAL, ego=EgoState(STEP_NS, Pose(), 6.0))
    with torch.no_grad():
        plan = processor.decode(model(**processor.encode([frame])), frame)
    assert plan.trajectory.points.shape == (4, 2) and np.isfinite(plan.trajectory.points).all() and plan.attention.shape == (1, 2)


def test_it_needs_a_route_and_no_matching():
    assert TINY.rig.needs_route and TINY.rig.cameras[0].id == "front"
    with pytest.raises(ConfigError, match="matching"):
        UnifiedTCPConfig(size="tiny", matching=True)
