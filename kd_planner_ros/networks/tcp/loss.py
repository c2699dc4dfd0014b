"""Imitation loss of TCP, without the reinforcement-learning expert that the original learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

SHARPNESS = (20.0, 100.0)
"""alpha + beta of the target Beta around the executed (acceleration, steer): standard deviations of at most 0.22 and 0.1
on [-1, 1]. Fitting the action's likelihood instead lets a confident student's density, and with it its gradient, grow without
bound: gradients of several hundred, nearly all of them steering, and waypoints that hardly learn."""
_TINY = 1e-4
WEIGHTS: Mapping[str, float] = {"waypoints": 1.0, "speed": 0.05, "action": 1.0, "future_action": 1.0}
"""Weights of the parts: TCP's."""


def imitation_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor],
                   weights: Mapping[str, float] = WEIGHTS) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the parts, a scalar, and the unweighted parts, detached.

    L = L1(waypoints) + 0.05 L1(speed) + KL(action now) + KL(actions at the four steps), each a mean over what is
    known: over B, T and xy in metres, and over the two actions with weight 1/2 each.

    Source: Wu et al., NeurIPS 2022, equations 6 to 8 and TCP/train.py. Deviation: the original takes Beta parameters,
    values and features from the Roach expert. There is none here, so the value and feature terms are dropped and the
    target is a Beta of fixed ``SHARPNESS`` whose mode is the action that the expert executed.

    Args:
        outputs: what ``TCP.forward`` gives back; half precision is cast up.
        targets: what ``TCPProcessor.targets`` gives back, on the same device.
    """
    known, acted = targets["waypoints_mask"], targets["actions_mask"]
    actions = targets["actions"]
    parts = {
        "waypoints": masked_mean((outputs["waypoints"].float() - targets["waypoints"]).abs().mean(-1), known),
        "speed": (outputs["speed"].float() - targets["speed"]).abs().mean(),
        "action": masked_mean(beta_kl(outputs["alpha"], outputs["beta"], actions[:, 0]).mean(-1), acted[:, 0]),
        "future_action": masked_mean(
            beta_kl(outputs["future_alpha"], outputs["future_beta"], actions[:, 1:]).mean(-1), acted[:, 1:]),
    }
    total = cast(Tensor, sum(weights[name] * part for name, part in parts.items()))
    return total, {name: part.detach() for name, part in parts.items()}


def beta_kl(alpha: Tensor, beta: Tensor, action: Tensor) -> Tensor:
    """KL divergence in nats from the target Beta around ``action`` to Beta(alpha, beta), elementwise, always in float32.

    Args:
        alpha, beta: [..., 2] of (acceleration, steer); kept above 0, so the result is finite.
        action: [..., 2] in [0, 1], where 0.5 is coasting, or the wheels straight; values outside count as the edge.
    """
    alpha, beta = alpha.float() + _TINY, beta.float() + _TINY
    spread = alpha.new_tensor(SHARPNESS) - 2.0
    action = action.float().clamp(0.0, 1.0)
    target = torch.distributions.Beta(1.0 + action * spread, 1.0 + (1.0 - action) * spread, validate_args=False)
    return torch.distributions.kl_divergence(target, torch.distributions.Beta(alpha, beta, validate_args=False))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` holds; 0, still attached to the graph, where it holds nowhere."""
    mask = mask.to(values.dtype)
    return (values * mask).sum() / mask.sum().clamp_min(1.0)
