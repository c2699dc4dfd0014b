"""The latency of every size beside the paper's."""

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.bench_sizes import bench_sizes


def test_every_size_stands_beside_the_papers():
    found = bench_sizes("tcp", frames=1, engine="torch")
    assert [row["size"] for row in found["rows"]] == ["25.8m", "13.9m", "7.6m", "3.1m"]
    assert [row["paper_ms"] for row in found["rows"]] == [17.9, 10.7, 8.5, 7.2] and "torch" in found["engine"]
    assert found["rows"][0]["speed_up"] == 1.0 and found["rows"][1]["paper_speed_up"] == pytest.approx(1.67)
    assert found["rows"][3]["speed_up"] > 1.0 and all(row["p50_ms"] > 0.0 for row in found["rows"])


def test_another_input_has_no_figures_of_the_papers():
    found = bench_sizes("tcp", frames=1, engine="torch", input_height=64, input_width=96)
    assert all(row["paper_ms"] is None and "paper_speed_up" not in row for row in found["rows"])


def test_planners_without_weights_have_no_sizes():
    with pytest.raises(ConfigError, match="a network with weights; got 'constant_velocity'"):
        bench_sizes("constant_velocity")
