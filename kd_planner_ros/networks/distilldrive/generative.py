"""The conditional VAE of the planner: what a token may turn into, as a latent variable that moves it.

Source: DistillDrive's generative module, with the defects that its notes name mended: the initial hidden state belongs to its own token,
mean and deviation are not cut by a ReLU, the answer at run time is the mean. With ``repo`` it computes what the repository computes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.distilldrive.config import Size

LIMIT = 5.0


def _mlp(*widths: int) -> list[nn.Module]:
    found: list[nn.Module] = []
    for first, last in zip(widths[:-1], widths[1:], strict=True):
        found += [nn.Linear(first, last), nn.ReLU()]
    return found


class Gaussian(nn.Module):
    """A diagonal Gaussian, given by a network: mean and logarithm of the deviation [..., L] each. ``repo``: a ReLU keeps both at 0 or
    above, so that the deviation is at least 1."""

    def __init__(self, widths: tuple[int, ...], latent: int, repo: bool = False):
        super().__init__()
        self.net = nn.Sequential(*_mlp(*widths), nn.Linear(widths[-1], 2 * latent), *([nn.ReLU()] if repo else []))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = self.net(x).chunk(2, -1)
        return mean, deviation.clamp(-LIMIT, LIMIT)


def posterior(spec: Size, steps: int, repo: bool = False) -> Gaussian:
    """What the true future [..., 2 steps], offsets one after the other, says of the latent variable; it is not shipped."""
    return Gaussian((2 * steps, 64, 64), spec.latent, repo)


class Generative(nn.Module):
    """The prior of each token's latent variable, and the decoder that adds it to the token.

    ``repo``: as in the repository, the prior is cut by a ReLU, and the decoder starts from hidden states that belong to other tokens. The
    weights have the same names and shapes either way.
    """

    def __init__(self, spec: Size, repo: bool = False):
        super().__init__()
        self.repo = repo
        wide, quarter = spec.generative, max(spec.generative // 4, spec.latent)
        self.layers, self.hidden = spec.gru_layers, spec.gru_width
        self.prior = Gaussian((spec.width, wide, wide, quarter), spec.latent, repo)
        widths = (spec.latent, *[spec.gru_width] * (spec.gru_layers - 1))
        self.cells = nn.ModuleList(nn.GRUCell(width, spec.gru_width) for width in widths)
        self.out = nn.Sequential(*_mlp(spec.gru_width, 2 * spec.gru_width, spec.width), nn.Linear(spec.width, spec.width))

    def forward(self, tokens: Tensor, latent: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """``tokens`` [B, K, D] moved by ``latent`` [B, K, L]; where none is given, by the prior's mean, or by the draw that standard normal
        ``noise`` [B, K, L] makes of the prior."""
        if latent is None:
            mean, deviation = self.prior(tokens)
            latent = mean if noise is None else mean + deviation.exp() * noise
        hidden = self._hidden(tokens)
        x = latent.flatten(0, 1)
        for index, cell in enumerate(self.cells):
            x = cell(x, hidden[:, index])
        return tokens + self.out(x).view_as(tokens)

    def _hidden(self, tokens: Tensor) -> Tensor:
        """First hidden state [B K, layers, W] of each token. The repository reads the tokens' memory as [layers, B K, W] at once: a layer's
        state of one token is then a piece of another token, of another sample too."""
        flat = tokens.flatten(0, 1)
        if self.repo:
            return flat.reshape(self.layers, -1, self.hidden).transpose(0, 1)
        return flat.unflatten(-1, (self.layers, self.hidden))


def sampled(mean: Tensor, deviation: Tensor) -> Tensor:
    """A draw from torch's global generator."""
    return mean + deviation.exp() * torch.randn_like(mean)


def frame_noise(frame: Sequence[Tensor], count: int, latent: int) -> Tensor:
    """Standard normal noise [B, ``count``, ``latent``], on the device of ``frame``: tensors [B, ...] that say which frame each sample is.

    The seed of a sample's noise is a checksum of its own part of ``frame``: equal frames have equal noise on every device and in every
    batch, so two runs over the same inputs are bit-identical, and torch's global generator is left alone.

    Raises:
        ConfigError: a graph is being traced or exported, which would keep the noise of one frame for all.
    """
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        raise ConfigError("a latent variable without draws in an exported graph", "repo_latent, which draws in each frame",
                          "use engine torch")
    if frame[0].is_meta:
        return frame[0].new_empty(len(frame[0]), count, latent)
    rows = []
    plain = [one.detach().float().cpu().numpy() for one in frame]
    for row in range(len(frame[0])):
        seed = 0
        for one in plain:
            seed = zlib.crc32(one[row].tobytes(), seed)
        rows.append(torch.randn(count, latent, generator=torch.Generator().manual_seed(seed), device="cpu"))
    return torch.stack(rows).to(frame[0].device)


def divergence(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor]) -> Tensor:
    """KL(posterior || prior) [...] of two diagonal Gaussians, in nats, summed over the latent variable; never below 0."""
    (mean_q, log_q), (mean_p, log_p) = posterior, prior
    return (log_p - log_q - 0.5 + (torch.exp(2.0 * log_q) + (mean_q - mean_p).square()) / (2.0 * torch.exp(2.0 * log_p))).sum(-1)
