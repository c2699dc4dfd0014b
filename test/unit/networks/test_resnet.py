"""Backbones: sizes of the paper, strides, the embedding, loading local weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.blocks.layers import attention_pool, mlp
from kd_planner_ros.networks.blocks.resnet import build_resnet, load_pretrained
from kd_planner_ros.networks.blocks.resnet_specs import RESNETS, grid_size

torch.set_num_threads(1)


@pytest.mark.parametrize("name, count", [
    ("resnet34", 21_797_672), ("resnet18", 11_689_512), ("resnet10", 5_418_792), ("resnet6", 1_298_496)])
def test_backbone_parameters_are_the_papers(name, count):
    assert sum(p.numel() for p in build_resnet(name).parameters()) == count


@pytest.mark.parametrize("name, channels", [("resnet10", 512), ("resnet6", 256)])
def test_stage_shapes_at_full_size(name, channels):
    backbone = build_resnet(name).eval()
    with torch.no_grad():
        stages = backbone(torch.zeros(1, 3, 256, 900))
    assert tuple(stages[1].shape) == (1, 128, 32, 113)
    assert tuple(stages[-1].shape) == (1, channels, 8, 29)
    assert backbone.embed(stages[-1]).shape == (1, RESNETS[name].fc_width)


@pytest.mark.parametrize("name", list(RESNETS))
@pytest.mark.parametrize("height, width", [(128, 448), (33, 65), (97, 131)])
def test_grid_size_is_what_the_backbone_makes(name, height, width):
    with torch.device("meta"):
        last = build_resnet(name)(torch.zeros(2, 3, height, width))[-1]
    assert tuple(last.shape[2:]) == grid_size(RESNETS[name], height, width)


def test_basic_block_adds_its_input():
    block = build_resnet("resnet10").layer1[0].eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 64, 4, 4)
    assert torch.allclose(block(x), x, atol=1e-6)  # an empty residual leaves a positive input as it is


def test_pretrained_weights_come_from_a_local_file(tmp_path):
    source, target = build_resnet("resnet6"), build_resnet("resnet6")
    save_file(source.state_dict(), tmp_path / "a.safetensors")
    torch.save(source.state_dict(), tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        torch.nn.init.zeros_(target.conv1.weight)
        load_pretrained(target, tmp_path / name)
        assert torch.equal(target.conv1.weight, source.conv1.weight)


def _without_counters(state):
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("wrapped", [
    _without_counters,  # torchvision's own files: 102 tensors for a ResNet-18
    lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
    lambda state: {"model": {f"module.{name}": tensor for name, tensor in _without_counters(state).items()}},
    lambda state: {f"module.backbone.{name}": tensor for name, tensor in state.items()},
    lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
], ids=["no counters", "state_dict", "model of DataParallel", "two prefixes", "Lightning"])
def test_state_dicts_that_torch_takes_are_taken(tmp_path, wrapped):
    source, target = build_resnet("resnet6"), build_resnet("resnet6")
    source.bn1.running_mean.fill_(0.5)
    torch.save(wrapped(source.state_dict()), tmp_path / "a.pth")
    load_pretrained(target, tmp_path / "a.pth")
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in target.state_dict().items()
               if not name.endswith("num_batches_tracked"))


@pytest.mark.parametrize(("state", "words"), [
    ({"state_dict": {"conv1.weight": 3}}, r"conv1.weight \(int\)"), ({}, "nothing"), ({"epoch": 3}, r"epoch \(int\)"),
    ({"module.head": torch.zeros(1)}, "tensors missing"), ([torch.zeros(1)], "list")])
def test_what_holds_no_weights_of_this_backbone_is_named(tmp_path, state, words):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=words):
        load_pretrained(build_resnet("resnet6"), tmp_path / "a.pth")


def test_missing_statistics_are_not_made_up(tmp_path):
    state = {name: tensor for name, tensor in build_resnet("resnet6").state_dict().items() if not name.startswith("bn1.")}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="'bn1"):
        load_pretrained(build_resnet("resnet6"), tmp_path / "a.pth")


def test_pretrained_weights_that_do_not_fit_are_refused(tmp_path):
    save_file(build_resnet("resnet10").state_dict(), tmp_path / "other.safetensors")
    (tmp_path / "junk.pth").write_bytes(b"no weights")
    for name in ("other.safetensors", "junk.pth", "missing.pth"):
        with pytest.raises(ConfigError) as caught:
            load_pretrained(build_resnet("resnet6"), tmp_path / name)
        assert "\n" not in str(caught.value)


def test_unknown_backbone_lists_the_known():
    with pytest.raises(ConfigError, match="resnet34"):
        build_resnet("resnet50")


def test_mlp_places_relu_and_dropout():
    names = [type(layer).__name__ for layer in mlp((2, 3, 4, 1), last_relu=False, dropout=0.5)]
    assert names == ["Linear", "ReLU", "Linear", "Dropout", "ReLU", "Linear"]
    assert [type(layer).__name__ for layer in mlp((2, 3, 4))] == ["Linear", "ReLU", "Linear", "ReLU"]


def test_attention_pool_is_a_weighted_sum():
    feature = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 10.0], [20.0, 30.0]]]])
    assert attention_pool(feature, torch.tensor([[0.5, 0.0, 0.0, 0.5]])).tolist() == [[2.5, 15.0]]
