"""A perception network of another package through the doors of the runtime: loader, warm-up, engines, bench, facts."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.perception import install_network, save_tiny

from kd_planner_ros.core.errors import CardError, ConfigError, PlannerError, SensorError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.networks.planner import Perceiver, Planner
from kd_planner_ros.runtime import engines
from kd_planner_ros.runtime.bench import bench_latency, in_turn, noise_frame
from kd_planner_ros.runtime.facts import model_facts, model_place, planner_facts, resolve_model
from kd_planner_ros.runtime.load import load_model_runner, load_perceiver, load_planner
from kd_planner_ros.runtime.network_model import warm_up

torch.set_num_threads(1)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of models with one perceiver, ``eye``, of the installed network ``tiny_eye``."""
    install_network(monkeypatch, tmp_path)
    return save_tiny(tmp_path / "models", "eye")


def test_a_perceiver_by_name(models):
    eye = load_perceiver("eye", models_dir=models)
    assert isinstance(eye, Perceiver) and (eye.role, eye.name, eye.rate_hz) == ("perceiver", "eye", 10.0)
    frame = noise_frame(eye)
    seen = eye.perceive(frame)
    assert seen.stamp_ns == frame.stamp_ns and seen.inference_ms > 0.0
    assert seen.outputs["depth"].array.shape == (32, 64) and seen.outputs["classes"].array.dtype == np.uint8
    assert seen.outputs["classes"].labels == ("road", "car", "sky")
    with pytest.raises(SensorError):
        eye.perceive(frame.__class__(0, frame.ego, None))


def test_the_sky_has_no_depth(models, monkeypatch):
    """A network learns some far wall for it; where another class is seen, depth stays as it is."""
    eye = load_perceiver("eye", models_dir=models)
    kinds, far = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3, np.full((3, 4), 90.0, np.float32)
    told = {"depth": DenseOutput("depth", far), "classes": DenseOutput("classes", kinds, ("road", "car", "sky"))}
    monkeypatch.setattr(eye.processor, "decode", lambda outputs, frame: Perception(frame.stamp_ns, "front", told))
    depth = eye.perceive(noise_frame(eye)).outputs["depth"]
    assert np.array_equal(np.isnan(depth.array), kinds == 2) and (depth.array[kinds < 2] == 90.0).all()
    assert np.array_equal(depth.raw, far), "figures count a wall that was taken for sky"


def test_the_network_says_which_engines_can_run_it(models):
    assert load_perceiver("eye", models_dir=models).engine.describe.startswith("torch")  # auto, although openvino is there
    with pytest.raises(ConfigError, match="runs network 'tiny_eye': torch; got 'openvino'; use engine torch"):
        load_perceiver("eye", engine="openvino", models_dir=models)
    if importlib.util.find_spec("openvino"):
        assert engines.require_engine("auto", "cpu") == "openvino"


def test_roles_do_not_mix(models):
    assert load_model_runner("eye", models_dir=models).role == "perceiver"
    assert isinstance(load_model_runner("constant_velocity"), Planner)
    with pytest.raises(PlannerError, match="expected a planner; got 'eye', a perceiver"):
        load_planner("eye", models_dir=models)
    with pytest.raises(PlannerError, match="a Perceiver; got 'constant_velocity', a planner"):
        load_perceiver("constant_velocity")
    with pytest.raises(PlannerError, match="expected a planner; got 'eye', a perceiver"):
        planner_facts("eye", str(models))


def test_auto_by_role(models, tmp_path):
    assert resolve_model("auto", str(models), "perceiver")[0] == "eye"
    assert load_perceiver("auto", models_dir=models).name == "eye"
    assert model_place("auto", str(models), "perceiver") == str(models / "eye")
    with pytest.raises(ConfigError, match="got none"):
        resolve_model("auto", str(models))  # a perceiver does not drive
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="a perceiver in .*got none"):
        load_perceiver("auto", models_dir=tmp_path / "empty")


