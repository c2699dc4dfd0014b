"""What the student's perception found at one instant: what its planner reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from kd_planner_ros.networks.distilldrive.perception import Instances
from kd_planner_ros.networks.distilldrive.planning import gather

BANK = ("agent_features", "agent_anchors", "agent_confidence", "line_features", "line_anchors", "line_confidence")
"""The instance bank, as inputs of the network; the new one has the same names behind ``next_``."""
_PARTS = ("features", "anchors", "logits", "confidence", "kept", "carried")
FOUND = tuple(f"{kind}_{part}" for kind in ("agent", "line") for part in _PARTS)
"""What a perception gives to the planner, by name."""


@dataclass(frozen=True)
class Sight:
    """Road users and map lines."""

    agents: Instances
    lines: Instances

    def bank(self) -> dict[str, Tensor]:
        """The new instance bank (``BANK``), without gradient: the surest instances."""
        return {f"{kind}_{part}": gather(getattr(found, part), found.kept).detach()
                for kind, found in (("agent", self.agents), ("line", self.lines)) for part in ("features", "anchors", "confidence")}

    def tensors(self) -> dict[str, Tensor]:
        """By the names of ``FOUND``."""
        return {f"{kind}_{part}": getattr(one, part) for kind, one in (("agent", self.agents), ("line", self.lines)) for part in _PARTS}


def sight_of(found: Mapping[str, Tensor]) -> Sight:
    """The Sight of tensors by the names of ``FOUND``; of the layers it knows the last one alone."""
    def instances(kind: str) -> Instances:
        parts = {part: found[f"{kind}_{part}"] for part in _PARTS}
        return Instances(**parts, layers=((parts["anchors"], parts["logits"]),))

    return Sight(instances("agent"), instances("line"))
