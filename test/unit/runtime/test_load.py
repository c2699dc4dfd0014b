"""Planners by name: what is found, what is refused, engines that agree, broken engines that are caught."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import save_seeded

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import CardError, ConfigError, PlannerError, SensorError
from kd_planner_ros.core.records import Plan
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks import registry
from kd_planner_ros.networks.planner import Planner, require_planner
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.runtime import engines
from kd_planner_ros.runtime.bench import bench_latency, noise_frame
from kd_planner_ros.runtime.find import find_model, list_models
from kd_planner_ros.runtime.load import _cache_path, load_planner
from kd_planner_ros.runtime.openvino_core import load_openvino
from kd_planner_ros.runtime.params import table
from kd_planner_ros.runtime.paths import models_folder

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("float32", "own_cache")
SMALL = TCPConfig(size="3.1m", input_height=64, input_width=96)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_seeded(tmp_path_factory.mktemp("models") / "small", "tcp", SMALL).parent


def test_a_planner_by_name_and_by_path(models):
    by_name = load_planner("small", engine="torch", models_dir=models)
    by_path = load_planner(str(models / "small"), engine="torch")
    frame = noise_frame(by_name)
    a, b = by_name.plan(frame), by_path.plan(frame)
    assert np.array_equal(a.trajectory.points, b.trajectory.points)
    assert a.stamp_ns == frame.stamp_ns and a.inference_ms > 0.0
    assert by_name.name == "small" and by_name.rig == SMALL.rig and by_name.rate_hz == 10.0


def test_a_planner_without_weights(models):
    assert load_planner("constant_velocity").name == "constant_velocity"


def test_unknown_names_list_what_there_is(models):
    for name in ("smal", "", "../small/x"):
        with pytest.raises(PlannerError, match="small, constant_velocity"):
            load_planner(name, models_dir=models)


def test_missing_camera_is_an_input_error(models):
    planner = load_planner("small", engine="torch", models_dir=models)
    with pytest.raises(SensorError):
        planner.plan(replace(noise_frame(planner), images={}))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines_agree_with_torch(models, engine):
    missing = [name for name in engines.PACKAGES[engine] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"pip install {' '.join(missing)} to compare engine {engine}")
    reference = load_planner("small", engine="torch", models_dir=models)
    for _ in range(2 if engine == "openvino" else 1):  # the second time OpenVINO reads the graph it kept
        planner = load_planner("small", engine=engine, models_dir=models)
        assert engine in planner.engine.describe
        for seed in range(3):
            a, b = (p.plan(noise_frame(reference, seed)) for p in (planner, reference))
            assert a.trajectory.points == pytest.approx(b.trajectory.points, abs=1e-3)
            assert a.attention == pytest.approx(b.attention, abs=1e-4)
            assert a.control.throttle == pytest.approx(b.control.throttle, abs=1e-3)
            assert a.control.steer == pytest.approx(b.control.steer, abs=1e-3)


def test_openvino_leaves_its_threads_unpinned(models):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("pip install openvino to test its threads")
    planner = load_planner("small", engine="openvino", models_dir=models)
    assert not planner.engine.compiled.get_property("ENABLE_CPU_PINNING")


@pytest.mark.slow
def test_a_stale_graph_in_the_cache_never_decides(models, tmp_path):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("pip install openvino to test its cache")
    save_seeded(tmp_path / "m" / "other", "tcp", SMALL, seed=1)
    network = registry.find_network("tcp")
    load_planner("small", engine="openvino", models_dir=models)
    ours, theirs = (_cache_path(read_card(f), network) for f in (models / "small", tmp_path / "m" / "other"))
    for suffix in (".xml", ".bin"):
        theirs.with_suffix(suffix).write_bytes(ours.with_suffix(suffix).read_bytes())
    right = load_planner("other", engine="torch", models_dir=tmp_path / "m")
    found = load_planner("other", engine="openvino", models_dir=tmp_path / "m")
    frame = noise_frame(right)
    again = load_planner("other", engine="openvino", models_dir=tmp_path / "m")
    assert not found.engine.from_cache and again.engine.from_cache, "the stale graph was not replaced"
    theirs.with_suffix(".xml").write_text("<net")
    assert engines._cached(load_openvino()[1], theirs) is None
    for planner in (found, again):
        assert planner.plan(frame).trajectory.points == pytest.approx(right.plan(frame).trajectory.points, abs=1e-3)


class Wrong(engines.TorchEngine):
    """An engine that is off by a tenth, or not a number."""

    factor = 1.5

    def run(self, inputs):
        found = super().run(inputs)
        return {**found, "alpha": found["alpha"] * self.factor}


@pytest.mark.parametrize("factor, words", [(1.5, "alpha"), (float("nan"), "NaN")])
def test_an_engine_that_computes_wrongly_is_refused(models, monkeypatch, factor, words):
    monkeypatch.setattr(Wrong, "factor", factor)
    monkeypatch.setattr(engines, "TorchEngine", Wrong)
    with pytest.raises(CardError, match=words):
        load_planner("small", engine="torch", models_dir=models)


def test_unknown_engine_and_device():
    for arguments in ({"engine": "abacus"}, {"device": "tpu"}, {"device": "cuda:x"}, {"device": "cuda:99"},
                      {"device": "cpu:1"}, {"engine": "openvino", "device": "cuda:99"}):
        with pytest.raises(ConfigError):
            load_planner("constant_velocity", **arguments)


def test_missing_engine_package_names_the_remedy(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install openvino"):
        engines.require_engine("openvino", "cpu")
    assert engines.require_engine("auto", "cpu") == "torch"


def test_lists(models, tmp_path):
    assert [path.name for path in list_models(models)] == ["small"]
    assert list_models(tmp_path / "nothing") == []
    assert find_model("small", models) == models / "small"
    assert find_model("unified_nano", models, shipped=True) == models_folder() / "unified_nano"
    with pytest.raises(PlannerError, match="a model out of small, constant_velocity"):
        find_model("unified_nano", models)
    with pytest.raises(PlannerError, match="a model out of .*small, .*unified_nano"):
        find_model("nobody", models, shipped=True)


def test_latency_bench(models):
    found = bench_latency(load_planner("small", engine="torch", models_dir=models), n=5, warm=1)
    assert found["n"] == 5 and 0.0 < found["p50_ms"] <= found["p95_ms"] <= found["max_ms"]
    assert bench_latency(load_planner("constant_velocity"), n=3)["engine"] == "none"


def test_table_of_sizes():
    rows = {row["size"]: row for row in table("tcp")}
    assert [row["parameters"] for row in rows.values()] == [25_768_065, 13_915_201, 7_644_481, 3_107_417]
    assert all(abs(row["mac_deviation_percent"]) < 1.0 for row in rows.values())
    small = table("tcp", input_height=128, input_width=448)
    assert small[0]["macs"] < rows["25.8m"]["macs"] / 4 and "paper_parameters" not in small[0]
    with pytest.raises(ConfigError, match="wheels"):
        table("tcp", wheels=4)
    with pytest.raises(PlannerError, match="tcp"):
        table("telepathy")


def test_registry_finds_folders_by_convention():
    assert {"constant_velocity", "tcp"} <= set(registry.folders())
    assert "blocks" not in registry.folders()
    assert registry.is_weightless("constant_velocity") and not registry.is_weightless("tcp")
    with pytest.raises(PlannerError, match="constant_velocity"):
        registry.find_network("constant_velocity")


def test_planner_classes_are_checked_when_defined():
    with pytest.raises(PlannerError, match="plan with 1 argument"):
        class Blind(Planner):
            name, rig, rate_hz = "blind", SensorRig(), 10.0

            def reset(self) -> None:
                """Nothing."""

            def plan(self) -> Plan:
                """Lacks the frame."""
    with pytest.raises(PlannerError, match="rig"):
        class NoRig(Planner):
            name, rig, rate_hz = "no rig", ("camera",), 10.0


@pytest.mark.parametrize("field, value", [("name", ""), ("rig", None), ("rate_hz", 0.0)])
def test_planner_objects_are_checked(field, value):
    planner = load_planner("constant_velocity")
    setattr(planner, field, value)
    with pytest.raises(PlannerError, match=field.split("_")[0]):
        require_planner(planner)
    with pytest.raises(PlannerError, match="Planner"):
        require_planner(object())