def test_a_networks_name_stands_for_its_best_model(models):
    """As ``planner:=unified_encoder``: the planner whose network is built on it, the perceiver that is of it."""
    assert resolve_model("unified_encoder") == ("unified_driver_nano", "")
    assert resolve_model("unified_encoder", "", "perceiver") == ("unified_nano", "")
    assert resolve_model("tiny_eye", str(models), "perceiver")[0] == "eye"
    assert resolve_model("tcp", str(models)) == ("tcp", str(models)), "no model of it is there: whoever looks for it says so"
    (models / "eye").rename(models / "tiny_eye")
    assert resolve_model("tiny_eye", str(models), "perceiver")[0] == "tiny_eye", "a model of that name comes first"


def test_facts_need_no_weights(models):
    (models / "eye" / "weights.safetensors").unlink()
    facts = model_facts("eye", str(models))
    assert (facts.name, facts.role, facts.rate_hz) == ("eye", "perceiver", 10.0) and facts.rig.cameras[0].id == "front"
    assert facts.card["network"] == "tiny_eye"


def test_latency_of_a_perceiver(models):
    found = bench_latency(load_perceiver("eye", models_dir=models), n=3, warm=1)
    assert found["perceiver"] == "eye" and 0.0 < found["p50_ms"] <= found["max_ms"]


def test_a_perceiver_is_measured_on_pictures_a_period_apart(models):
    """A network that compares two pictures has the one before, as it has on a vehicle; recorded ones come in turn."""
    eye = load_perceiver("eye", models_dir=models)
    shown = [noise_frame(eye, seed) for seed in (1, 2)]
    frames = in_turn(eye, 3, shown)
    assert [one.stamp_ns for one in frames] == [0, 10**8, 2 * 10**8]
    assert [one.images["front"] is of.images["front"] for one, of in zip(frames, (*shown, shown[0]), strict=True)] == [True] * 3
    assert len({one.stamp_ns for one in in_turn(load_planner("constant_velocity"), 3)}) == 1, "a planner's frames are equal"


class Echo(engines.Engine):
    """An engine that is another function."""

    describe, tolerance = "echo", 2e-3

    def __init__(self, work):
        self.run = work


Echo.__abstractmethods__ = frozenset()


def test_warm_up_leaves_whole_numbers_alone():
    """Noise is no index of an embedding: it would be truncated, negative or out of range."""
    table = torch.nn.Embedding(10, 4).requires_grad_(False)
    example = {"ids": torch.tensor([[3, 9]]), "x": torch.zeros(1, 2), "seen": torch.tensor([True, False])}
    got = []

    def work(ids, x, seen):
        got.append((ids, x, seen))
        return {"y": table(ids).sum() + x, "token": ids + 1}

    assert warm_up(Echo(lambda inputs: work(**inputs)), work, example, "words") == 0.0
    ids, x, seen = got[0]
    assert torch.equal(ids, example["ids"]) and torch.equal(seen, example["seen"]) and x.abs().max() > 0.1
    with pytest.raises(CardError, match="0.5 in 'token'"):
        warm_up(Echo(lambda inputs: work(inputs["ids"] * torch.tensor([1, 2]) % 10, inputs["x"], inputs["seen"])
                     | {"y": work(**inputs)["y"]}), work, example, "words")


def test_whole_numbers_stay_whole_on_torch():
    class Tokens(torch.nn.Module):
        def forward(self, ids):
            return {"token": ids + 1, "y": ids * 0.5}

    class Network:
        inputs, outputs, bfloat16 = ("ids",), ("token", "y"), True

    found = engines.TorchEngine(Tokens(), Network).run({"ids": torch.tensor([[1, 2]])})
    assert found["token"].dtype == torch.int64 and found["y"].dtype == torch.float32




def test_the_frame_of_the_bench_holds_what_the_rig_declares(models):
    eye = load_perceiver("eye", models_dir=models)
    eye.rig = replace(eye.rig, history_s=(0.1, 0.2))
    frame = noise_frame(eye)
    assert frame.calibrations["front"] == eye.rig.cameras[0]
    assert [past.stamp_ns for past in frame.history] == [-100_000_000, -200_000_000]
    assert frame.history[1].images["front"].shape == (32, 64, 3)
