"""Buffers that a task fits before the first step, and the running mean."""

import pytest
import torch
from support.training import but
from torch import nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.train import train
from kd_planner_ros.distill.weights import follow, put_buffers
from kd_planner_ros.networks.tcp.training import TCPTask
from kd_planner_ros.runtime.store import load_model


def test_fitted_buffers_go_into_every_model():
    one, two = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    put_buffers({"running_mean": torch.tensor([3.0, 4.0])}, one, two)
    assert one.running_mean.tolist() == two.running_mean.tolist() == [3.0, 4.0]
    with pytest.raises(ConfigError, match=r"'running_mean' of shape \(3,\).*got \(2,\)"):
        put_buffers({"running_mean": torch.zeros(3)}, one)
    with pytest.raises(ConfigError, match="'anchors'.*none of that name"):
        put_buffers({"anchors": torch.zeros(3)}, one)


def test_a_fitted_buffer_is_shipped_and_fitted_once(train_config, monkeypatch):
    config = but(train_config, name="fitted", batch=2, epochs=0.5)
    name, asked = "backbone.bn1.num_batches_tracked", []
    monkeypatch.setattr(TCPTask, "fit", lambda self, samples: asked.append(len(samples)) or {name: torch.tensor(1000)})
    report = train(config)
    assert int(load_model(config.models_dir / "fitted")[0].get_buffer(name)) == 1000 + report.steps
    train(config)  # goes on behind its last step
    assert asked == [8]


def test_the_running_mean_follows():
    mean, model = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(mean.weight, 1.0)
    nn.init.constant_(model.weight, 2.0)
    follow(mean, model, 0.75)
    assert mean.weight.item() == pytest.approx(1.25)
