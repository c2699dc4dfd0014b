"""What every network folder must keep, whatever it computes: built-in networks, and those of installed plugins.

A new folder is found by itself. Each test of weights and engines takes the smallest configuration that the folder lists.
"""

import importlib.util
import json
from unittest import mock

import numpy as np
import pytest
import torch
from support.frames import frame
from support.networks import DEVICES, require, smallest
from support.reference_outputs import arrays_of, broken_arrays

from kd_planner_ros.core.card import ModelCard, read_card
from kd_planner_ros.networks.planner import PERCEIVER, require_model
from kd_planner_ros.networks.registry import build_weightless, find_network, folders, is_weightless, role_of
from kd_planner_ros.runtime import engines
from kd_planner_ros.runtime.bench import bench_latency
from kd_planner_ros.runtime.load import load_model_runner
from kd_planner_ros.runtime.store import half_weights, load_model, save_model

LEARNED = [name for name in folders() if not is_weightless(name)]
DECLARED = [(name, engine) for name in LEARNED for engine in find_network(name).engines if engine in ("torch", "openvino", "onnxruntime")]
WEIGHTLESS = [name for name in folders() if is_weightless(name)]


@pytest.fixture(scope="module", params=LEARNED)
def network(request):
    torch.set_num_threads(1)
    return find_network(request.param)


@pytest.fixture(scope="module")
def built(network, tmp_path_factory):
    """(network, config, module, folder of its saved weights) with seeded weights."""
    config = smallest(network)
    torch.manual_seed(0)
    model = network.build_model(config).eval()
    folder = tmp_path_factory.mktemp(network.name) / "contract"
    card = save_model(folder, network.name, config, model.state_dict(), {"data": {"maps": ["Town01"]}}, {"figure": 1.5})
    return network, config, model, folder, card


def run(model, inputs):
    with torch.inference_mode():
        return model(**inputs)


def test_there_are_networks_with_and_without_weights():
    assert {"tcp", "interfuser"} <= set(LEARNED) and "constant_velocity" in WEIGHTLESS
    assert {("tcp", "torch"), ("tcp", "openvino"), ("interfuser", "onnxruntime")} <= set(DECLARED)


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_a_model_without_weights_answers_its_own_frames(name):
    model = require_model(build_weightless(name), role_of(name))
    work = model.perceive if model.role == PERCEIVER else model.plan
    model.reset()
    for number in range(3):
        shown = frame(model.rig, number)
        found = work(shown)
        assert found.stamp_ns == shown.stamp_ns and arrays_of(found) and broken_arrays(found) == []
    assert bench_latency(model, n=3, warm=1)["p50_ms"] > 0.0


def test_every_configuration_is_a_config_with_a_rig(network):
    assert network.configurations and network.config({}) == network.config_class()
    for config in (network.config_class(), *network.configurations):
        assert isinstance(config, network.config_class) and 0.0 < config.rate_hz <= 100.0
        assert config.rig.cameras or config.rig.lidars or config.rig.scene or config.rig.needs_route
        with torch.device("meta"):
            assert sum(one.numel() for one in network.build_model(config).parameters()) > 0


def test_inputs_and_outputs_are_the_declared_ones(built):
    network, config, model, _, _ = built
    inputs = network.example_inputs(config, 2)
    assert tuple(inputs) == network.inputs and all(len(one) == 2 for one in inputs.values())
    found = run(model, inputs)
    assert set(network.outputs) <= set(found)
    for name in network.outputs:
        assert len(found[name]) == 2 and found[name].isfinite().all(), name
    again = run(model, inputs)
    assert all(torch.equal(found[name], again[name]) for name in network.outputs), "the module remembers something"


def test_a_frame_of_the_rig_goes_in_and_comes_out(built):
    network, config, model, _, _ = built
    processor, example = network.build_processor(config), network.example_inputs(config)
    seen = {}
    for attempt in range(2):  # the second time after a reset: nothing is remembered
        processor.reset()
        for number in range(3):
            shown = frame(config.rig, number)
            inputs = processor.encode([shown])
            assert tuple(inputs) == network.inputs or set(inputs) == set(network.inputs)
            for name, tensor in inputs.items():
                assert tensor.shape == example[name].shape and tensor.dtype == example[name].dtype and tensor.isfinite().all(), name
            found = processor.decode(run(model, inputs), shown)
            assert found.stamp_ns == shown.stamp_ns
            arrays = arrays_of(found)
            assert arrays and broken_arrays(found) == [], arrays
            if attempt:
                assert set(arrays) == set(seen[number])
                assert all(np.array_equal(one, seen[number][name], equal_nan=one.dtype.kind == "f") for name, one in arrays.items())
            seen[number] = arrays


