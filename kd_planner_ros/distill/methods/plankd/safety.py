"""How near a waypoint passes to others, and the losses that make attention follow it. Planner frame P, metres.

Source: Feng et al., CVPR 2024, equations 6 to 8; PlanKD ``interfuser/plankd.py``.
Where the two disagree: docs/notes/plankd_paper_and_code.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA_M = 3.0
MARGIN = 0.1


def proximity(waypoints: Tensor, obstacles: Tensor, sigma_m: float = SIGMA_M) -> Tensor:
    """psi of equation 6, [B, T]: the sum over obstacles of exp(-distance^2 / (2 sigma^2)). One at 3 m: 0.6065.

    Args:
        waypoints: [B, T, 2]. obstacles: [B, N, 2] in the same frame at the same instant; rows that hold NaN are none.
    """
    known = torch.isfinite(obstacles).all(-1)
    places = torch.where(known[..., None], obstacles, torch.zeros_like(obstacles))
    squared = (waypoints[:, :, None] - places[:, None]).square().sum(-1)
    return (torch.exp(-squared / (2.0 * sigma_m**2)) * known[:, None].to(squared.dtype)).sum(-1)


def ranking_loss(attention: Tensor, psi: Tensor, mask: Tensor, margin: float = MARGIN, ties: str = "zero",
                 reduction: str = "mean") -> Tensor:
    """Hinge on the order of all pairs, a scalar: max(0, -r_ij (a_i - a_j) + margin).

    r_ij is the sign of psi_i - psi_j. The repository, our default: margin 0.1, equal psi gives r = 0 (a constant, no
    gradient) and the mean over pairs. Equation 7: margin 0, ``ties`` "minus" (equal psi gives r = -1, which pulls the
    weights together) and ``reduction`` "sum" over pairs, mean over the batch.

    Args:
        attention, psi: [B, T]. mask: bool [B, T], pairs with an unknown waypoint do not count.
    """
    order = torch.sign(psi[:, :, None] - psi[:, None])
    if ties == "minus":
        order = torch.where(order > 0, order, -torch.ones_like(order))
    hinge = (margin - order * (attention[:, :, None] - attention[:, None])).clamp_min(0.0)
    pairs = (mask[:, :, None] & mask[:, None]).to(hinge.dtype)
    total = (hinge * pairs).sum()
    if reduction == "sum":
        return total / mask.any(1).sum().clamp_min(1)
    return total / pairs.sum().clamp_min(1.0)


def negative_entropy(attention: Tensor, mask: Tensor) -> Tensor:
    """L_e: the sum over waypoints of a ln a, mean over samples that have waypoints, a scalar in [-ln T, 0].

    Added with a positive weight it makes the weights smoother. ``attention`` [B, T], ``mask`` bool [B, T].
    """
    rows = (attention * (attention + 1e-8).log() * mask.to(attention.dtype)).sum(1)
    return rows.sum() / mask.any(1).sum().clamp_min(1)


def weighted_waypoint_loss(waypoints: Tensor, target: Tensor, weights: Tensor, mask: Tensor, scale: str = "sum") -> Tensor:
    """L_w of equation 8, a scalar in metres: the sum over T of weight * mean over xy of |error|, mean over the batch.

    Not detached from ``weights``: the loss trains the attention too, as in the repository. Samples without a known
    waypoint do not count.

    Args:
        waypoints, target: [B, T, 2]. weights: [B, T], each row's sum 1. mask: bool [B, T].
        scale: sum, as equation 8 (TCP: with equal weights its own mean L1); mean: 1 / T of it, as the repository.
    """
    errors = (waypoints.float() - target).abs().mean(-1)
    rows = (errors * weights * mask.to(errors.dtype)).sum(1)
    if scale == "mean":
        rows = rows / waypoints.shape[1]
    return rows.sum() / mask.any(1).sum().clamp_min(1)


def fixed_weights(kind: str, mask: Tensor) -> Tensor:
    """Weights [B, T] that do not depend on the scene; each row sums to 1 over its known waypoints.

    equal: 1 / T. decay: proportional to sqrt((T + 1 - t) / T), t = 1 ... T, InterFuser's own.
    """
    steps = mask.shape[1]
    row = torch.ones(steps, device=mask.device)
    if kind == "decay":
        row = torch.sqrt((steps + 1.0 - torch.arange(1, steps + 1, device=mask.device)) / steps)
    known = row * mask.float()
    return known / known.sum(1, keepdim=True).clamp_min(1e-12)
