"""A unified encoder with random weights is loaded, run, and judged like any perceiver."""

from __future__ import annotations

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from support.recordings import FOLDER
from support.unified import STEP_NS, frame

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.unified_encoder.steering import WINDOW
from kd_planner_ros.runtime import load
from kd_planner_ros.runtime.bench import in_turn
from kd_planner_ros.runtime.bench_parts import bench_parts
from kd_planner_ros.runtime.engines import OpenVinoEngine
from kd_planner_ros.runtime.kept_parts import read_kept
from kd_planner_ros.runtime.load import load_perceiver
from kd_planner_ros.runtime.network_model import compare
from kd_planner_ros.runtime.store import load_model, save_model

torch.set_num_threads(1)
NETWORK = find_network("unified_encoder")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    network = find_network("unified_encoder")
    config = network.config({"size": "tiny", "input_height": 64, "input_width": 224, "camera_width": 224, "camera_height": 64,
                             "camera_x_m": -1.5, "camera_z_m": 2.0})  # as the recording has it
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "seer", "unified_encoder", config, network.build_model(config).state_dict())
    matching = replace(config, matching=True)
    save_model(folder / "matching", "unified_encoder", matching, awake(network.build_model(matching)).state_dict())
    aligned = replace(config, aligned_pose=True)
    save_model(folder / "aligned", "unified_encoder", aligned, network.build_model(aligned).state_dict())
    steering = find_network("unified_steering")
    alike = "size", "input_height", "input_width", "camera_width", "camera_height"
    own = steering.config({name: getattr(config, name) for name in alike})
    save_model(folder / "steers", "unified_steering", own, steering.build_model(own).state_dict())
    return folder


def awake(model):
    """``model`` with weights in the layers that begin at zero."""
    fields = [layer.weight for one in (model.flow, model.motion) for layer in (one.told.clue, one.told.found[2])]
    for parameter in (model.pose.clue.weight, model.motion.compare.weight, *fields, *(one.weight for one in model.flow.mix)):
        torch.nn.init.normal_(parameter, std=0.05)
    return model


def test_it_is_loaded_and_sees(models):
    perceiver = load_perceiver("seer", engine="torch", models_dir=models)
    assert perceiver.engine.describe.startswith("torch")
    first, second = (perceiver.perceive(frame(stamp, stamp, perceiver.config)) for stamp in (STEP_NS, 2 * STEP_NS))
    assert first.inference_ms > 0.0 and np.isnan(first.scalars["forward_mps"]) and np.isfinite(second.scalars["forward_mps"])


def arrays(seen):
    """Every output and number; depth as the network has it, in the sky too."""
    return {**{name: one.array if one.raw is None else one.raw for name, one in seen.outputs.items()},
            **{name: np.array(one) for name, one in seen.scalars.items()}}


@pytest.mark.parametrize("name, own, most", [("seer", set(), 1e-6), ("matching", {"matching", "aligned"}, 2e-3),
                                             ("aligned", {"told_pose"}, 1e-4)])
