"""Dropout on a processor: the chance, the scale, the gradient, the seed."""

import pytest
import torch
from torch import nn

from kd_planner_ros.networks.blocks.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("shape", [(1001, 103), (16, 8, 41, 41)])
def test_it_drops_and_scales_as_torch_does(p, shape):
    torch.manual_seed(0)
    x = (torch.rand(shape) + 0.5).requires_grad_()
    out = Dropout(p)(x)
    kept = out != 0.0
    share, count = float(kept.float().mean()), x.numel()
    assert abs(share - (1.0 - p)) < 4.0 * (p * (1.0 - p) / count) ** 0.5
    assert torch.allclose(out[kept], x.detach()[kept] / (1.0 - p))
    out.sum().backward()
    assert torch.allclose(x.grad, kept / (1.0 - p))


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0.0).float() - 0.5
    for lag in (1, 2, 3, 4):
        assert abs(float((kept[lag:] * kept[:-lag]).mean())) < 0.25 * 4.0 / 400_000**0.5


def test_the_seed_decides_and_evaluation_leaves_all():
    layer, x = Dropout(0.3), torch.rand(7, 5)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(first, layer(x)) and not torch.equal(first, layer(x))
    assert layer.eval()(x) is x and Dropout(0.0)(x) is x
    assert layer.train()(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_chance_outside_its_range_is_refused(p):
    with pytest.raises(ValueError, match="a chance p"):
        Dropout(p)


def test_gradients_are_right():
    class Fixed(nn.Module):
        def forward(self, x):
            torch.manual_seed(1)
            return Dropout(0.4)(x).square()

    assert torch.autograd.gradcheck(Fixed(), torch.rand(6, 3, dtype=torch.float64, requires_grad=True))
