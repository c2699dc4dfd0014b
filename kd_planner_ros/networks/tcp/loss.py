"""Imitation loss of TCP, without the reinforcement-learning expert that the original learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import torch
from torch import Tensor

ACTION_MARGIN = 0.01
"""Executed actions are kept this far inside (0, 1): a full brake would otherwise have infinite likelihood."""
_TINY = 1e-4
UNTRAINED = ("value_traj", "value_ctrl")
"""Modules that get no gradient from this loss; freeze them before DistributedDataParallel."""


@dataclass(frozen=True)
class TCPLossWeights:
    """Weights of the parts; the defaults are TCP's."""

    waypoints: float = 1.0
    speed: float = 0.05
    action: float = 1.0
    future_action: float = 1.0


def imitation_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor],
                   weights: TCPLossWeights = TCPLossWeights()) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the parts, a scalar, and the unweighted parts, detached.

    L = L1(waypoints) + 0.05 L1(speed) + NLL(action now) + NLL(actions at the four steps), each a mean over what is
    known: over B, T and xy in metres, and over the two actions with weight 1/2 each.

    Source: Wu et al., NeurIPS 2022, equations 6 to 8 and TCP/train.py. Deviation: the original takes Beta parameters,
    values and features from the Roach expert. There is none here, so the value and feature terms are dropped and the
    Beta distributions are fitted by negative log-likelihood to the actions that the expert executed.

    Args:
        outputs: what ``TCP.forward`` gives back; half precision is cast up.
        targets: what ``TCPProcessor.targets`` gives back, on the same device.
    """
    known, acted = targets["waypoints_mask"], targets["actions_mask"]
    actions = targets["actions"]
    parts = {
        "waypoints": masked_mean((outputs["waypoints"].float() - targets["waypoints"]).abs().mean(-1), known),
        "speed": (outputs["speed"].float() - targets["speed"]).abs().mean(),
        "action": masked_mean(beta_nll(outputs["alpha"], outputs["beta"], actions[:, 0]).mean(-1), acted[:, 0]),
        "future_action": masked_mean(
            beta_nll(outputs["future_alpha"], outputs["future_beta"], actions[:, 1:]).mean(-1), acted[:, 1:]),
    }
    total = sum(getattr(weights, name) * part for name, part in parts.items())
    return total, {name: part.detach() for name, part in parts.items()}


def beta_nll(alpha: Tensor, beta: Tensor, value: Tensor) -> Tensor:
    """Negative log-density of ``value`` in [0, 1] under Beta(alpha, beta), elementwise, always in float32.

    ``value`` is kept ``ACTION_MARGIN`` away from 0 and 1 and the parameters above 0, so the result is finite. For
    Beta(2, 2) at 0.5 it is -ln 1.5.
    """
    alpha, beta = alpha.float() + _TINY, beta.float() + _TINY
    value = value.float().clamp(ACTION_MARGIN, 1.0 - ACTION_MARGIN)
    normaliser = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
    return normaliser - (alpha - 1.0) * value.log() - (beta - 1.0) * torch.log1p(-value)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` holds; 0, still attached to the graph, where it holds nowhere."""
    mask = mask.to(values.dtype)
    return (values * mask).sum() / mask.sum().clamp_min(1.0)
