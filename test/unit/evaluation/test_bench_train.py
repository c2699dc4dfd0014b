"""The trainer's step on made-up samples of any network."""

import pytest
import torch

from kd_planner_ros.cli.main import main
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.bench_train import bench_config, bench_train


@pytest.mark.parametrize("network, options, size, pixels", [
    ("tcp", {"tcp.input_height": 32, "tcp.input_width": 64}, "13.9m", [32, 64]),
    ("interfuser", {"interfuser": {"front_px": 64}}, "3.8m", [64, 64]),
    ("distilldrive_teacher", {}, "nano", [0, 0])])
def test_every_trainable_network_is_measured(network, options, size, pixels):
    torch.set_num_threads(1)
    result = bench_train(bench_config(network, batch=1, options=options), steps=1, warm=0)
    assert (result["network"], result["size"], result["input"]) == (network, size, pixels)
    assert result["samples_per_s"] > 0.0 and result["memory_gib"] > 0.0


def test_bad_values_are_refused(capsys):
    with pytest.raises(ConfigError, match="--steps"):
        bench_train(bench_config(), steps=0)
    assert main(["bench", "train", "--network", "constant_velocity"]) == 2
    known = ("distilldrive, distilldrive_teacher, ego_status, interfuser, tcp, unified_driver, unified_encoder, unified_single_scale, "
             "unified_steering, unified_tcp, unified_teacher, v2x_vlm")
    assert f"a network with weights: {known}; got 'constant_velocity'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "train", "--input-height", "64"])
    assert "expected --tcp.input-height" in capsys.readouterr().err


@pytest.mark.slow
def test_inputs_of_models_params_are_nested(capsys):
    assert main(["models", "params", "interfuser", "--interfuser.front-px", "128"]) == 0
    assert "128x128" in capsys.readouterr().out
    assert main(["models", "params", "interfuser", "--tcp.input-height", "128"]) == 2
    assert "expected input options of network 'interfuser'; got --tcp.input-height" in capsys.readouterr().err
