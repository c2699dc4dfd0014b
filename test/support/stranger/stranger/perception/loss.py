"""Absolute depth error and cross entropy of the classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

WEIGHTS = {"depth": 0.1, "classes": 1.0}


def dense_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor],
               weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """(weighted sum, unweighted parts)."""
    parts = {"depth": (outputs["depth"].float() - targets["depth"]).abs().mean(),
             "classes": cross_entropy(outputs["classes"].float(), targets["classes"])}
    return sum(weights[name] * part for name, part in parts.items()), {name: part.detach() for name, part in parts.items()}
