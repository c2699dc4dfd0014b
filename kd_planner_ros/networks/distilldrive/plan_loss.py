"""What the planner learns from: the driven way, the ways of road users, the ego's status, and the latent variable's prior.

Source: DistillDrive's ``motion_planning_head``; the weights are in ``task.PLANNING``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kd_planner_ros.networks.distilldrive.config import COMMANDS, KINDS, MODES
from kd_planner_ros.networks.distilldrive.generative import Gaussian, Generative, divergence, sampled
from kd_planner_ros.networks.distilldrive.loss import Pairs, focal

BEST, NEXT, REST = 0.9, 0.05, 1e-10
"""Target of the choice as a distribution: of the best of six, of the second and third, of the others."""
STANDING_MPS, STARTED_M = 0.3, 1.5
"""A car below this speed that will be so far away at the end of its trajectory is about to start."""
MODELLED = tuple(index for index, kind in enumerate(KINDS) if kind.name in ("CAR", "TRUCK", "BUS", "PEDESTRIAN"))
"""Kinds of road users whose future the latent variable knows in training."""


def of_command(values: Tensor, command: Tensor) -> Tensor:
    """The six [B, 6, ...] of ``command`` [B] out of ``values`` [B, 18, ...]."""
    by_command = values.unflatten(1, (len(COMMANDS), MODES))
    return by_command[torch.arange(len(values), device=values.device), command]


def offsets_of(places: Tensor) -> Tensor:
    """The steps [..., T, 2] between ``places`` [..., T, 2], the first one from the origin."""
    return torch.cat([places[..., :1, :], places[..., 1:, :] - places[..., :-1, :]], -2)


def distances(offsets: Tensor, places: Tensor) -> Tensor:
    """Mean distance [B, K] in metres between ways of ``offsets`` [B, K, T, 2] and ``places`` [B, T, 2]."""
    return (offsets.cumsum(-2) - places[:, None]).norm(dim=-1).mean(-1)


def choice_target(apart: Tensor) -> Tensor:
    """The distribution [B, 6] that the choice is taught, by the distances ``apart`` [B, 6]."""
    target = torch.full_like(apart, REST)
    order = apart.argsort(-1)
    target.scatter_(1, order[:, 1:3], NEXT)
    return target.scatter_(1, order[:, :1], BEST)


def start_weights(speeds: Tensor, plan: Tensor, weight: float) -> Tensor:
    """``weight`` for each sample [B] whose standing car is about to start, 1 for the others.

    Args:
        speeds: m/s [B]. plan: the driven way [B, T, 2], metres; NaN where unknown.
    """
    starts = (speeds < STANDING_MPS) & (plan[:, -1].norm(dim=-1) > STARTED_M)
    return torch.where(starts, weight, 1.0)


def plan_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], score: str = "label",
                space: str = "offsets") -> dict[str, Tensor]:
    """``plan_score``, ``plan`` and ``status``; means over the samples whose way, or status, is known, of the first two weighted by
    ``targets["weight"]`` [B] where that is there.

    Args:
        score: ``label``: focal loss over the six trajectories of the command; ``distribution``: KL of ``choice_target``.
        space: ``offsets``: the trajectory's error step by step; ``cumulative``: place by place.
    """
    known, command = targets["plan_known"], targets["command"]
    places = torch.where(known[:, None, None], targets["plan"], 0.0)
    offsets, logits = of_command(outputs["offsets"].float(), command), of_command(outputs["scores"].float(), command)
    apart = distances(offsets.detach(), places)
    best = apart.argmin(1)
    share = known * targets["weight"] if "weight" in targets else known.float()
    count = share.sum().clamp(min=1.0)
    if score == "label":
        chosen = focal(logits, torch.nn.functional.one_hot(best, MODES).to(logits.dtype)).mean(1)
    else:
        target = choice_target(apart)
        chosen = (target * (target.log() - logits.log_softmax(-1))).sum(1)
    way = offsets[torch.arange(len(best), device=best.device), best]
    error = (way - offsets_of(places)) if space == "offsets" else (way.cumsum(-2) - places)
    return {"plan_score": (chosen * share).sum() / count, "plan": (error.abs().mean((1, 2)) * share).sum() / count,
            "status": status_loss(status_of(outputs["status"].float(), command, best), targets["status"])}


def status_of(status: Tensor, command: Tensor, best: Tensor) -> Tensor:
    """The predicted status [B, 10]: of trajectory ``best`` of the command where each has its own."""
    return status if status.ndim == 2 else of_command(status, command)[torch.arange(len(best), device=best.device), best]


def status_loss(found: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of a status [B, 10] over what is known; unknown is NaN."""
    known = truth.isfinite()
    return ((found - torch.where(known, truth, 0.0)).abs() * known).sum() / known.sum().clamp(min=1)


