"""The latency of every size beside the paper's."""

from dataclasses import replace

import pytest
from support.perception import install_network

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation import bench_sizes as module
from kd_planner_ros.evaluation.bench_sizes import bench_sizes
from kd_planner_ros.networks.registry import find_network


@pytest.mark.slow
def test_every_size_is_measured_and_nothing_is_left(monkeypatch, tmp_path):
    tcp = find_network("tcp")
    assert [one.size for one in tcp.configurations] == ["25.8m", "13.9m", "7.6m", "3.1m"]
    monkeypatch.setattr(module, "find_network", lambda name: replace(tcp, configurations=tcp.configurations[2:]))  # the quick ones
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = bench_sizes("tcp", frames=1, input_height=64, input_width=96)
    assert [row["size"] for row in found["rows"]] == ["7.6m", "3.1m"] and not list(tmp_path.iterdir())
    assert found["rows"][0]["speed_up"] == 1.0 and all(row["p50_ms"] > 0.0 for row in found["rows"])
    assert all(row["paper_ms"] is None and "paper_speed_up" not in row for row in found["rows"])  # it has no such input


def test_sizes_that_cannot_be_built_here_are_left_out_and_said(monkeypatch):
    written = []
    monkeypatch.setattr(module, "save_model", lambda folder, *rest: written.append(folder.name))
    monkeypatch.setattr(module, "load_model_runner", lambda *args, **more: None)
    monkeypatch.setattr(module, "bench_latency", lambda size, frames: {"p50_ms": 10.0, "engine": "none"})
    found = bench_sizes("v2x_vlm", frames=1)
    assert [row["size"] for row in found["rows"]] == ["nano_teacher", "nano"] and sorted(written) == ["nano", "nano_teacher"]
    assert [one["size"] for one in found["left_out"]] == ["full", "full_teacher"]
    assert all("tokenizer.json" in one["why"] for one in found["left_out"])
    vlm = find_network("v2x_vlm")
    monkeypatch.setattr(module, "find_network", lambda name: replace(
        vlm, configurations=tuple(one for one in vlm.configurations if one.size == "full")))
    with pytest.raises(ConfigError, match="a size of 'v2x_vlm' that can be built here; got .*tokenizer.json"):
        bench_sizes("v2x_vlm", frames=1)


def test_a_perceivers_sizes_are_measured_too(monkeypatch, tmp_path):
    install_network(monkeypatch, tmp_path, "sized_eye_package")
    found = bench_sizes("tiny_eye", frames=1)
    assert [row["size"] for row in found["rows"]] == [""] and found["rows"][0]["p50_ms"] > 0.0


def test_the_papers_figures_stand_beside_its_input(monkeypatch):
    times = {"25.8m": 200.0, "13.9m": 100.0, "7.6m": 50.0, "3.1m": 40.0}
    monkeypatch.setattr(module, "save_model", lambda *args: None)
    monkeypatch.setattr(module, "load_model_runner", lambda folder, role, device, engine, keep: folder.rsplit("/", 1)[1])
    monkeypatch.setattr(module, "bench_latency", lambda size, frames: {"p50_ms": times[size], "engine": "none"})
    rows = bench_sizes("tcp", input_height=256, input_width=900)["rows"]
    assert rows == bench_sizes("tcp")["rows"]
    assert [row["speed_up"] for row in rows] == [1.0, 2.0, 4.0, 5.0]
    assert [row["paper_ms"] for row in rows] == [17.9, 10.7, 8.5, 7.2]
    assert [row["paper_speed_up"] for row in rows] == pytest.approx([1.0, 1.67, 2.11, 2.49])


def test_a_setting_that_the_network_lacks_is_refused_by_its_option(monkeypatch):
    monkeypatch.setattr(module, "save_model", None)  # nothing is measured
    with pytest.raises(ConfigError, match="'interfuser' has .its own inputs are front 224x224, left 128x128.*got --input-height 64; "
                                          "leave --input-height out"):
        bench_sizes("interfuser", input_height=64)


def test_planners_without_weights_have_no_sizes():
    with pytest.raises(ConfigError, match="a network with weights; got 'constant_velocity'"):
        bench_sizes("constant_velocity")