def test_parts_see_what_the_whole_network_sees(models, name, own, most):
    """Two frames through the parts, and through the module in one piece: every output and number is the same but for rounding, which
    comparing blocks of colours makes larger."""
    perceiver = load_perceiver(name, engine="torch", models_dir=models)
    model, config, _ = load_model(models / name)
    processor = find_network("unified_encoder").build_processor(config)
    for stamp in (STEP_NS, 2 * STEP_NS):
        one = drifting(stamp // STEP_NS, config)
        seen = perceiver.perceive(one)
        with torch.inference_mode():
            whole = processor.decode(model(**processor.encode([one])), one)
        assert list(arrays(seen)) == list(arrays(whole)) and seen.unknown == whole.unknown
        for output, array in arrays(seen).items():
            assert np.allclose(array, arrays(whole)[output], rtol=1e-4, atol=most, equal_nan=True), output
    assert set(seen.spent_ms) == {"encode", "encoder", "depth", "pixels", "segmentation", "pose", "flow", "motion", "decode"} | own
    assert seen.inference_ms == pytest.approx(sum(seen.spent_ms.values()))


def test_only_what_is_due_runs_and_the_encoder_runs_once_a_frame(models, monkeypatch):
    perceiver = load_perceiver("seer", engine="torch", models_dir=models)
    passes = []
    encoder = perceiver.engine._engines["encoder"]
    real = encoder.run
    monkeypatch.setattr(encoder, "run", lambda inputs: passes.append(len(inputs["image"])) or real(inputs))

    def see(number, due):
        perceiver.due = due
        return perceiver.perceive(frame(number * STEP_NS, number, perceiver.config))

    whole = [arrays(see(number, None)) for number in range(3)]
    assert passes == [1, 1, 1], "a frame costs one encoder pass"
    perceiver.reset()
    see(0, {"encoder"})
    assert not see(1, {"encoder"}).outputs
    seen = see(2, {"encoder", "pose", "flow"})
    assert list(seen.outputs) == ["flow"] and set(seen.spent_ms) == {"encode", "encoder", "pose", "flow", "decode"}
    assert np.array_equal(seen.outputs["flow"].array, whole[2]["flow"], equal_nan=True), "the frame before is remembered"
    assert not see(3, set()).outputs and passes == [1] * 6, passes
    assert not see(4, {"encoder", "pose", "flow"}).unknown, "frame 2, 0.2 s ago, is the frame before"
    assert set(see(7, {"encoder", "pose", "flow"}).unknown) >= {"flow", "forward_mps"}, "frame 4 is 0.3 s old"


def test_the_cost_of_each_part_is_measured(models):
    perceiver = load_perceiver("seer", engine="torch", models_dir=models)
    found = bench_parts(perceiver, in_turn(perceiver, 2), 2)
    assert list(found["parts_ms"]) == ["encoder", "depth", "pixels", "segmentation", "pose", "flow", "motion"]
    assert min(found["parts_ms"].values()) > 0.0 and found["depth_and_segmentation_share"] > 0.0
    assert found["shared_saves_ms"] == pytest.approx(5 * found["parts_ms"]["encoder"], abs=0.05), "five decoders and the steering share one"
    assert found["over_the_sum"] > 0.0


def test_it_is_judged_by_a_recordings_labels(models):
    """Depth and classes have figures, what has no label is named."""
    from kd_planner_ros.evaluation.dense.run import DenseConfig, run

    found = run(DenseConfig(bag=FOLDER / "tcp", model="seer", engine="torch", models_dir=models), progress=False)
    assert found["frames"] == 17
    assert set(found["outputs"]) == {"depth", "classes", "panoptic", "instances", "drivable", "lane_marking"}
    assert found["outputs"]["depth"]["left_out"]["unknown"] == 0 and found["outputs"]["classes"]["left_out"]["unknown"] == 0
    assert found["not_scored"] == dict.fromkeys(
        ("flow", "independent_flow", "motion", "moving", "ego motion"), "the network was not ready in any of 16 frames")


@pytest.fixture
def kept(models, own_cache):
    """The perceiver after its first start with OpenVINO, and the file that the start kept."""
    pytest.importorskip("openvino", reason="openvino is not installed: use the pinned environment ('make setup')")
    perceiver = load_perceiver("seer", engine="openvino", models_dir=models)
    return perceiver, load._cache_path(perceiver.card, NETWORK, "parts")


def drifting(number, config):
    """A frame with a smooth picture that moves by two pixels each time: pictures can be aligned as they cannot where each is noise."""
    noise = np.random.default_rng(0).integers(0, 256, (config.camera_height // 8, config.camera_width // 8, 3), np.uint8)
    whole = cv2.resize(noise, (config.camera_width, config.camera_height), interpolation=cv2.INTER_CUBIC)
    return frame(number * STEP_NS, number, config, images={config.camera_id: np.roll(whole, 2 * number, 1)})


def sees(perceiver, frames=2):
    return [arrays(perceiver.perceive(drifting(number, perceiver.config))) for number in range(1, frames + 1)]


def refuse(*_):
    raise AssertionError("the network was built")


def test_the_second_start_sees_the_same_without_the_network(models, kept, monkeypatch):
    first, path = kept
    assert path.is_file() and read_kept(path).parts == first.parts
    monkeypatch.setattr(load, "load_model", refuse)
    second = load_perceiver("seer", engine="openvino", models_dir=models)
    assert second.parts == first.parts and second.engine.describe == first.engine.describe
    for ours, theirs in zip(sees(second), sees(first), strict=True):
        assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)
    with pytest.raises(AssertionError, match="was built"):
        load_perceiver("seer", engine="torch", models_dir=models)
    with pytest.raises(AssertionError, match="was built"):
        load_perceiver("seer", engine="openvino", models_dir=models, keep=False)
    graph = load._cache_path(first.card, NETWORK, "depth")
    monkeypatch.setattr(load, "source_hash", lambda network: "of other code")
    assert load._cache_path(first.card, NETWORK, "depth") != graph  # nor is an older graph, which may be slower
    with pytest.raises(AssertionError, match="was built"):
        load_perceiver("seer", engine="openvino", models_dir=models)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name, frames", [("seer", 2), ("matching", 2), ("aligned", 3), ("steers", WINDOW)])
def test_every_output_is_torchs_on_every_engine(models, own_cache, engine, name, frames):
    """The engines of its parts are compared with torch as they are loaded; here whole frames are, until everything is ready."""
    pytest.importorskip(engine, reason=f"{engine} is not installed: pip install {engine}")
    found, right = (sees(load_perceiver(name, engine=one, models_dir=models), frames) for one in (engine, "torch"))
    last = right[-1]
    assert np.isfinite(last["forward_mps"]) and ("steer" in last) == (name == "steers") and np.isfinite(last.get("steer", 0.0))
    for ours, theirs in zip(found, right, strict=True):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            if array.dtype.kind == "f":
                assert np.allclose(array, theirs[name], rtol=1e-2, atol=2e-3, equal_nan=True), name
            else:  # classes, ids and masks: a pixel between two answers may take either
                assert (array == theirs[name]).mean() >= 0.99, name


@pytest.mark.parametrize("harm", ["cut off", "no graph", "another graph", "no file"])
def test_what_was_kept_never_decides_where_it_is_wrong(models, kept, harm):
    first, path = kept
    own = part_network(path, "depth")
    depth = load._cache_path(first.card, own, "depth")
    if harm == "cut off":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "no graph":
        depth.with_suffix(".xml").unlink()
    elif harm == "another graph":
        right = depth.with_suffix(".bin").read_bytes()
        keep_other_weights(models / "seer", "depth", own, path, depth)
        assert depth.with_suffix(".bin").read_bytes() != right
    else:
        path.unlink()
    again = load_perceiver("seer", engine="openvino", models_dir=models)
    for ours, theirs in zip(sees(again), sees(first), strict=True):
        assert all(np.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5, equal_nan=True) for name in theirs)
    assert read_kept(path) is not None, "the next start has it again"
    assert harm != "another graph" or depth.with_suffix(".bin").read_bytes() == right, "the wrong graph was not replaced"


def test_a_traced_part_is_kept_beside_the_graphs_and_never_decides_where_it_is_wrong(models, own_cache, monkeypatch):
    pytest.importorskip("openvino", reason="openvino is not installed: use the pinned environment ('make setup')")
    first = load_perceiver("aligned", engine="openvino", models_dir=models)
    path = load._cache_path(first.card, NETWORK, "parts")
    file = load._cache_path(first.card, part_network(path, "pose"), "pose").with_suffix(".pt")
    assert [part.name for part in first.parts if part.traced] == ["pose"] and not file.with_suffix(".xml").exists()
    right, wanted = file.read_bytes(), sees(first)
    with monkeypatch.context() as patch:
        patch.setattr(load, "load_model", refuse)
        second = load_perceiver("aligned", engine="openvino", models_dir=models)
    assert [part.name for part in second.parts if part.traced] == ["pose"]
    file.write_bytes(right[:-100])
    for again in (second, load_perceiver("aligned", engine="openvino", models_dir=models)):
        for ours, theirs in zip(sees(again), wanted, strict=True):
            assert all(np.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5, equal_nan=True) for name in theirs)
    assert len(file.read_bytes()) > len(right) - 100, "it was not traced again"


