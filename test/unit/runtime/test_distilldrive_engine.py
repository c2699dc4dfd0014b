"""DistillDrive with random weights on a converted graph: over a drive, memory in use, it plans what torch plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.bench import bench_latency
from kd_planner_ros.runtime.engines import TOLERANCE
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.store import save_model

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def planners(tmp_path_factory):
    """The same weights on torch and on OpenVINO; their first confidences lie far enough apart that rounding changes no choice."""
    network, folder = find_network("distilldrive"), tmp_path_factory.mktemp("models")
    config = network.config({"cameras": 3, "rescore": False})
    torch.manual_seed(3)
    model = network.build_model(config)
    with torch.no_grad():
        for head in (model.agents, model.lines):
            for layer in head.layers:
                layer.score[-1].weight.mul_(4.0)
                layer.score[-1].bias.zero_()
    save_model(folder / "random", "distilldrive", config, model.state_dict())
    return [load_planner("random", engine=engine, models_dir=folder, keep=False) for engine in ("torch", "openvino")]


def frame(config, tick, seed=0):
    """A frame of noise at 10 Hz; the car drives 0.5 m a frame in a bend."""
    random = np.random.default_rng([seed, tick])
    images = {spec.id: random.integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8) for spec in config.camera_specs}
    ego = EgoState(tick * 100_000_000, Pose(x=0.5 * tick, y=0.01 * tick ** 2, yaw=0.04 * tick), 5.0)
    return make_frame(config.camera_specs, ego, NavigationGoal(np.array([20.0, 0.0]), Command.LEFT), images, {})


def test_a_drive_is_planned_alike_with_the_memory_in_use(planners):
    remembered = 0
    for tick in range(12):
        plans = [planner.plan(frame(planner.config, tick)) for planner in planners]
        wanted, found = plans
        remembered += wanted.notes["memory"] == found.notes["memory"] == 1.0
        for name in ("candidates", "scores"):
            one, other = getattr(found, name), getattr(wanted, name)
            assert np.abs(one - other).max() <= TOLERANCE["float32"] * (1.0 + np.abs(other).max()), (tick, name)
        assert found.detections.rows["id"].tolist() == wanted.detections.rows["id"].tolist() and len(found.detections.rows)
        assert np.allclose(found.lines.points, wanted.lines.points, atol=1e-2)
    assert remembered == 8, "0.4 s after the first frame"


def test_a_missing_camera_is_masked_alike(planners):
    for planner in planners:
        planner.reset()
    plans = []
    for planner in planners:
        whole = frame(planner.config, 0)
        plans.append(planner.plan(replace(whole, images={"front": whole.images["front"]})))
    assert np.abs(plans[0].candidates - plans[1].candidates).max() < 2e-3 and "without left" in plans[1].mode


def test_the_choice_by_rules_is_the_same_on_the_converted_graph(tmp_path):
    network = find_network("distilldrive")
    config = network.config({"cameras": 1, "rescore": False, "rule_scores": True})
    torch.manual_seed(3)
    model = network.build_model(config)
    with torch.no_grad():
        model.planner.rule_head[-1].weight.mul_(8.0)
    save_model(tmp_path / "ruled", "distilldrive", config, model.state_dict())
    wanted, found = (load_planner("ruled", engine=engine, models_dir=tmp_path, keep=False).plan(frame(config, 0))
                     for engine in ("torch", "openvino"))
    assert np.abs(found.scores - wanted.scores).max() < 2e-3 and found.scores.argmax() == wanted.scores.argmax()
    save_model(tmp_path / "plain", "distilldrive", network.config({"cameras": 1, "rescore": False}), {
        name: one for name, one in model.state_dict().items() if "rule_head" not in name})
    plain = load_planner("plain", engine="torch", models_dir=tmp_path, keep=False).plan(frame(config, 0))
    assert np.abs(plain.scores - wanted.scores).max() > 0.01 and np.allclose(plain.candidates, wanted.candidates), "the heads are heard"


def test_a_planner_that_gets_no_target_point_runs_on_the_converted_graph(tmp_path):
    """The network then has an input that it does not read."""
    network = find_network("distilldrive")
    config = network.config({"cameras": 1, "rescore": False, "target": False, "speed": "predicted"})
    torch.manual_seed(3)
    save_model(tmp_path / "published", "distilldrive", config, network.build_model(config).state_dict())
    wanted, found = (load_planner("published", engine=engine, models_dir=tmp_path, keep=False).plan(frame(config, 0))
                     for engine in ("torch", "openvino"))
    assert np.abs(found.candidates - wanted.candidates).max() < 2e-3


def test_automatic_choice_takes_the_converted_graph_and_the_latency_is_measured_on_it(planners):
    assert planners[1].engine.describe.startswith("openvino")
    network = find_network("distilldrive")
    assert "openvino" in network.engines and network.fixed_shapes
    measured = bench_latency(planners[1], 2, 1)
    assert measured["engine"].startswith("openvino") and measured["p50_ms"] > 0.0


def test_a_latent_variable_that_is_drawn_runs_on_torch_alone(tmp_path):
    network = find_network("distilldrive")
    for name, repo in (("published", True), ("mean", False)):
        config = network.config({"cameras": 1, "rescore": False, "repo_latent": repo})
        torch.manual_seed(3)
        save_model(tmp_path / name, "distilldrive", config, network.build_model(config).state_dict())
    with pytest.raises(ConfigError, match="with repo_latent: torch; got 'openvino'; use engine torch"):
        load_planner("published", engine="openvino", models_dir=tmp_path, keep=False)
    planners = [load_planner(name, engine=engine, models_dir=tmp_path, keep=False)
                for name, engine in (("published", "auto"), ("published", "torch"), ("mean", "torch"))]
    runs = [[planner.plan(frame(config, tick)) for tick in range(6)] for planner in planners]
    for one, other, mean in zip(*runs, strict=True):
        assert np.array_equal(one.candidates, other.candidates) and np.array_equal(one.scores, other.scores)
        assert not np.allclose(one.candidates, mean.candidates, atol=1e-3)
