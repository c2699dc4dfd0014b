"""InterFuser through the common doors: registry, engines, table of sizes, latency bench, driver."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from support.networks import save_seeded
from support.plans import make_route

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.driving.safety.controller import SafetyController
from kd_planner_ros.networks import registry
from kd_planner_ros.networks.interfuser.config import SMALL_INPUTS, InterFuserConfig
from kd_planner_ros.runtime.bench import bench_latency, noise_frame
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.params import table
from kd_planner_ros.runtime.store import load_model

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("float32", "own_cache")
SMALL = InterFuserConfig(size="3.8m", **SMALL_INPUTS)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_seeded(tmp_path_factory.mktemp("models") / "small", "interfuser", SMALL).parent


def test_the_folder_is_a_network():
    assert "interfuser" in registry.folders()
    assert registry.find_network("interfuser").inputs == (
        "front", "left", "right", "focus", "lidar", "measurements", "target_point")


def test_weights_and_config_survive_the_disk(models):
    model, config, card = load_model(models / "small")
    assert config == SMALL and card.parameters == 3_848_143
    assert model.rgb_backbone.fc.weight.shape == (256, 256)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_engines_agree(models, engine):
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"pip install {engine} to compare it")
    planner, model = load_planner("small", engine=engine, models_dir=models), load_model(models / "small")[0]
    frame = noise_frame(planner)
    assert 20_000 < len(frame.clouds["lidar"]) < 60_000 and set(frame.images) == {"front", "left", "right"}
    with torch.inference_mode():
        wanted = model(**planner.processor.encode([frame]))
    plan = planner.plan(frame)
    assert plan.trajectory.points == pytest.approx(planner.processor.decode(wanted, frame).trajectory.points, abs=2e-3)
    assert plan.follow == "safety" and plan.detections is not None and set(plan.notes) == {"p_junction", "p_red", "p_stop"}
    assert planner.rig == SMALL.rig


def test_latency_bench(models):
    found = bench_latency(load_planner("small", engine="torch", models_dir=models), n=2, warm=1)
    assert 0.0 < found["p50_ms"] <= found["max_ms"]


def test_reset_forgets_the_lidars_last_half_turn(models):
    planner = load_planner("small", engine="torch", models_dir=models)
    planner.plan(noise_frame(planner))
    assert planner.processor._front is not None
    planner.reset()
    assert planner.processor._front is None


def test_table_of_sizes():
    (row,) = [row for row in table("interfuser", **SMALL_INPUTS) if row["size"] == "3.8m"]
    assert row["input"] == [128, 128] and row["inputs"]["lidar"] == [3, 128, 128] and row["parameters"] == 3_848_143
    assert "paper_parameters" not in row  # the paper's inputs are larger


def test_a_driver_needs_no_special_case(models):
    """Driver, Pilot, supervisor and safety controller on a network that has learnt nothing: a control every tick."""
    planner = load_planner("small", engine="torch", models_dir=models)
    driver = Driver(planner, make_route((0, 0), (59, 0)))
    frame = noise_frame(planner)
    for tick in range(4):
        ego = type(frame.ego)(tick * 50_000_000, Pose(), 1.0)
        control, plan = driver.step(frame if tick == 0 else None, ego)
        assert driver.last_error == "" and math.isfinite(control.throttle + control.brake + control.steer)
    assert isinstance(driver.pilot.controller(driver.pilot.plan), SafetyController)
