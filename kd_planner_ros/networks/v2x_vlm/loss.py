"""Losses of V2X-VLM and its figures: next tokens, displacements, and the alignment of pictures with words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, normalize

from kd_planner_ros.networks.v2x_vlm.answers import PLAN, UNTOLD
from kd_planner_ros.networks.v2x_vlm.config import STEP_S, TIMES_S

WEIGHTS: Mapping[str, float] = {"trajectory": 1.0, "caption": 1.0, "waypoints": 1.0, "align": 0.1}
KAPPA = 0.07
"""Temperature of the alignment; the paper gives none."""
HORIZONS_S = (2.5, 3.5, 4.5)
"""Times at which the paper's error is taken."""
ONE_SCENE_NS = 2_000_000_000
"""Two samples of a batch that are nearer in time show one scene: neither is a wrong caption of the other."""


class Alignment(nn.Module):
    """Where pictures and captions are compared; trained beside the network and never shipped.

    Args:
        width: of the network's tokens. shared: of the space of comparison.
    """

    def __init__(self, width: int, shared: int):
        super().__init__()
        self.image, self.text = nn.Linear(width, shared, bias=False), nn.Linear(width, shared, bias=False)

    def forward(self, seen: Tensor, told: Tensor, words: Tensor, stamps: Tensor) -> Tensor:
        """The mean surprise in nats at each picture's own caption among those of the batch, a scalar.

        L = -1/K sum_i log(exp(S_ii) / sum_j exp(S_ij)), S the cosines over kappa; from pictures to captions alone.
        Source: You et al. 2026, section 3, with the denominator of its appendix. Deviation: captions of equal words, and of the same two
        seconds, are no wrong ones.

        Args:
            seen: the pictures' mean tokens [K, d]. told: the captions' [K, d].
            words: the captions' ids [K, L]. stamps: of the samples [K], ns.
        """
        scores = normalize(self.image(seen), dim=-1) @ normalize(self.text(told), dim=-1).T / KAPPA
        alike = (words[:, None] == words[None]).all(-1) | ((stamps[:, None] - stamps[None]).abs() < ONE_SCENE_NS)
        own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        return -log_softmax(scores.masked_fill(alike & ~own, -torch.inf), dim=1).diagonal().mean()


def token_losses(logits: Tensor, right: Tensor, task: Tensor) -> dict[str, Tensor]:
    """``trajectory`` and ``caption``: mean cross entropy in nats over the known tokens of plans and of captions, scalars.

    Args:
        logits: [B, N, V]. right: [B, N], UNTOLD where nothing is known. task: [B].
    """
    each = cross_entropy(logits.float().flatten(0, 1), right.flatten(), ignore_index=UNTOLD, reduction="none").view(right.shape)
    known = right != UNTOLD
    found = {}
    for name, chosen in (("trajectory", task == PLAN), ("caption", task != PLAN)):
        mask = known & chosen[:, None]
        found[name] = (each * mask).sum() / mask.sum().clamp_min(1)
    return found


def displacement_loss(drawn: Tensor, future: Tensor, known: Tensor) -> Tensor:
    """Mean absolute error in metres of ``drawn`` [B, 9, 2] over what is ``known`` [B, 9]."""
    mask = known.to(drawn.dtype)
    return ((drawn - future).abs().mean(-1) * mask).sum() / mask.sum().clamp_min(1.0)


def errors(points: Tensor, targets: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """Sum and count of the distances in metres at ``HORIZONS_S`` of ``points`` [B, 9, 2] and of constant velocity, over what is known."""
    steps = [round(horizon / STEP_S) - 1 for horizon in HORIZONS_S]
    ahead = targets["speed"][:, None] * torch.as_tensor(TIMES_S.astype(np.float32), device=points.device)
    still = torch.stack([ahead, torch.zeros_like(ahead)], dim=-1)
    known = targets["known"].float()
    found = {}
    for name, one in (("l2", points.float()), ("constant_velocity", still)):
        far = (one - targets["future"]).norm(dim=-1) * known
        found[f"{name}_m"] = float(far[:, steps].sum()), float(known[:, steps].sum())
        if name == "l2":
            found |= {f"l2_{horizon:g}s_m": (float(far[:, step].sum()), float(known[:, step].sum()))
                      for horizon, step in zip(HORIZONS_S, steps, strict=True)}
    return found
