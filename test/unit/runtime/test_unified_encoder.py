"""A unified encoder with random weights is loaded, run, and judged like any perceiver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.recordings import FOLDER
from support.unified import STEP_NS, frame

from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.load import load_perceiver
from kd_planner_ros.runtime.store import save_model

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    network = find_network("unified_encoder")
    config = network.config({"size": "tiny", "input_height": 64, "input_width": 224, "camera_width": 224, "camera_height": 64})
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "seer", "unified_encoder", config, network.build_model(config).state_dict())
    return folder


def test_it_is_loaded_and_sees(models):
    perceiver = load_perceiver("seer", models_dir=models)
    assert perceiver.engine.describe.startswith("torch")
    first, second = (perceiver.perceive(frame(stamp, stamp, perceiver.config)) for stamp in (STEP_NS, 2 * STEP_NS))
    assert first.inference_ms > 0.0 and np.isnan(first.scalars["forward_mps"]) and np.isfinite(second.scalars["forward_mps"])


def test_it_is_judged_by_a_recordings_labels(models):
    """Depth and classes have figures, what has no label is named."""
    from kd_planner_ros.evaluation.dense import DenseConfig, run

    found = run(DenseConfig(bag=FOLDER / "tcp", model="seer", models_dir=models), progress=False)
    assert found["frames"] == 17 and set(found["outputs"]) == {"depth", "classes"}
    assert found["outputs"]["depth"]["left_out"]["unknown"] == 0 and found["outputs"]["classes"]["left_out"]["unknown"] == 0
    assert set(found["not_scored"]) == {"panoptic", "instances", "drivable", "lane_marking", "flow", "motion"}