def test_two_frames_are_encoded_as_each_alone(built):
    network, config, _, _, _ = built
    shown = [frame(config.rig, number) for number in range(2)]
    one, other, both = (network.build_processor(config).encode(some) for some in (shown[:1], shown[1:], shown))
    for name in network.inputs:
        if len(config.rig.lidars) == 0:
            assert torch.equal(both[name], torch.cat([one[name], other[name]])), name
        assert both[name].shape == (2, *one[name].shape[1:])


def test_a_frame_without_a_declared_sensor_is_refused_by_name(built):
    from dataclasses import replace

    from kd_planner_ros.core.errors import SensorError

    network, config, _, _, _ = built
    shown = frame(config.rig, 0)
    for camera in config.rig.cameras:
        left = {name: picture for name, picture in shown.images.items() if name != camera.id}
        if camera.id in config.rig.optional:
            assert set(network.build_processor(config).encode([replace(shown, images=left)])) == set(network.inputs)
            continue
        with pytest.raises(SensorError, match=camera.id):
            network.build_processor(config).encode([replace(shown, images=left)])
    if config.rig.scene:
        with pytest.raises(SensorError, match="scene"):
            network.build_processor(config).encode([replace(shown, scene=None)])


def test_card_and_weights_come_back_as_they_were_saved(built):
    network, config, model, folder, card = built
    again, its_config, its_card = load_model(folder)
    assert its_config == config and its_card == card == read_card(folder) == ModelCard(**json.loads(card.to_json()))
    saved, found = half_weights(model.state_dict()), again.state_dict()
    assert set(found) == set(saved) and all(torch.equal(found[name], saved[name].to(found[name].dtype)) for name in saved)
    assert card.network == network.name and card.scores == {"figure": 1.5}


@pytest.mark.parametrize(("network", "engine"), DECLARED, indirect=["network"])
def test_engines_agree_with_the_module(built, engine, monkeypatch):
    network, _, _, folder, _ = built
    if missing := [name for name in engines.PACKAGES[engine] if importlib.util.find_spec(name) is None]:
        pytest.skip(f"pip install {' '.join(missing)} to compare engine {engine}")
    monkeypatch.setattr(engines, "fast_bfloat16", lambda device: False)
    runner = load_model_runner(folder.name, engine=engine, models_dir=folder.parent, keep=False)
    module = load_model(folder)[0]
    for number in range(2):
        inputs = runner.processor.encode([frame(runner.rig, number)])
        found, wanted = runner.engine.run(inputs), run(module, inputs)
        assert tuple(found) == network.outputs
        for name, tensor in found.items():
            assert_close(tensor, wanted[name], runner.engine.tolerance)


@pytest.mark.parametrize("device", DEVICES)
def test_latency_is_measured(built, device):
    require(device)
    network, _, _, folder, _ = built
    model = load_model_runner(folder.name, device=device, engine="torch", models_dir=folder.parent)
    assert device in model.engine.describe and model.role == network.role
    found = bench_latency(model, n=2, warm=1)
    assert found[network.role] == folder.name and 0.0 < found["p50_ms"] <= found["max_ms"]


def test_torch_with_bfloat16_stays_within_its_own_tolerance(built):
    network, _, _, folder, _ = built
    with mock.patch.object(engines, "fast_bfloat16", lambda device: True):  # refused at warm-up where it does not
        runner = load_model_runner(folder.name, engine="torch", models_dir=folder.parent)
    assert ("bfloat16" in runner.engine.describe) == network.bfloat16


def assert_close(found, wanted, tolerance):
    if found.is_floating_point():
        assert float((found - wanted.float()).abs().max()) <= tolerance * (1.0 + float(wanted.abs().max()))
    else:
        assert float((found != wanted).float().mean()) <= tolerance
