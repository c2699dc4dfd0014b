"""The nearest candidate is pulled to the driven path, and its score up."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

WEIGHTS = {"path": 1.0, "choice": 0.1}


def winner_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor],
                weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """(weighted sum, unweighted parts): mean distance of the best of the candidates, cross entropy of choosing it."""
    away = (outputs["candidates"].float() - targets["path"][:, None]).norm(dim=-1).mean(-1)
    best = away.argmin(1)
    parts = {"path": away.gather(1, best[:, None]).mean(), "choice": cross_entropy(outputs["scores"].float(), best)}
    return sum(weights[name] * part for name, part in parts.items()), {name: part.detach() for name, part in parts.items()}
