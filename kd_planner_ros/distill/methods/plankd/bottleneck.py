"""PlanKD's planning-relevant feature distillation: an information bottleneck between a feature map and the planning states.

Source: Feng et al., CVPR 2024, section 3.3, equations 2 to 4, appendix A.4; PlanKD ``interfuser/plankd.py``.
Where the two disagree: docs/notes/plankd_paper_and_code.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_planner_ros.core.planning_states import STATE_CLASSES

LATENT, HIDDEN = 256, 512
BETA = 1e-3
_SCALE_SHIFT = 5.0


class Latent(NamedTuple):
    """A diagonal Gaussian: ``mean`` and ``scale`` (> 0), each [B, 256]."""

    mean: Tensor
    scale: Tensor

    def sample(self, noise: Tensor | None) -> Tensor:
        """mean + scale * noise, or the mean where ``noise`` is None: [B, 256]."""
        return self.mean if noise is None else self.mean + self.scale * noise


class InformationBottleneck(nn.Module):
    """Encoder of the flattened channel means [B, D] and decoder of the eight planning states; shared by both planners.

    ``inputs`` is D: 1296 for InterFuser, 3616 for TCP at 256 x 900 (1,592,337 and 2,780,177 parameters), 896 for TCP
    at 128 x 448.
    """

    def __init__(self, inputs: int):
        super().__init__()
        self.inputs = inputs
        self.encoder = nn.ModuleList([nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 2 * LATENT)])
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.LeakyReLU(0.01), nn.Linear(HIDDEN, HIDDEN),
                                     nn.LeakyReLU(0.01), nn.Linear(HIDDEN, sum(STATE_CLASSES)))

    def encode(self, features: Tensor, frozen: bool = False) -> Latent:
        """The latent of ``features`` [B, D]; ``frozen`` lets no gradient reach the encoder's weights."""
        for index, layer in enumerate(self.encoder):
            weight, bias = (layer.weight.detach(), layer.bias.detach()) if frozen else (layer.weight, layer.bias)
            features = functional.linear(features, weight, bias)
            if index + 1 < len(self.encoder):
                features = functional.leaky_relu(features, 0.01)
        mean, raw = features.chunk(2, 1)
        return Latent(mean, functional.softplus(raw - _SCALE_SHIFT))

    def decode(self, latent: Tensor) -> Tensor:
        """Logits [B, 17] of the states, the states' classes side by side, from ``latent`` [B, 256]."""
        return self.decoder(latent)

    def loss(self, features: Tensor, states: Tensor, beta: float = BETA) -> tuple[Tensor, Tensor]:
        """(loss in bits, a scalar; share of states named right, detached) on detached ``features`` [B, D].

        sum over the eight states of the cross-entropy / ln 2 + beta KL / ln 2: minus the lower bound of equation 3.

        Args:
            states: int64 [B, 8], -1 where not recorded (left out of its state's mean).
        """
        latent = self.encode(features.detach())
        logits = self.decode(latent.sample(torch.randn_like(latent.mean)))
        crossing, right = naming(logits, states)
        return (crossing + beta * divergence(latent)) / math.log(2.0), right


def divergence(latent: Latent) -> Tensor:
    """KL of ``latent`` from the unit Gaussian in nats, summed over dimensions, mean over the batch: 0 for (0, 1)."""
    mean, scale = latent
    return 0.5 * (mean.square() + scale.square() - 1.0 - 2.0 * scale.clamp_min(1e-12).log()).sum(1).mean()


def naming(logits: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """(sum over states of the mean cross-entropy in nats; share of recorded states whose class is the likeliest).

    Args:
        logits: [B, 17]. states: int64 [B, 8]; -1 is left out.
    """
    total = (logits * 0.0).sum()
    right = known = 0.0
    for column, part in enumerate(logits.split(STATE_CLASSES, 1)):
        mask = states[:, column] >= 0
        if mask.any():
            total = total + functional.cross_entropy(part[mask], states[mask, column])
            right += float((part[mask].argmax(1) == states[mask, column]).sum())
            known += float(mask.sum())
    return total, total.new_tensor(right / max(known, 1.0))


def latent_distance(bottleneck: InformationBottleneck, student: Tensor, teacher: Tensor, noise: str = "shared",
                    frozen: bool = True) -> Tensor:
    """L_z of equation 4: the mean over batch and dimensions of |z_T - z_S|, a scalar; no gradient into ``teacher``.

    Args:
        student, teacher: channel means [B, D].
        noise: shared: one draw for both (ours); independent: one for each (the repository); none: compare the means.
        frozen: the gradient reaches the student's features only (ours); False lets it drag the encoder too, as the
            repository's main optimiser does.
    """
    theirs = bottleneck.encode(teacher.detach(), frozen)
    if frozen:
        theirs = Latent(theirs.mean.detach(), theirs.scale.detach())
    ours = bottleneck.encode(student, frozen)
    first = second = None
    if noise != "none":
        first = torch.randn_like(ours.mean)
        second = first if noise == "shared" else torch.randn_like(ours.mean)
    return (theirs.sample(second) - ours.sample(first)).abs().mean()


def whole_map_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The ablation without a bottleneck: mean |difference| of the channel means [B, D] themselves, a scalar."""
    return (student - teacher.detach()).abs().mean()
