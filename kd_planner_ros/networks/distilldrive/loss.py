"""What the sparse perception learns from: each layer's boxes and lines are paired with the true ones, at the least cost.

Source: SparseDrive (Sun et al., 2024), whose detection and map heads DistillDrive takes over; weights are its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from kd_planner_ros.networks.distilldrive.config import SceneConfig
from kd_planner_ros.networks.distilldrive.perception import layer_count
from kd_planner_ros.networks.distilldrive.scene import CROSSING

ALPHA, GAMMA = 0.25, 2.0
BOX_WEIGHTS = (2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Of the columns of a box in the loss."""
BOX_COSTS = (2.0, 2.0, 2.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0)
"""Of the columns of a box where it is paired."""
SCORE_COST, BOX_COST, LINE_SCORE_COST, LINE_COST = 2.0, 0.25, 1.0, 10.0
SURE = 0.05
"""A box or line learns its place only from this confidence on."""
BETA = 0.01
"""Below it the difference of lines counts squared; lines are measured in shares of the looked-at part."""
Pairs = list[tuple[Tensor, Tensor]]
"""For each sample: numbers of the instances, and rows of the true ones they are paired with."""


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Sigmoid focal loss of each logit; ``wanted`` is 0 or 1 and of the same shape."""
    sure = logits.sigmoid()
    missed = torch.where(wanted > 0.5, 1.0 - sure, sure)
    share = torch.where(wanted > 0.5, ALPHA, 1.0 - ALPHA)
    return share * missed ** GAMMA * binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="none")


def score_costs(logits: Tensor, kinds: Tensor) -> Tensor:
    """What it costs [N, G] to call instance n by the kind of g, beside calling it nothing."""
    ones = torch.ones_like(logits)
    return (focal(logits, ones) - focal(logits, 0.0 * ones))[:, kinds]


def paired(costs: Tensor) -> tuple[Tensor, Tensor]:
    """(instances, true ones) of the pairs of least cost in all, for ``costs`` [N, G]."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(torch.nan_to_num(costs.detach().float(), 1e6, 1e6, -1e6).cpu().numpy())
    return torch.as_tensor(rows, device=costs.device), torch.as_tensor(columns, device=costs.device)


def orders(lines: Tensor, closed: Tensor) -> Tensor:
    """The orders [G, R, P, 2] in which the points of ``lines`` [G, P, 2] may be told: forth and back, of outlines that are ``closed``
    (bool [G]) from each of their points; R = 2 (P - 1)."""
    count = lines.shape[1] - 1
    both = torch.stack([lines, lines.flip(1)], 1)
    open_ = both.repeat(1, count, 1, 1)
    turns = [torch.cat([one, one[:, :, :1]], 2) for one in (both[:, :, :-1].roll(-shift, 2) for shift in range(count))]
    return torch.where(closed[:, None, None, None], torch.cat(turns, 1), open_)


def smooth(difference: Tensor) -> Tensor:
    """Absolute difference, squared below ``BETA``."""
    size = difference.abs()
    return torch.where(size < BETA, 0.5 * size ** 2 / BETA, size - 0.5 * BETA)


def line_distances(lines: Tensor, truth: Tensor, closed: Tensor) -> Tensor:
    """[N, G] between ``lines`` [N, 2 P] and ``truth`` [G, P, 2], both in shares of the looked-at part: the mean over points of x's and y's
    differences, in the order of the points that fits best."""
    told = orders(truth, closed).flatten(2)
    return (smooth(lines[:, None, None] - told[None]).sum(-1) / truth.shape[1]).amin(2)


def shares(points: Tensor, config: SceneConfig) -> Tensor:
    """``points`` [..., 2] in metres as shares of the looked-at part, 0 to 1."""
    low = points.new_tensor([-config.behind_m, -config.side_m])
    return (points - low) / points.new_tensor([config.ahead_m + config.behind_m, 2.0 * config.side_m])


def is_closed(lines: Tensor, kinds: Tensor) -> Tensor:
    """bool [G]: crossings that lie in the looked-at part whole, so that their outline ends where it begins."""
    return (kinds == CROSSING) & ((lines[:, 0] - lines[:, -1]).norm(dim=-1) < 0.01)


def box_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Pairs]:
    """``agent_score`` and ``agent_box``, summed over the layers, means over the true boxes of the batch, of those ``shown`` where that is
    known; the last layer's pairs."""
    weights, costs = (outputs["boxes"].new_tensor(one) for one in (BOX_WEIGHTS, BOX_COSTS))
    there = (targets["kinds"] >= 0) & targets.get("shown", targets["kinds"] >= 0)
    positives = max(float(there.sum()), 1.0)
    totals = outputs["boxes"].new_zeros(2)
    pairs: Pairs = []
    for layer in layer_count(outputs, "agent"):
        anchors, logits = outputs[f"agent_anchors_{layer}"].float(), outputs[f"agent_logits_{layer}"].float()
        pairs = []
        for row in range(len(anchors)):
            truth, kinds = targets["boxes"][row][there[row]], targets["kinds"][row][there[row]]
            apart = ((anchors[row][:, None] - truth[None]).abs() * costs).sum(-1)
            found, own = paired(SCORE_COST * score_costs(logits[row], kinds) + BOX_COST * apart)
            pairs.append((found, there[row].nonzero()[:, 0][own]))
            totals = totals + torch.stack([
                _score(logits[row], found, kinds[own]),
                _placed(((anchors[row][found] - truth[own]).abs() * weights).sum(-1), logits[row][found])])
    return dict(zip(("agent_score", "agent_box"), (totals / positives).unbind(), strict=True)), pairs


def line_losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], config: SceneConfig) -> dict[str, Tensor]:
    """``line_score`` and ``line_place``, summed over the layers, means over the true lines of the batch."""
    there = targets["line_kinds"] >= 0
    positives = max(float(there.sum()), 1.0)
    totals = outputs["lines"].new_zeros(2)
    for layer in layer_count(outputs, "line"):
        logits = outputs[f"line_logits_{layer}"].float()
        anchors = shares(outputs[f"line_anchors_{layer}"].float().unflatten(-1, (-1, 2)), config).flatten(-2)
        for row in range(len(anchors)):
            truth, kinds = targets["lines"][row][there[row]], targets["line_kinds"][row][there[row]]
            if not len(truth):
                totals = totals + torch.stack([focal(logits[row], torch.zeros_like(logits[row])).sum(), totals.new_zeros(())])
                continue
            apart = line_distances(anchors[row], shares(truth, config), is_closed(truth, kinds))
            found, own = paired(LINE_SCORE_COST * score_costs(logits[row], kinds) + LINE_COST * apart)
            totals = totals + torch.stack([_score(logits[row], found, kinds[own]), _placed(apart[found, own], logits[row][found])])
    return dict(zip(("line_score", "line_place"), (totals / positives).unbind(), strict=True))


def _score(logits: Tensor, found: Tensor, kinds: Tensor) -> Tensor:
    wanted = torch.zeros_like(logits)
    wanted[found, kinds] = 1.0
    return focal(logits, wanted).sum()


def _placed(apart: Tensor, logits: Tensor) -> Tensor:
    """``apart`` [K] summed over instances that are sure enough that there is something."""
    return (apart * (logits.detach().sigmoid().amax(-1) > SURE)).sum()
