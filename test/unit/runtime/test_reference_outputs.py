"""Every shipped model still answers what it answered when its reference was stored (float32, engine torch, any machine)."""

import numpy as np
import pytest
import torch
from support.reference_outputs import FOLDER, answers, differing, load_float32

from kd_planner_ros.networks.planner import PERCEIVER
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.find import list_models
from kd_planner_ros.runtime.store import save_model

SHIPPED = [path.name for path in list_models()]


def test_every_shipped_model_has_a_reference_and_none_is_left_over():
    assert sorted(path.stem for path in FOLDER.glob("*.npz")) == SHIPPED != []


def require_repeated(found, again):
    assert all(np.array_equal(value, again[key], equal_nan=True) for key, value in found.items()), "not bit-equal within one run"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_answers_are_those_of_the_reference(name):
    model = load_float32(name)
    found = answers(model)
    require_repeated(found, answers(model))
    with np.load(FOLDER / f"{name}.npz") as wanted:
        assert differing(found, wanted, model.role) == []


def require_change_noticed(name, folder, wanted):
    """Weights that are a tenth larger, of a perceiver those of its depth, give other answers to the same inputs."""
    model = load_float32(name, folder)
    engine = model.engine._engines["depth"] if model.role == PERCEIVER else model.engine
    for parameter in engine._model.parameters():
        parameter.data.mul_(1.1)
    changed = differing(answers(model), wanted, model.role)
    assert changed and not any(key.startswith("input.") for key in changed), changed


def test_a_changed_answer_is_noticed():
    with np.load(FOLDER / f"{SHIPPED[-1]}.npz") as wanted:
        require_change_noticed(SHIPPED[-1], None, dict(wanted))


def test_the_reference_of_a_perceiver(tmp_path):
    """A tiny one without training: its file is small, its motion is known from the second frame on, a change is noticed."""
    network = find_network("unified_encoder")
    config = network.config({"size": "tiny", "camera_width": 64, "camera_height": 48})
    torch.manual_seed(0)
    save_model(tmp_path / "seer", "unified_encoder", config, network.build_model(config).state_dict())
    model = load_float32("seer", tmp_path)
    found = answers(model)
    require_repeated(found, answers(model))
    for kind in ("plan", "planted"):
        assert np.isnan(found[f"{kind}.scalars.forward_mps"]).tolist() == [True, False, False]
    assert sum(value.nbytes for value in found.values()) < 400_000
    require_change_noticed("seer", tmp_path, found)
