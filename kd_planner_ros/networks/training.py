"""What a trainer asks of a network that can be trained. The trainer itself knows no network by name.

A network's ``training.py`` offers ``build_lessons(processor) -> Lessons``, ``OPTIMISER`` (an ``OptimiserDefaults``),
``BACKBONE`` (the module that ImageNet weights belong to) and
``config_fields(settings, camera, others)``, the fields of its config for a run's settings (``size``, ``input_height``,
``input_width``, ``front_px``) and the recorded cameras; its ``loss.py`` offers ``imitation_loss`` and ``UNTRAINED``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.networks.samples import SampleMaker

if TYPE_CHECKING:
    from torch import Tensor

Score = tuple[float, float]
"""Sum of a figure over what is known, and how much that is."""


@dataclass(frozen=True)
class OptimiserDefaults:
    """What a network is trained with unless the recipe says otherwise: ``adam`` or ``adamw``, its weight decay, and the
    learning rate of the modules in ``slow`` as a share of the others'."""

    kind: str = "adam"
    weight_decay: float = 1e-7
    backbone_rate: float = 1.0
    slow: tuple[str, ...] = ()


class Lessons(SampleMaker):
    """How a network's samples become its tensors and the figures of a validation."""

    @abstractmethod
    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """The network's inputs by name.

        Args:
            rows: SAMPLE_DTYPE [B] of ``samples/shards.py``.
            arrays: those of ``record``, [B, ...], on the device.
            hidden_speed: bool [B]; the network is not told the speed of these.
        """

    @abstractmethod
    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """What the network's loss compares with; ``waypoints`` and ``waypoints_mask`` among them."""

    @abstractmethod
    def score(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """Validation figures of a batch beside the loss and its parts."""

    @abstractmethod
    def badness(self, scores: Mapping[str, float]) -> float:
        """One number of a validation's mean figures; the weights with the smallest are shipped."""


def find_lessons(network: str, part: str = "training") -> Any:
    """The module ``part`` (``training`` or ``loss``) of ``network``, a folder of networks/ or a plugin.

    Raises:
        PlannerError: no such network, or a part of its training is missing.
        ConfigError: the network has none, so it cannot be trained.
    """
    return getattr(find_training(network), part)
