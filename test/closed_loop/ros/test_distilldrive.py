"""An untrained DistillDrive student in the graph: its plans have eighteen candidates and a memory, and the drive goes to its end."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from kd_planner_ros.evaluation.run_plans import candidates_of
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.ros.graph.drive import DriveConfig, drive
from kd_planner_ros.runtime.store import save_model

SECONDS = 2.0


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """Two simulated seconds through the graph: (what the drive says, its folder)."""
    folder, network = tmp_path_factory.mktemp("drive"), find_network("distilldrive")
    config = network.config({"cameras": 3})
    torch.manual_seed(0)
    save_model(folder / "models" / "distilldrive", "distilldrive", config, network.build_model(config).state_dict())
    found = drive(DriveConfig(planner="distilldrive", models_dir=str(folder / "models"), engine="torch", time=SECONDS, report=False,
                              vehicles=5, walkers=2, seed=3, out=str(folder / "run")))
    return found, folder / "run"


def test_every_tick_is_answered_by_plans_with_all_candidates(driven):
    found, folder = driven
    assert found["sim_s"] == pytest.approx(SECONDS) and found["troubles"] == [] and found["unanswered_ticks"] == 0
    entries = [json.loads(line) for line in (folder / "plans.jsonl").read_text().splitlines()]
    assert len(entries) == round(10.0 * SECONDS), "10 Hz"
    for entry in entries:
        candidates = candidates_of(entry)
        assert candidates.shape == (18, 6, 2) and np.isfinite(candidates).all() and len(entry["scores"]) == 18
        assert "detections" in entry and "lines" in entry


def test_memory_and_cameras_reach_the_node(driven):
    found, folder = driven
    entries = [json.loads(line) for line in (folder / "plans.jsonl").read_text().splitlines()]
    assert [entry["notes"]["memory"] for entry in entries] == [0.0] * 4 + [1.0] * (len(entries) - 4), "from 0.4 s on"
    assert {entry["notes"]["cameras"] for entry in entries} == {3.0}
    sensors = json.loads((folder / "sensors.json").read_text())["objects"][0]["sensors"]
    assert [one["id"] for one in sensors if one["type"] == "sensor.camera.rgb"] == ["front", "left", "right"]
