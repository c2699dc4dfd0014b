"""A model whose part is another model: that model's weights are not written a second time."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import CardError
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.runtime.store import load_model, save_model

SIZE = {"size": "tiny", "camera_width": 64, "camera_height": 32, "camera_x_m": -1.5, "camera_z_m": 2.0}
SEES, STEERS = UnifiedEncoderConfig(**SIZE), UnifiedDriverConfig(**SIZE)
HELD = {"perception": "seer"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of both models, state of the driver)."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    save_model(folder / "seer", "unified_encoder", SEES, find_network("unified_encoder").build_model(SEES).state_dict())
    driver = find_network("unified_driver").build_model(STEERS)
    driver.perception.load_state_dict(load_model(folder / "seer")[0].state_dict())
    save_model(folder / "driver", "unified_driver", STEERS, driver.state_dict(), parts=HELD)
    return folder, driver.state_dict()


@pytest.fixture
def models(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "models")


def test_only_the_rest_is_written_and_all_is_read(models, made):
    kept = load_file(models / "driver" / "weights.safetensors")
    assert kept and all(name.startswith("steering.") for name in kept)
    model, _, card = load_model(models / "driver")
    assert card.parts == {"perception": {"model": "seer", "sha256": read_card(models / "seer").weights_sha256}}
    assert card.parameters == sum(tensor.numel() for tensor in model.parameters())
    for name, tensor in model.state_dict().items():
        own = made[1][name]
        assert torch.equal(tensor, own.half().float() if own.is_floating_point() and own.ndim > 1 else own), name


def test_a_part_that_was_trained_is_written_whole(models, made):
    other = {name: tensor + 0.5 if name.startswith("perception.encoder") and tensor.is_floating_point() else tensor
             for name, tensor in made[1].items()}
    card = save_model(models / "moved", "unified_driver", STEERS, other, parts=HELD)
    assert card.parts == {} and len(load_file(models / "moved" / "weights.safetensors")) == len(other)


def test_the_hash_covers_the_part(models, made):
    """The same head on another encoder is another model: what is kept by the hash must not be taken for it."""
    before = read_card(models / "driver").weights_sha256
    state = {name: tensor * 2.0 for name, tensor in load_model(models / "seer")[0].state_dict().items()}
    save_model(models / "seer", "unified_encoder", SEES, state)
    whole = {**made[1], **{f"perception.{name}": tensor for name, tensor in state.items()}}
    after = save_model(models / "driver", "unified_driver", STEERS, whole, parts=HELD)
    assert after.parts and after.weights_sha256 != before


def test_a_model_that_is_replaced_gives_back_what_others_left_with_it(models, made):
    """The encoder's training goes on and ships again: the finished driver answers as before."""
    before = load_model(models / "driver")[0].state_dict()
    state = {name: tensor * 2.0 for name, tensor in load_model(models / "seer")[0].state_dict().items()}
    save_model(models / "seer", "unified_encoder", SEES, state)
    model, _, card = load_model(models / "driver")
    assert card.parts == {} and all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_part_that_cannot_be_read_is_written_whole(models, made, capsys):
    (models / "seer" / "weights.safetensors").write_bytes(b"half")
    card = save_model(models / "late", "unified_driver", STEERS, made[1], parts=HELD)
    assert card.parts == {} and load_model(models / "late")[2] == card
    assert "seer" in capsys.readouterr().err


def test_a_part_that_is_missing_or_another_is_named(models):
    def refused(*words):
        with pytest.raises(CardError) as caught:
            load_model(models / "driver")
        assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words)

    state = {name: tensor * 2.0 for name, tensor in load_model(models / "seer")[0].state_dict().items()}
    save_model(models.parent / "elsewhere" / "seer", "unified_encoder", SEES, state)
    shutil.rmtree(models / "seer")
    shutil.move(models.parent / "elsewhere" / "seer", models / "seer")
    refused("'seer'", "'perception' of 'driver'", "copy the folder")
    shutil.rmtree(models / "seer")
    refused("no such model", "'seer'", "copy the folder")


@pytest.mark.parametrize("parts", [{"perception": "seer"}, {"perception": {"model": "seer"}},
                                   {"perception": {"model": "../seer", "sha256": "0"}}, {"perception": {"model": 1, "sha256": "0"}}])
def test_a_card_with_wrong_parts_is_refused(models, parts):
    path = models / "driver" / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "parts": parts}))
    with pytest.raises(CardError, match="part"):
        read_card(models / "driver")
