"""TCP's imitation loss: hand-computed values, masks, robustness at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.loss import ACTION_MARGIN, beta_nll, imitation_loss, masked_mean
from kd_planner_ros.networks.tcp.processor import TCPProcessor

torch.set_num_threads(1)


def outputs(batch=1, alpha=2.0, beta=2.0):
    full = {"waypoints": torch.zeros(batch, 4, 2), "speed": torch.zeros(batch, 1)}
    for name, shape in (("alpha", (batch, 2)), ("future_alpha", (batch, 4, 2))):
        full[name] = torch.full(shape, alpha)
        full[name.replace("alpha", "beta")] = torch.full(shape, beta)
    return {name: tensor.requires_grad_() for name, tensor in full.items()}


def targets(future, actions, speed):
    return TCPProcessor(TCPConfig()).targets(np.asarray(future), np.asarray(actions), np.asarray(speed))


def test_parts_by_hand():
    """Car drives 1, 2, 3, 4 m ahead, the prediction stays: mean |.| over xy and T is (1+2+3+4) / 8 = 1.25 m."""
    found = targets([[[1, 0], [2, 0], [3, 0], [4, 0]]], np.zeros((1, 5, 2)), [6.0])
    total, parts = imitation_loss(outputs(), found)
    assert parts["waypoints"] == pytest.approx(1.25)
    assert parts["speed"] == pytest.approx(0.5)  # 6 / 12
    assert parts["action"] == pytest.approx(-math.log(1.5), abs=1e-3)  # Beta(2, 2) has density 1.5 at 0.5
    assert float(total.detach()) == pytest.approx(1.25 + 0.05 * 0.5 - 2 * math.log(1.5), abs=2e-3)


def test_beta_nll_equals_torchs():
    alpha, beta, value = torch.rand(50) * 5 + 0.1, torch.rand(50) * 5 + 0.1, torch.rand(50) * 0.9 + 0.05
    wanted = -torch.distributions.Beta(alpha, beta).log_prob(value)
    assert torch.allclose(beta_nll(alpha, beta, value), wanted, atol=2e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 7.0])
@pytest.mark.parametrize("alpha, beta", [(1e-12, 1e-12), (1e4, 1e-6), (3.0, 2.0)])
def test_beta_nll_is_finite_at_the_edges(value, alpha, beta):
    alpha = torch.tensor(alpha, requires_grad=True)
    loss = beta_nll(alpha, torch.tensor(beta), torch.tensor(value))
    loss.backward()
    assert loss.isfinite() and alpha.grad.isfinite()


def test_full_brake_counts_as_just_inside():
    at_edge = beta_nll(torch.tensor(2.0), torch.tensor(5.0), torch.tensor(0.0))
    inside = beta_nll(torch.tensor(2.0), torch.tensor(5.0), torch.tensor(ACTION_MARGIN))
    assert at_edge == inside


def test_half_precision_is_cast_up():
    nll = beta_nll(torch.tensor(2.0, dtype=torch.bfloat16), torch.tensor(2.0, dtype=torch.bfloat16), torch.tensor(0.5))
    assert nll.dtype == torch.float32


def test_missing_futures_are_masked():
    future = np.array([[[1.0, 0], [2, 0], [np.nan, 0], [np.nan, np.nan]]])
    actions = np.zeros((1, 5, 2))
    actions[0, 3:] = np.nan
    found = targets(future, actions, [0.0])
    assert found["waypoints_mask"].tolist() == [[True, True, False, False]]
    assert found["actions_mask"].tolist() == [[True, True, True, False, False]]
    total, parts = imitation_loss(outputs(), found)
    assert parts["waypoints"] == pytest.approx((1 + 2) / 4)
    assert total.isfinite()


def test_nothing_known_gives_zero_parts_and_finite_gradients():
    predicted = outputs()
    total, parts = imitation_loss(predicted, targets(np.full((1, 4, 2), np.nan), np.full((1, 5, 2), np.nan), [0.0]))
    assert parts["waypoints"] == parts["action"] == parts["future_action"] == 0.0
    total.backward()
    assert all(tensor.grad.isfinite().all() for tensor in predicted.values())


def test_masked_mean():
    assert masked_mean(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([True, True, False])) == 1.5


def test_batch_order_does_not_matter():
    rng = np.random.default_rng(0)
    future, actions, speed = rng.normal(size=(5, 4, 2)), rng.uniform(-1, 1, (5, 5, 2)), rng.uniform(0, 9, 5)
    order = rng.permutation(5)
    a = imitation_loss(outputs(5), targets(future, actions, speed))[0]
    b = imitation_loss(outputs(5), targets(future[order], actions[order], speed[order]))[0]
    assert torch.allclose(a, b, atol=1e-6)


def test_fitting_beta_finds_the_action():
    """A free Beta fitted to one executed action has its mode there: throttle 0.5 -> 0.5, steer 0.2 left -> -0.2."""
    from kd_planner_ros.networks.tcp.processor import beta_mode
    raw = torch.zeros(4, requires_grad=True)
    target = targets(np.zeros((1, 4, 2)), np.broadcast_to([0.5, 0.2], (1, 5, 2)), [0.0])["actions"][0, 0]
    optimiser = torch.optim.Adam([raw], 0.2)
    for _ in range(150):
        positive = torch.nn.functional.softplus(raw)
        optimiser.zero_grad()
        beta_nll(positive[:2], positive[2:], target).mean().backward()
        optimiser.step()
    positive = torch.nn.functional.softplus(raw).detach().numpy()
    assert beta_mode(positive[:2], positive[2:]) == pytest.approx([0.5, -0.2], abs=0.02)
