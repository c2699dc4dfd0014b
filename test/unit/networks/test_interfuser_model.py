"""InterFuser: the paper's sizes to the last parameter, tokens and queries, shapes, gradients, what depends on what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.networks import noise

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.blocks.detr import Attention, Transformer, sine_encoding
from kd_planner_ros.networks.blocks.resnet import build_resnet, load_pretrained
from kd_planner_ros.networks.blocks.resnet_d import build_resnet_d
from kd_planner_ros.networks.interfuser.config import CONFIGURATIONS, SMALL_INPUTS, InterFuserConfig
from kd_planner_ros.networks.interfuser.loss import imitation_loss
from kd_planner_ros.networks.interfuser.model import VIEWS, build_model, example_inputs, grids
from kd_planner_ros.networks.interfuser.processor import InterFuserProcessor
from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.networks.training import WHOLE
from kd_planner_ros.runtime.params import count_macs, count_parameters

torch.set_num_threads(1)
SMALL = InterFuserConfig(size="3.8m", **SMALL_INPUTS)
COUNTS = {"52.9m": (52_935_567, 23_527_264, 11_195_744, 17_363_456), "26.3m": (26_384_527, 11_195_744, 11_195_744, 3_757_312),
          "11.7m": (11_674_575, 4_905_792, 4_905_792, 1_737_344), "3.8m": (3_848_143, 1_298_496, 1_298_496, 1_158_272)}


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return build_model(SMALL).eval()


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=lambda config: config.size)
def test_parameters_are_the_papers(config):
    with torch.device("meta"):
        model = build_model(config)
    parts = (model, model.rgb_backbone, model.lidar_backbone, model.transformer)
    assert tuple(map(count_parameters, parts)) == COUNTS[config.size]
    assert config.spec.parameters == COUNTS[config.size][0]
    assert count_macs(model, example_inputs(config)) / 1e9 == pytest.approx(config.spec.paper_gmacs, rel=0.006)


def test_tokens_and_queries_at_the_papers_inputs():
    config = InterFuserConfig(size="3.8m")
    assert [rows * columns for rows, columns in grids(config).values()] == [49, 16, 16, 16, 49]
    seen = []
    with torch.device("meta"):
        model = build_model(config)
        model.transformer.register_forward_pre_hook(lambda _, inputs: seen.extend(tuple(x.shape) for x in inputs))
        outputs = model(**example_inputs(config), features=True)
    assert seen == [(1, 151, 64), (411, 64), (411, 64)]
    shapes = {name: tuple(outputs[name].shape) for name in ("waypoints", "traffic_map", "junction", "traffic_features")}
    assert shapes == {"waypoints": (1, 10, 2), "traffic_map": (1, 400, 7), "junction": (1, 2),
                      "traffic_features": (1, 400, 64)}
    cells = [outputs[name].shape[2] * outputs[name].shape[3] for name in ("left_stage2", "front_stage2", "right_stage2")]
    assert cells == [256, 784, 256] and sum(cells) == 1296  # PlanKD's input, left, front, right


def test_shapes_and_ranges_at_small_inputs(small):
    with torch.no_grad():
        outputs = small(**noise(example_inputs(SMALL, 3)), features=True)
    assert tuple(outputs["waypoints"].shape) == (3, 10, 2) and tuple(outputs["stop"].shape) == (3, 2)
    assert outputs["traffic_map"].min() > 0.0 and outputs["traffic_map"].max() < 1.0
    assert {f"{view}_stage{number}" for view in VIEWS for number in (1, 2, 3)} == {n for n in outputs if "_stage" in n}
    with torch.no_grad():
        assert not any("stage" in name for name in small(**noise(example_inputs(SMALL, 1))))


def test_views_batched_together_are_views_alone(small):
    """left, right and focus run as one batch; with a focus view of another size they do not."""
    inputs = noise(example_inputs(SMALL, 2))
    with torch.no_grad():
        stages = small._see(*(inputs[view] for view in VIEWS))
        for view in ("left", "right", "focus"):
            for found, alone in zip(stages[view], small.rgb_backbone(inputs[view])):
                assert torch.allclose(found, alone, atol=1e-5)
        odd = InterFuserConfig(size="3.8m", **{**SMALL_INPUTS, "focus_px": 96})
        assert tuple(build_model(odd).eval()(**noise(example_inputs(odd, 1)))["waypoints"].shape) == (1, 10, 2)


def test_a_sample_does_not_see_its_neighbours(small):
    inputs = noise(example_inputs(SMALL, 3))
    with torch.no_grad():
        together, alone = small(**inputs), small(**{name: tensor[1:2] for name, tensor in inputs.items()})
    for name in together:
        assert torch.allclose(together[name][1:2], alone[name], atol=1e-4), name


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_matters(small, view):
    inputs = noise(example_inputs(SMALL, 1))
    with torch.no_grad():
        before, after = small(**inputs), small(**{**inputs, view: inputs[view] + 1.0})
    assert not torch.equal(before["waypoints"], after["waypoints"])


def test_speed_reaches_the_map_alone_and_the_target_the_waypoints_alone(small):
    inputs = noise(example_inputs(SMALL, 1))
    with torch.no_grad():
        before = small(**inputs)
        faster = small(**{**inputs, "measurements": inputs["measurements"] + 1.0})
        turned = small(**{**inputs, "target_point": inputs["target_point"] + 1.0})
    changed = [{n for n in before if not torch.equal(before[n], after[n])} for after in (faster, turned)]
    assert changed == [{"traffic_map"}, {"waypoints"}]


def test_waypoints_add_up(small):
    """w_t = w_{t-1} + Linear(h_t): a constant step of (1, -2) gives the first ten multiples."""
    model = build_model(SMALL).eval()
    torch.nn.init.zeros_(model.waypoint_step.weight)
    model.waypoint_step.bias.data = torch.tensor([1.0, -2.0])
    with torch.no_grad():
        points = model(**noise(example_inputs(SMALL, 1)))["waypoints"][0]
    assert points.tolist() == [[float(t), -2.0 * t] for t in range(1, 11)]


def test_gradients_reach_every_trained_parameter():
    torch.manual_seed(0)
    model = build_model(SMALL).train()
    outputs = model(**noise(example_inputs(SMALL, 2)))
    rng = np.random.default_rng(0)
    targets = InterFuserProcessor(SMALL).targets(rng.normal(size=(2, 10, 2)), rng.random((2, 400, 7)),
                                                 rng.integers(0, 2, (2, 3)))
    imitation_loss(outputs, targets)[0].backward()
    idle = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert idle == [f"{part}_backbone.fc.{kind}" for part in ("rgb", "lidar") for kind in ("weight", "bias")]
    assert find_training("interfuser").stages == WHOLE
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            if not name.endswith("key.bias"):  # softmax does not feel what all keys share
                assert parameter.grad.abs().sum() > 0, name


def test_same_seed_same_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        weights.append(build_model(SMALL).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not any("position" in name and "query" not in name for name in weights[0])  # computed, not stored


def test_sine_encoding_by_hand():
    """2 x 2 cells, width 4: rows 1 and 2 of 2 are pi and 2 pi, as sine and cosine; then the same of the columns."""
    found = sine_encoding(2, 2, 4)
    half, whole = [math.sin(math.pi), math.cos(math.pi)], [math.sin(2 * math.pi), math.cos(2 * math.pi)]
    assert found.numpy() == pytest.approx(np.array([half + half, half + whole, whole + half, whole + whole]), abs=1e-5)


def test_attention_equals_torchs():
    torch.manual_seed(0)
    ours, theirs = Attention(16, 4, 0.0), torch.nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, ours.key.bias, ours.value.bias])
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    q, k, v = torch.randn(2, 5, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    assert torch.allclose(ours(q, k, v), theirs(q, k, v)[0], atol=1e-6)


def test_query_positions_reach_queries_and_keys_but_not_values():
    torch.manual_seed(0)
    transformer = Transformer(16, 1, heads=2, hidden=8).eval()
    tokens, queries = torch.randn(1, 6, 16), torch.randn(3, 16)
    plain = transformer(tokens, queries, torch.zeros(3, 16))
    for layer in transformer.decoder:  # without weights for queries and keys, positions have no way in
        for part in (layer.self_attention, layer.cross_attention):
            torch.nn.init.zeros_(part.query.weight)
            torch.nn.init.zeros_(part.key.weight)
    blind = [transformer(tokens, queries, position) for position in (torch.zeros(3, 16), torch.randn(3, 16))]
    assert torch.allclose(*blind, atol=1e-6) and not torch.allclose(plain, blind[0], atol=1e-3)


def test_resnet_d_has_timms_names_and_averages_before_it_projects():
    with torch.device("meta"):
        names = set(build_resnet_d("resnet50d").state_dict())
    assert {"conv1.0.weight", "conv1.3.weight", "conv1.6.weight", "bn1.weight", "layer1.0.downsample.1.weight",
            "layer2.0.downsample.1.weight", "layer4.2.conv3.weight"} <= names
    assert "layer1.0.downsample.1.weight" not in build_resnet_d("resnet18d").state_dict()
    kinds = [type(part).__name__ for part in build_resnet_d("resnet18d").layer2[0].downsample]
    assert kinds == ["AvgPool2d", "Conv2d", "BatchNorm2d"]
    with pytest.raises(ConfigError, match="resnet50d"):
        build_resnet_d("resnet34d")


def test_imagenet_weights_come_from_a_local_file(tmp_path):
    source, target = build_resnet_d("resnet18d"), build_resnet_d("resnet18d")
    save_file({**source.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)},
              tmp_path / "timm.safetensors")
    load_pretrained(target, tmp_path / "timm.safetensors")
    assert torch.equal(target.conv1[0].weight, source.conv1[0].weight)
    plain = build_resnet("resnet10", classifier=False)
    torch.save(build_resnet("resnet10").state_dict(), tmp_path / "torchvision.pth")
    load_pretrained(plain, tmp_path / "torchvision.pth")


def test_weights_that_do_not_fit_name_the_misfit(tmp_path):
    state = build_resnet_d("resnet18d").state_dict()
    cases = {"missing": ({k: v for k, v in state.items() if k != "bn1.weight"}, "'bn1.weight'"),
             "extra": ({**state, "head.weight": torch.zeros(1)}, "'head.weight'"),
             "shape": ({**state, "bn1.weight": torch.zeros(32)}, r"'bn1.weight' of shape \[32\], not \[64\]")}
    for name, (given, words) in cases.items():
        save_file(given, tmp_path / f"{name}.safetensors")
        with pytest.raises(ConfigError, match=words):
            load_pretrained(build_resnet_d("resnet18d"), tmp_path / f"{name}.safetensors")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ConfigError, match="tensors by name"):
        load_pretrained(build_resnet_d("resnet18d"), tmp_path / "list.pth")


@pytest.mark.parametrize("fields", [{"size": "9m"}, {"front_px": 8}, {"side_px": 64.0}, {"camera_width": 900},
                                    {"lidar_cap": 0}, {"lidar_left_from_m": 30.0}, {"lidar_ahead_m": 0.0}])
def test_impossible_configs_are_refused(fields):
    with pytest.raises(ConfigError):
        InterFuserConfig(**fields)


def test_sensors_are_interfusers():
    rig = InterFuserConfig().rig
    front, left, right = rig.cameras
    assert (front.width, front.height, front.fov_deg, left.width, left.height) == (800, 600, 100.0, 400, 300)
    assert (front.pose.x, front.pose.z, front.pose.yaw) == (1.3, 2.3, 0.0)
    assert (left.pose.yaw, right.pose.yaw) == pytest.approx((math.pi / 3, -math.pi / 3))  # left is positive
    (lidar,) = rig.lidars
    assert (lidar.pose.x, lidar.pose.z, lidar.pose.yaw) == pytest.approx((1.3, 2.5, math.pi / 2))
    assert (lidar.channels, lidar.range_m, lidar.points_per_second, lidar.upper_fov_deg) == (64, 85.0, 600_000, 10.0)
    assert InterFuserConfig().front_scaled == (341, 256) and InterFuserConfig().side_scaled == (195, 146)
