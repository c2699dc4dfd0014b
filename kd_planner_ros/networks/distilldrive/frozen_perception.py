"""A frozen perception that goes through recordings once: its answers are kept as samples, so that planners which are compared on one
perception train without it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.distilldrive.memory import Entry, Memory, recalled
from kd_planner_ros.networks.distilldrive.options import TrainOptions
from kd_planner_ros.networks.distilldrive.processor import DistillDriveProcessor
from kd_planner_ros.networks.distilldrive.sight import BANK

FROZEN = ("backbone", "neck", "agents", "lines")
"""The modules of the perception."""
TOKEN = "front"
"""That of the front view's token."""


def frozen_modules(options: TrainOptions) -> tuple[str, ...]:
    """The modules whose answers the samples of a student with ``options`` hold.

    Raises:
        ConfigError: a frozen token where the perception is not frozen, or where there is no token.
    """
    if options.frozen_token and not (options.frozen_perception and options.signals):
        raise ConfigError("--distilldrive.frozen-perception and the token of --distilldrive.signals with --distilldrive.frozen-token",
                          f"frozen-perception {_on(options.frozen_perception)}, signals {_on(options.signals)}",
                          "leave --distilldrive.frozen-token out, or give --distilldrive.frozen-perception too and leave signals on")
    return (*FROZEN, *([TOKEN] if options.frozen_token else [])) if options.frozen_perception else ()


def _on(switch: bool) -> str:
    return "on" if switch else "off"


class FrozenPerception:
    """The perception of ``model`` as it is now, from the frames of one recording after the other.

    Args:
        model: a DistillDrive student; later changes of it do not matter.
        nothing: the network's memory before the first frame, [1, ...] each.
        modules: of ``frozen_modules``.
    """

    def __init__(self, model: Any, processor: DistillDriveProcessor, nothing: Mapping[str, Tensor], modules: tuple[str, ...] = FROZEN):
        self._modules = modules
        self._model: Any = copy.deepcopy(model).eval().requires_grad_(False)
        self._processor, self._memory = processor, Memory(processor.config)
        self._device = next(self._model.parameters()).device
        self._nothing = {name: nothing[name].to(self._device) for name in BANK}

    @property
    def digest(self) -> str:
        """SHA-256 of the weights of the frozen modules."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            if name.split(".")[0] in self._modules:
                digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def begin(self) -> None:
        """Forget earlier frames."""
        self._memory.reset()

    @torch.no_grad()
    def look(self, frame: Frame) -> dict[str, np.ndarray]:
        """``seen`` float32 [V], each of ``FOUND`` without its batch dimension, and the front camera's ``picture`` uint8 [H, W, 3]; of a
        frozen token also ``front`` float32 [D].

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
        tokens = {TOKEN: self._model.front(images[:, 0])} if TOKEN in self._modules else {}
        found = {name: one[0].cpu().numpy() for name, one in {**sight.tensors(), **tokens}.items()}
        return {"seen": seen, **found, "picture": next(iter(pictures.values()))}