def part_network(path, part):
    """The network as the engine of ``part`` has it."""
    kept = read_kept(path)
    return replace(NETWORK, inputs=kept.takes[part], outputs=kept.gives[part])


def keep_other_weights(folder, part, own, path, cache):
    """Keep at ``cache`` the graph of ``part`` with other weights: so far off that no rounding explains the difference."""
    model, config, _ = load_model(folder)
    module = next(one.module for one in NETWORK.build_parts(model, config) if one.name == part)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(3.0)
    kept = read_kept(path)
    wrong = OpenVinoEngine(module, own, kept.inputs[part], cache, anew=True, fixed=True)
    with pytest.raises(CardError, match=f"'{part}' on openvino"):  # else the rest of the test would show nothing
        compare(wrong, lambda given: kept.outputs[part], kept.inputs[part], part)


def test_broken_weights_are_refused_whatever_was_kept(models, kept, tmp_path):
    shutil.copytree(models / "seer", tmp_path / "seer")
    weights = tmp_path / "seer" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CardError, match="sha256"):
        load_perceiver("seer", engine="openvino", models_dir=tmp_path)


@pytest.mark.slow
def test_a_process_of_its_own_converts(models, own_cache, monkeypatch, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed: use the pinned environment ('make setup')")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(load, "load_model", refuse)
    perceiver = load.load_model_runner("seer", engine="openvino", models_dir=models, spare=True)
    assert sees(perceiver) and perceiver.engine.describe.startswith("openvino")
