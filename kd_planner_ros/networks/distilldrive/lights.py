"""The light ahead, read from the front view's token: an auxiliary task of training, which is not shipped.

A plan tells little of a lamp: most of the frames before a light are standing ones, whose speed of zero explains the plan as well
(docs/notes/why_a_student_stands.md). Asked for the lamp's colour, the token learns it in every frame that has a light ahead. Source: the
traffic light head of InterFuser (arXiv 2207.14024), which is asked the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from kd_planner_ros.networks.distilldrive.config import LINES, SIGNALS
from kd_planner_ros.networks.training import Stage

WEIGHT = {"light": 1.0}
"""Of the loss."""
BALANCE = (1.0, 2.0, 2.0)
"""Weights of ``SIGNALS``: the car sees red ones longest, because it waits there."""
OWN_M = 2.5
"""A stop line ahead is the car's own where its middle lies so near to the car's axis."""
UNSURE = -1


class LightHead(nn.Linear):
    """Logits [B, 3] of ``SIGNALS``, the light ahead, from the front token [B, D]."""

    def __init__(self, width: int):
        super().__init__(width, len(SIGNALS))


def light_ahead(targets: Mapping[str, Tensor]) -> Tensor:
    """int64 [B]: index in ``SIGNALS`` of the nearest stop line on the car's axis, ``UNSURE`` where there is none.

    Frames without a light of their own teach nothing: a lamp further away than the map's lines reach is in the picture too, and asked
    whether there is a light the token learns that and not the colour (docs/notes/distilldrive.md).

    Args:
        targets: ``lines`` [B, L, P, 2], ``line_kinds`` int64 [B, L].
    """
    middle, kinds = targets["lines"].mean(2), targets["line_kinds"]
    own = (kinds >= len(LINES)) & (middle[..., 0] > 0.0) & (middle[..., 1].abs() <= OWN_M)
    nearest = middle[..., 0].masked_fill(~own, torch.inf).argmin(1, keepdim=True)
    return torch.where(own.any(1), kinds.gather(1, nearest)[:, 0] - len(LINES), UNSURE)


def before_a_light(samples: Any, stage: Stage) -> np.ndarray | None:
    """Which of ``samples`` (``samples/dataset.py``) have a light ahead, bool [N]: the others teach nothing to a ``stage`` that has the
    loss of this task alone. None for every other stage."""
    if not stage.losses or not {name for name, weight in stage.losses.items() if weight} <= WEIGHT.keys():
        return None
    ahead = [light_ahead({name: torch.from_numpy(np.array(shard.fields[name])) for name in ("lines", "line_kinds")})
             for shard in samples.shards]
    return torch.cat(ahead).numpy() != UNSURE


def light_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Weighted cross entropy of ``logits`` [B, 3] over the samples whose light ``wanted`` [B] is sure; 0 without any."""
    sure = wanted != UNSURE
    if not bool(sure.any()):
        return logits.sum() * 0.0
    return cross_entropy(logits[sure].float(), wanted[sure], logits.new_tensor(BALANCE, dtype=torch.float32))


def light_figures(logits: Tensor, wanted: Tensor) -> dict[str, tuple[float, float]]:
    """``light_red`` and ``light_green``: the share of frames before such a light that are told right."""
    told = logits.argmax(-1)
    return {f"light_{name}": (float((told[wanted == row] == row).sum()), float((wanted == row).sum()))
            for row, name in enumerate(SIGNALS) if name != "yellow" and bool((wanted == row).any())}
