"""Auxiliary heads for networks of one picture: they help a student to learn and are not shipped with it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.blocks.semantic_head import SemanticHead, semantic_loss
from kd_planner_ros.networks.blocks.state_head import StateHead, state_loss

SEMANTIC_FROM = 1
"""First backbone stage that the semantic grid is drawn from (0 = ``stage1``): ``stage2`` has its cells of 8 pixels."""


class AuxiliaryHeads(nn.Module):
    """Planning states from the last map, a semantic grid from ``stage2`` on; each head exists only where its weight is not 0.

    Args:
        channels: of the backbone's maps ``stage1``, ``stage2``, ...
    """

    def __init__(self, states_weight: float, semantic_weight: float, channels: tuple[int, ...]):
        super().__init__()
        self._weights = {"states": states_weight, "semantics": semantic_weight}
        self.states = StateHead(channels[-1]) if states_weight else None
        self.semantics = SemanticHead(channels[SEMANTIC_FROM:]) if semantic_weight else None

    def losses(self, outputs: Mapping[str, Tensor], batch: Any) -> dict[str, tuple[float, Tensor]]:
        """(weight, loss) by name, for the maps ``stage1`` ... in ``outputs`` and the truth in ``batch``: its ``rows`` hold the
        planning states, its ``grids`` the classes of the picture's cells."""
        maps = [outputs[name].float() for name in sorted(outputs) if name.startswith("stage")]  # autocast gives bf16
        found: dict[str, tuple[float, Tensor]] = {}
        if self.states is not None:
            truth = torch.from_numpy(batch.rows["states"].astype(np.int64)).to(maps[-1].device)
            found["states"] = self._weights["states"], state_loss(self.states(maps[-1]), truth)
        if self.semantics is not None:
            grids = torch.from_numpy(batch.grids).to(maps[-1].device)
            found["semantics"] = self._weights["semantics"], semantic_loss(self.semantics(maps[SEMANTIC_FROM:]), grids)
        return found


class WithAuxiliaryHeads(ABC):
    """Mixin of a ``LearningTask`` whose network gives the maps of one picture, ``stage1`` ..., with ``features=True``.

    ``states_weight`` and ``semantic_weight`` are the weights of the two auxiliary losses; 0 leaves the head out.
    """

    states_weight = 0.0
    semantic_weight = 0.0
    _heads: AuxiliaryHeads | None = None

    @property
    def reads_features(self) -> bool:
        """Whether there is a head."""
        return bool(self.states_weight or self.semantic_weight)

    @abstractmethod
    def example_inputs(self) -> dict[str, Tensor]:
        """One sample of zeros for the network, by name."""

    def modules(self, model: nn.Module) -> nn.Module | None:
        """The heads for the maps of ``model``."""
        if not self.reads_features:
            return None
        with torch.no_grad():
            found = copy.deepcopy(model).cpu().eval()(**self.example_inputs(), features=True)
        channels = tuple(found[name].shape[1] for name in sorted(found) if name.startswith("stage"))
        if not channels:
            raise ConfigError("a network with one picture for states_weight and semantic_weight", "none of its maps", "leave them out")
        self._heads = AuxiliaryHeads(self.states_weight, self.semantic_weight, channels)
        return self._heads

    def auxiliary_losses(self, outputs: Mapping[str, Tensor], batch: Any) -> dict[str, tuple[float, Tensor]]:
        """The losses of the heads."""
        return self._heads.losses(outputs, batch) if self._heads is not None else {}
