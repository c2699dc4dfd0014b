"""Small layers that planners share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


def mlp(widths: Sequence[int], last_relu: bool = True, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers ``widths[0]`` -> ... -> ``widths[-1]`` with ReLU between them.

    Args:
        widths: input width, hidden widths, output width.
        last_relu: whether a ReLU follows the last layer too.
        dropout: probability of a dropout that stands before the ReLU of the last layer that has one (TCP's places).
    """
    layers: list[nn.Module] = []
    last = len(widths) - 2
    last_active = last if last_relu else last - 1
    for index, (width_in, width_out) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(width_in, width_out))
        if dropout and index == last_active:
            layers.append(nn.Dropout(dropout))
        if index <= last_active:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def attention_pool(feature_map: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of ``feature_map`` [B, C, h, w] over space with ``weights`` [B, h*w]: [B, C]."""
    return (feature_map.flatten(2) @ weights.unsqueeze(-1)).squeeze(-1)
