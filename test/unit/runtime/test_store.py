"""Weights and cards on disk: round trip, 16 bits, and a sentence for every way in which they may not fit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import CardError, PlannerError
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.model import build_model, example_inputs
from kd_planner_ros.runtime import store
from kd_planner_ros.runtime.store import half_weights, load_model, save_model

torch.set_num_threads(1)
SMALL = TCPConfig(size="3.1m", input_height=64, input_width=96)


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return build_model(SMALL).state_dict()


@pytest.fixture
def folder(tmp_path, state):
    save_model(tmp_path / "small", "tcp", SMALL, state, {"seed": 0}, {"l2_m": 1.5})
    return tmp_path / "small"


def edit_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


def rewrite_weights(folder, tensors):
    save_file(tensors, folder / "weights.safetensors")
    edit_card(folder, weights_sha256=hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest())


def refused(folder, *words):
    with pytest.raises(CardError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_round_trip_is_the_rounded_model(folder, state):
    model, config, card = load_model(folder)
    assert config == SMALL and not model.training
    assert (card.name, card.network, card.training, card.scores) == ("small", "tcp", {"seed": 0}, {"l2_m": 1.5})
    assert card.parameters == sum(p.numel() for p in model.parameters())
    for name, tensor in model.state_dict().items():
        rounded = state[name].half().float() if state[name].ndim > 1 else state[name]
        assert torch.equal(tensor, rounded), name


def test_saved_twice_is_the_same_bytes(tmp_path, state):
    for name in ("a", "b"):
        save_model(tmp_path / name / "small", "tcp", SMALL, state)
    for file in ("card.json", "weights.safetensors"):
        assert (tmp_path / "a/small" / file).read_bytes() == (tmp_path / "b/small" / file).read_bytes()


def test_what_is_saved_again_after_loading_is_the_same(folder, tmp_path):
    model, config, _ = load_model(folder)
    save_model(tmp_path / "again" / "small", "tcp", config, model.state_dict())
    assert ((tmp_path / "again/small/weights.safetensors").read_bytes()
            == (folder / "weights.safetensors").read_bytes())


def test_no_temporary_file_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]


def test_loading_leaves_the_random_state_alone(folder):
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    load_model(folder)
    assert torch.equal(torch.rand(1), wanted)


def test_a_crash_between_the_files_is_noticed(folder, state, monkeypatch):
    real = store.write_bytes

    def crash(path, data, **options):
        if path.name == "card.json":
            raise KeyboardInterrupt
        real(path, data, **options)

    monkeypatch.setattr(store, "write_bytes", crash)
    with pytest.raises(KeyboardInterrupt):
        save_model(folder, "tcp", SMALL, {name: tensor * 2 for name, tensor in state.items()})
    refused(folder, "sha256")


def test_overflowing_matrices_become_bfloat16():
    half = half_weights({"big": torch.full((2, 2), 1e6), "small": torch.ones(2, 2), "vector": torch.full((2,), 1e6)})
    assert [half[name].dtype for name in half] == [torch.bfloat16, torch.float16, torch.float32]


def test_weights_that_are_not_finite_are_not_saved(tmp_path, state):
    bad = {**state, "alpha.weight": state["alpha.weight"] * float("nan")}
    with pytest.raises(CardError, match="alpha.weight"):
        save_model(tmp_path / "bad", "tcp", SMALL, bad)
    assert not (tmp_path / "bad").exists()


def test_weights_of_another_size_are_not_saved(tmp_path, state):
    with pytest.raises(CardError):
        save_model(tmp_path / "bad", "tcp", replace(SMALL, size="7.6m"), state)


def test_corrupted_weights(folder):
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(folder, "sha256", "restore the file")


def test_truncated_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    refused(folder, "sha256")


def test_no_safetensors_file(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(b"junk")
    edit_card(folder, weights_sha256=hashlib.sha256(b"junk").hexdigest())
    refused(folder, "safetensors")


def test_missing_files(folder):
    (folder / "weights.safetensors").unlink()
    refused(folder, "weights at")
    (folder / "card.json").unlink()
    refused(folder, "card")


def test_missing_extra_and_misshapen_tensors(folder):
    whole = load_file(folder / "weights.safetensors")
    rewrite_weights(folder, {name: tensor for name, tensor in whole.items() if name != "beta.bias"})
    refused(folder, "beta.bias")
    rewrite_weights(folder, {**whole, "gamma.bias": torch.ones(1)})
    refused(folder, "gamma.bias")
    rewrite_weights(folder, {**whole, "beta.bias": torch.ones(3)})
    refused(folder, "beta.bias", "[3]")


def test_card_and_code_that_do_not_fit(folder):
    config = read_card(folder).config
    edit_card(folder, config={**config, "colour": 1})
    refused(folder, "colour")
    edit_card(folder, config={**config, "input_width": 900})
    refused(folder, "parameters")
    edit_card(folder, config=config, card_version=99)
    refused(folder, "99")


def test_config_with_an_impossible_value(folder):
    edit_card(folder, config={**read_card(folder).config, "size": "1m"})
    with pytest.raises(Exception, match="1m") as caught:
        load_model(folder)
    assert caught.type.__name__ == "ConfigError"


def test_unknown_network(folder):
    edit_card(folder, network="telepathy")
    with pytest.raises(PlannerError, match="telepathy.*|tcp"):
        load_model(folder)


def test_loaded_weights_can_be_trained_further(folder):
    model, config, _ = load_model(folder)
    model.train()(**example_inputs(config, 2))["waypoints"].sum().backward()
    assert model.output_traj.weight.grad.abs().sum() > 0
