"""What the student's perception found at one instant, and a frozen perception that goes through recordings once: its answers are kept as
samples, so that planners which are compared on one perception train without it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.distilldrive.memory import Entry, Memory, recalled
from kd_planner_ros.networks.distilldrive.perception import Instances
from kd_planner_ros.networks.distilldrive.planning import gather

if TYPE_CHECKING:
    from kd_planner_ros.networks.distilldrive.processor import DistillDriveProcessor

BANK = ("agent_features", "agent_anchors", "agent_confidence", "line_features", "line_anchors", "line_confidence")
"""The instance bank, as inputs of the network; the new one has the same names behind ``next_``."""
FROZEN = ("backbone", "neck", "agents", "lines")
"""The modules of the perception."""
_PARTS = ("features", "anchors", "logits", "confidence", "kept", "carried")
FOUND = (*(f"{kind}_{part}" for kind in ("agent", "line") for part in _PARTS), "view")
"""What a perception gives to the planner, by name; ``view`` only where the planner looks at the front camera."""


@dataclass(frozen=True)
class Sight:
    """Road users, map lines, and the front camera's coarsest map [B, D, h, w] for a planner that looks at it."""

    agents: Instances
    lines: Instances
    view: Tensor | None

    def bank(self) -> dict[str, Tensor]:
        """The new instance bank (``BANK``), without gradient: the surest instances."""
        return {f"{kind}_{part}": gather(getattr(found, part), found.kept).detach()
                for kind, found in (("agent", self.agents), ("line", self.lines)) for part in ("features", "anchors", "confidence")}

    def tensors(self) -> dict[str, Tensor]:
        """By the names of ``FOUND``."""
        found = {f"{kind}_{part}": getattr(one, part) for kind, one in (("agent", self.agents), ("line", self.lines)) for part in _PARTS}
        return found | ({} if self.view is None else {"view": self.view})


def sight_of(found: Mapping[str, Tensor]) -> Sight:
    """The Sight of tensors by the names of ``FOUND``; of the layers it knows the last one alone."""
    def instances(kind: str) -> Instances:
        parts = {part: found[f"{kind}_{part}"] for part in _PARTS}
        return Instances(**parts, layers=((parts["anchors"], parts["logits"]),))

    return Sight(instances("agent"), instances("line"), found.get("view"))


class FrozenPerception:
    """The perception of ``model`` as it is now, from the frames of one recording after the other.

    Args:
        model: a DistillDrive student; later changes of it do not matter.
        nothing: the network's memory before the first frame, [1, ...] each.
    """

    def __init__(self, model: Any, processor: DistillDriveProcessor, nothing: Mapping[str, Tensor]):
        self._model: Any = copy.deepcopy(model).eval().requires_grad_(False)
        self._processor, self._memory = processor, Memory(processor.config)
        self._device = next(self._model.parameters()).device
        self._nothing = {name: nothing[name].to(self._device) for name in BANK}

    @property
    def digest(self) -> str:
        """SHA-256 of the weights of the perception."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            if name.split(".")[0] in FROZEN:
                digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def begin(self) -> None:
        """Forget earlier frames."""
        self._memory.reset()

    @torch.no_grad()
    def look(self, frame: Frame) -> dict[str, np.ndarray]:
        """``seen`` float32 [V], and each of ``FOUND`` without its batch dimension: ``view`` float16, the others as the network gives them.

        Raises:
            SensorError: as ``DistillDriveProcessor.views``.
        """
        pictures, seen, projection = self._processor.views(frame)
        images = self._processor.image_tensor([one[None] for one in pictures.values()]).to(self._device)
        pose = (frame.ego.pose.x, frame.ego.pose.y, frame.ego.pose.yaw)
        past = recalled([self._memory.before(frame.stamp_ns)], [frame.stamp_ns], [pose], self._nothing)
        sight = self._model.perceive(images, torch.from_numpy(seen)[None].to(self._device),
                                     torch.from_numpy(projection)[None].to(self._device), **past)
        self._memory.put(Entry(frame.stamp_ns, pose, {name: one.float() for name, one in sight.bank().items()}))
        found = {name: one[0].cpu().numpy() for name, one in sight.tensors().items()}
        return {"seen": seen, **{name: one.astype(np.float16) if name == "view" else one for name, one in found.items()}}