def motion_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: Pairs) -> dict[str, Tensor]:
    """``motion_score`` and ``motion`` of the road users in ``pairs``; means over those of whose future something is known."""
    found, truth = matched(outputs, targets, pairs)
    known = truth.isfinite().all(-1)
    places = torch.where(known[..., None], truth, 0.0)
    seen = known.any(-1)
    count = seen.float().sum().clamp(min=1.0)
    ways = found["agent_offsets"].cumsum(-2)
    apart = ((ways - places[:, None]).norm(dim=-1) * known[:, None]).sum(-1) / known.sum(-1).clamp(min=1)[:, None]
    best = apart.detach().argmin(1)
    score = focal(found["agent_scores"], torch.nn.functional.one_hot(best, MODES).to(ways.dtype)).sum(1)
    way = ways[torch.arange(len(best), device=best.device), best]
    return {"motion_score": (score * seen).sum() / count, "motion": ((way - places).abs() * known[..., None]).sum() / count}


def matched(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: Pairs) -> tuple[dict[str, Tensor], Tensor]:
    """(``agent_offsets`` [K, 6, T, 2] and ``agent_scores`` [K, 6] of the paired road users, their true ways [K, T, 2] from where they are
    now, NaN where unknown)."""
    rows = torch.cat([torch.full_like(found, row) for row, (found, _) in enumerate(pairs)])
    mine, true = torch.cat([found for found, _ in pairs]), torch.cat([own for _, own in pairs])
    truth = targets["future"][rows, true] - targets["boxes"][rows, true, None, :2]
    return {name: outputs[name].float()[rows, mine] for name in ("agent_offsets", "agent_scores")}, truth


@dataclass(frozen=True)
class Taught:
    """Which tokens [B, N + 18] know their future in training: bool, and its offsets [B, N + 18, 2 T]."""

    known: Tensor
    future: Tensor


def taught_tokens(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: Pairs, steps: int, every: bool) -> Taught:
    """The paired road users of ``MODELLED`` kinds, and of the ego's eighteen the one that comes nearest to the driven way; with ``every``
    all eighteen, as in the repository, which tells every candidate the one future."""
    tokens, count = outputs["tokens"], outputs["agent_modes"].shape[1]
    known = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    future = tokens.new_zeros(*tokens.shape[:2], 2 * steps)
    for row, (found, own) in enumerate(pairs):
        way = targets["future"][row, own, :steps] - targets["boxes"][row, own, None, :2]
        modelled = torch.isin(targets["kinds"][row, own], torch.tensor(MODELLED, device=tokens.device))
        known[row, found] = way.isfinite().all(-1).all(-1) & modelled
        future[row, found] = torch.nan_to_num(offsets_of(way)).flatten(1).to(tokens.dtype)
    apart = distances(of_command(outputs["offsets"].float().detach(), targets["command"]), torch.nan_to_num(targets["plan"]))
    chosen = torch.nn.functional.one_hot(targets["command"] * MODES + apart.argmin(1), len(COMMANDS) * MODES).bool()
    known[:, count:] = (chosen | every) & targets["plan_known"][:, None]
    own = torch.nan_to_num(offsets_of(targets["plan"]))[:, :steps].flatten(1)
    future[:, count:] = own[:, None].to(tokens.dtype)
    return Taught(known, future)


def misplaced(pairs: Pairs) -> Pairs:
    """``pairs`` as the repository draws by them: true road user j goes with instance j, whichever it was paired with."""
    return [(own, own) for _, own in pairs]


def with_future(generative: Generative, posterior: Gaussian, tokens: Tensor, taught: Taught,
                drawn: Taught | None = None) -> tuple[Tensor, Tensor]:
    """(``tokens`` [B, K, D] moved by a draw of the latent variable, of the posterior where the future is known, else of the prior; the mean
    divergence of posterior and prior where it is known, nats). ``drawn``: the futures of the draw, where they are others than those of
    the divergence (``misplaced``)."""
    prior, seen = generative.prior(tokens), posterior(taught.future)
    other = seen if drawn is None else posterior(drawn.future)
    known = (taught if drawn is None else drawn).known[..., None]
    latent = torch.where(known, sampled(*other), sampled(*prior))
    apart = divergence(seen, prior) * taught.known
    return generative(tokens, latent), apart.sum() / taught.known.sum().clamp(min=1)
