"""The cost of a distilling step over imitation's."""

import pytest
import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.bench_distill import bench_distill
from kd_planner_ros.evaluation.bench_train import bench_config


def test_it_compares_steps_of_both():
    torch.set_num_threads(1)
    options = {"tcp": {"input_height": 32, "input_width": 64}, "plankd.bev_detail": "quarter", "method": "plankd", "teacher": "any"}
    result = bench_distill(bench_config("tcp", "3.1m", 2, options=options), steps=1)
    assert result["cost_ratio"] > 1.0 and result["bev_detail"] == "quarter" and result["imitation_s"] > 0.0
    assert result["input"] == [32, 64]


def test_imitation_is_no_method_to_compare():
    with pytest.raises(ConfigError, match="--method"):
        bench_distill(bench_config())
