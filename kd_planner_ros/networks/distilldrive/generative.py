"""The conditional VAE of the planner: what a token may turn into, as a latent variable that moves it.

Source: DistillDrive's generative module, with the defects that its notes name mended: the initial hidden state belongs to its own token,
mean and deviation are not cut by a ReLU, the answer at run time is the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.distilldrive.config import Size

LIMIT = 5.0


def _mlp(*widths: int) -> list[nn.Module]:
    found: list[nn.Module] = []
    for first, last in zip(widths[:-1], widths[1:], strict=True):
        found += [nn.Linear(first, last), nn.ReLU()]
    return found


class Gaussian(nn.Module):
    """A diagonal Gaussian, given by a network: mean and logarithm of the deviation [..., L] each."""

    def __init__(self, widths: tuple[int, ...], latent: int):
        super().__init__()
        self.net = nn.Sequential(*_mlp(*widths), nn.Linear(widths[-1], 2 * latent))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = self.net(x).chunk(2, -1)
        return mean, deviation.clamp(-LIMIT, LIMIT)


def posterior(spec: Size, steps: int) -> Gaussian:
    """What the true future [..., 2 steps], offsets one after the other, says of the latent variable; it is not shipped."""
    return Gaussian((2 * steps, 64, 64), spec.latent)


class Generative(nn.Module):
    """The prior of each token's latent variable, and the decoder that adds it to the token."""

    def __init__(self, spec: Size):
        super().__init__()
        wide, quarter = spec.generative, max(spec.generative // 4, spec.latent)
        self.layers, self.hidden = spec.gru_layers, spec.gru_width
        self.prior = Gaussian((spec.width, wide, wide, quarter), spec.latent)
        widths = (spec.latent, *[spec.gru_width] * (spec.gru_layers - 1))
        self.cells = nn.ModuleList(nn.GRUCell(width, spec.gru_width) for width in widths)
        self.out = nn.Sequential(*_mlp(spec.gru_width, 2 * spec.gru_width, spec.width), nn.Linear(spec.width, spec.width))

    def forward(self, tokens: Tensor, latent: Tensor | None = None) -> Tensor:
        """``tokens`` [B, K, D] moved by ``latent`` [B, K, L]; by the prior's mean where none is given."""
        latent = self.prior(tokens)[0] if latent is None else latent
        hidden = tokens.flatten(0, 1).unflatten(-1, (self.layers, self.hidden))
        x = latent.flatten(0, 1)
        for index, cell in enumerate(self.cells):
            x = cell(x, hidden[:, index])
        return tokens + self.out(x).view_as(tokens)


def sampled(mean: Tensor, deviation: Tensor) -> Tensor:
    """A draw from torch's global generator."""
    return mean + deviation.exp() * torch.randn_like(mean)


def divergence(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor]) -> Tensor:
    """KL(posterior || prior) [...] of two diagonal Gaussians, in nats, summed over the latent variable; never below 0."""
    (mean_q, log_q), (mean_p, log_p) = posterior, prior
    return (log_p - log_q - 0.5 + (torch.exp(2.0 * log_q) + (mean_q - mean_p).square()) / (2.0 * torch.exp(2.0 * log_p))).sum(-1)
