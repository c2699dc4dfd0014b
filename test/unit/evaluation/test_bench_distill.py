"""The cost of a distilling step over imitation's."""

import pytest
import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.bench_distill import bench_distill


def test_it_compares_steps_of_both():
    torch.set_num_threads(1)
    result = bench_distill("plankd", "3.1m", 32, 64, batch=2, steps=1, bev_detail="quarter")
    assert result["cost_ratio"] > 1.0 and result["bev_detail"] == "quarter" and result["imitation_s"] > 0.0


def test_imitation_is_no_method_to_compare():
    with pytest.raises(ConfigError, match="--method"):
        bench_distill("imitation")
