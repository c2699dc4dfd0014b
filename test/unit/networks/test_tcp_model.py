"""TCP: the paper's sizes to the last parameter, shapes, gradients, what depends on what."""

from __future__ import annotations

import pytest
import torch
from support.networks import noise

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.tcp.config import CONFIGURATIONS, SIZES, TCPConfig
from kd_planner_ros.networks.tcp.loss import imitation_loss
from kd_planner_ros.networks.tcp.model import build_model, example_inputs
from kd_planner_ros.networks.tcp.processor import TCPProcessor
from kd_planner_ros.networks.tcp.training import STAGES

torch.set_num_threads(1)
SMALL = TCPConfig(size="3.1m", input_height=64, input_width=96)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return build_model(SMALL).eval()


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=lambda config: config.size)
def test_parameters_are_the_papers(config):
    expected = {"25.8m": 25_768_065, "13.9m": 13_915_201, "7.6m": 7_644_481, "3.1m": 3_107_417}
    count = sum(p.numel() for p in build_model(config).parameters())
    assert count == expected[config.size] == config.spec.parameters
    assert config.grid == (8, 29)


def test_attention_heads_follow_the_input_size():
    config = TCPConfig(size="7.6m", input_height=128, input_width=448)
    assert config.grid == (4, 14)
    with torch.device("meta"):
        outputs = build_model(config)(**example_inputs(config))
    assert tuple(outputs["attention"].shape) == (1, 4, 4, 14)


@pytest.mark.parametrize("size, channels", [("25.8m", 512), ("13.9m", 512), ("7.6m", 512), ("3.1m", 256)])
def test_shapes_at_the_papers_input(size, channels):
    config = TCPConfig(size=size)
    with torch.device("meta"):
        outputs = build_model(config)(**example_inputs(config), features=True)
    assert tuple(outputs["waypoints"].shape) == (1, 4, 2) and tuple(outputs["stage2"].shape) == (1, 128, 32, 113)
    assert tuple(outputs[max(name for name in outputs if name.startswith("stage"))].shape) == (1, channels, 8, 29)


def test_shapes_and_normalised_attention(small):
    with torch.no_grad():
        outputs = small(**noise(example_inputs(SMALL, 3)), features=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in outputs.items()}
    assert shapes == {
        "waypoints": (3, 4, 2), "speed": (3, 1), "alpha": (3, 2), "beta": (3, 2), "value_traj": (3, 1),
        "value_ctrl": (3, 1), "feature_traj": (3, 256), "feature_ctrl": (3, 256), "init_attention": (3, 2, 3),
        "future_features": (3, 4, 256), "future_alpha": (3, 4, 2), "future_beta": (3, 4, 2),
        "attention": (3, 4, 2, 3), "stage1": (3, 64, 16, 24), "stage2": (3, 128, 8, 12), "stage3": (3, 256, 2, 3)}
    assert torch.allclose(outputs["attention"].sum((2, 3)), torch.ones(3, 4))
    assert torch.allclose(outputs["init_attention"].sum((1, 2)), torch.ones(3))
    assert all((outputs[name] > 0).all() for name in ("alpha", "beta", "future_alpha", "future_beta"))


def test_features_only_when_asked(small):
    with torch.no_grad():
        assert not any(name.startswith("stage") for name in small(**noise(example_inputs(SMALL, 1))))


def test_a_sample_does_not_see_its_neighbours(small):
    inputs = noise(example_inputs(SMALL, 3))
    with torch.no_grad():
        together = small(**inputs)
        alone = small(**{name: tensor[1:2] for name, tensor in inputs.items()})
    for name in together:
        assert torch.allclose(together[name][1:2], alone[name], atol=1e-5), name


def test_zero_steps_leave_the_car_where_it_is(small):
    """x_t = x_{t-1} + Linear(h_t): a constant step of (1, -2) gives the first four multiples."""
    model = build_model(SMALL).eval()
    torch.nn.init.zeros_(model.output_traj.weight)
    model.output_traj.bias.data = torch.tensor([1.0, -2.0])
    with torch.no_grad():
        points = model(**noise(example_inputs(SMALL, 1)))["waypoints"][0]
    assert points.tolist() == [[1.0, -2.0], [2.0, -4.0], [3.0, -6.0], [4.0, -8.0]]


def test_speed_is_read_from_the_picture_alone(small):
    inputs = noise(example_inputs(SMALL, 1))
    with torch.no_grad():
        before = small(**inputs)
        after = small(inputs["image"], inputs["state"] + 1.0)
    assert torch.equal(before["speed"], after["speed"])
    assert not torch.equal(before["waypoints"], after["waypoints"])


def test_gradients_reach_every_trained_parameter():
    torch.manual_seed(0)
    model = build_model(SMALL).train()
    outputs = model(**noise(example_inputs(SMALL, 4)))
    processor = TCPProcessor(SMALL)
    targets = processor.targets(torch.randn(4, 4, 2).numpy(), torch.rand(4, 5, 2).numpy(), torch.rand(4).numpy())
    imitation_loss(outputs, targets)[0].backward()
    for name, parameter in model.named_parameters():
        if not STAGES[0].trains(name):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_same_seed_same_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        weights.append(build_model(SMALL).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("fields", [{"size": "9m"}, {"input_height": 8}, {"input_width": 448.0}, {"pred_len": 6}])
def test_impossible_configs_are_refused(fields):
    with pytest.raises(ConfigError):
        TCPConfig(**fields)


def test_camera_is_tcps():
    (camera,) = TCPConfig().rig.cameras
    assert (camera.width, camera.height, camera.fov_deg) == (900, 256, 100.0)
    assert (camera.pose.x, camera.pose.y, camera.pose.z, camera.pose.yaw) == (-1.5, 0.0, 2.0, 0.0)
    assert list(SIZES) == ["25.8m", "13.9m", "7.6m", "3.1m"]
