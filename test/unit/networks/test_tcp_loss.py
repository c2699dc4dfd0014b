"""TCP's imitation loss: hand-computed values, masks, robustness at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.loss import SHARPNESS, beta_kl, imitation_loss, masked_mean
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
    apart = sum(kl_by_integration(0.5, sharp, 2.0, 2.0) for sharp in SHARPNESS) / 2  # coasting, wheels straight
    assert parts["action"] == pytest.approx(apart, abs=1e-3) == parts["future_action"]
    assert float(total.detach()) == pytest.approx(1.25 + 0.05 * 0.5 + 2 * apart, abs=2e-3)


def kl_by_integration(action, sharpness, alpha, beta):
    """The divergence by a sum over [0, 1]: independent of the closed form under test."""
    x = (np.arange(200_000) + 0.5) / 200_000
    one, other = stats.beta(1 + action * (sharpness - 2), 1 + (1 - action) * (sharpness - 2)), stats.beta(alpha, beta)
    return float(np.mean(one.pdf(x) * (one.logpdf(x) - other.logpdf(x))))


@pytest.mark.parametrize("action", [(0.5, 0.5), (0.8, 0.45), (0.02, 0.9)])
@pytest.mark.parametrize("alpha, beta", [(2.0, 5.0), (0.7, 0.7), (30.0, 40.0)])
def test_divergence_equals_its_integral(action, alpha, beta):
    found = beta_kl(torch.full((2,), alpha), torch.full((2,), beta), torch.tensor(action))
    wanted = [kl_by_integration(a, sharp, alpha, beta) for a, sharp in zip(action, SHARPNESS)]
    assert found.tolist() == pytest.approx(wanted, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 7.0])
@pytest.mark.parametrize("alpha, beta", [(1e-12, 1e-12), (1e4, 1e-6), (3.0, 2.0)])
def test_divergence_is_finite_at_the_edges(value, alpha, beta):
    alpha = torch.full((2,), alpha, requires_grad=True)
    loss = beta_kl(alpha, torch.full((2,), beta), torch.full((2,), value)).sum()
    loss.backward()
    assert loss.isfinite() and alpha.grad.isfinite().all() and float(loss) >= 0.0


def test_actions_outside_count_as_the_edge():
    alpha, beta = torch.tensor([2.0, 2.0]), torch.tensor([5.0, 5.0])
    assert torch.equal(beta_kl(alpha, beta, torch.tensor([-3.0, 9.0])), beta_kl(alpha, beta, torch.tensor([0.0, 1.0])))


def test_a_confident_student_has_small_gradients():
    """Where a likelihood would pull a sharp student ever harder towards the action, the divergence stays bounded."""
    alpha, beta = torch.full((2,), 60.0, requires_grad=True), torch.full((2,), 60.0, requires_grad=True)
    beta_kl(alpha, beta, torch.tensor([0.45, 0.45])).sum().backward()
    assert float(torch.stack([alpha.grad, beta.grad]).abs().max()) < 0.5


def test_half_precision_is_cast_up():
    two = torch.full((2,), 2.0, dtype=torch.bfloat16)
    assert beta_kl(two, two, torch.full((2,), 0.5)).dtype == torch.float32


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
        beta_kl(positive[:2], positive[2:], target).mean().backward()
        optimiser.step()
    positive = torch.nn.functional.softplus(raw).detach().numpy()
    assert beta_mode(positive[:2], positive[2:]) == pytest.approx([0.5, -0.2], abs=0.02)
