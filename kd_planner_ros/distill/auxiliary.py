"""The heads that help a student to learn and are not shipped with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.distill.losses.planning_states import StateHead, state_loss
from kd_planner_ros.distill.losses.semantics import SemanticHead, semantic_loss
from kd_planner_ros.samples.dataset import Batch

SEMANTIC_FROM = 1
"""First backbone stage that the semantic grid is drawn from (0 = ``stage1``): ``stage2`` has its cells of 8 pixels."""


class AuxiliaryHeads(nn.Module):
    """Planning states from the last map, a semantic grid from ``stage2`` on; each only where its weight is not 0.

    Args:
        channels: of the backbone's maps ``stage1``, ``stage2``, ...
    """

    def __init__(self, states_weight: float, semantic_weight: float, channels: tuple[int, ...]):
        super().__init__()
        self._weights = {"states": states_weight, "semantics": semantic_weight}
        self.states = StateHead(channels[-1]) if states_weight else None
        self.semantics = SemanticHead(channels[SEMANTIC_FROM:]) if semantic_weight else None

    @property
    def wanted(self) -> bool:
        """Whether the network must give its backbone's maps."""
        return self.states is not None or self.semantics is not None

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, tuple[float, Tensor]]:
        """(weight, loss) by name, for the maps ``stage1`` ... in ``outputs`` and the truth in ``batch``."""
        maps = [outputs[name].float() for name in sorted(outputs) if name.startswith("stage")]  # autocast gives bf16
        found: dict[str, tuple[float, Tensor]] = {}
        if self.states is not None:
            truth = torch.from_numpy(batch.rows["states"].astype(np.int64)).to(maps[-1].device)
            found["states"] = self._weights["states"], state_loss(self.states(maps[-1]), truth)
        if self.semantics is not None:
            grids = torch.from_numpy(batch.grids).to(maps[-1].device)
            found["semantics"] = self._weights["semantics"], semantic_loss(self.semantics(maps[SEMANTIC_FROM:]), grids)
        return found
