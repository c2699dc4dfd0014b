"""What a way of distilling is to the trainer: the fields of the teacher it reads, the ground truth it needs, its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.distill.losses.maps import Stage

Truth = Mapping[str, Tensor]
"""Ground truth of a batch: ``waypoints`` [B, T, 2] (metres, frame P) with ``waypoints_mask`` bool [B, T]; where the method
lists them in ``needs``, ``states`` int64 [B, 8] (-1 unknown), ``obstacles`` [B, 15, 2] (metres, frame P, NaN = none), ``bev``
[B, 3, 180, 180] (uint8, or float in [0, 1]), ``measured`` [B, 7]."""

Outputs = Mapping[str, Tensor]
"""A student's outputs, its stage maps among them where the method reads features."""
Answers = Mapping[str, Stage]
"""The fields of the teacher that the method asked for, without gradient."""


class Distiller(nn.Module):
    """Plain imitation, and the base of every other method.

    A method's own modules are trained by the trainer's main optimiser (``trained``) unless it steps them itself inside
    ``losses``. All randomness comes from torch's global generator, which the trainer seeds for each step.
    """

    name = "imitation"
    teacher_fields: tuple[str, ...] = ()
    """What it reads of the teacher; see ``teacher.field``. Empty: no teacher is needed."""
    needs: tuple[str, ...] = ()
    """Ground truth beside the waypoints: states, obstacles, bev, measured."""
    replaces: tuple[str, ...] = ()
    """Parts of the network's own imitation loss that a term of this method stands for."""
    reads_features = False
    """Whether the student's stage maps are needed."""

    def losses(self, student: Outputs, teacher: Answers, truth: Truth, epoch: float) -> dict[str, Tensor]:
        """Weighted terms to add to the network's imitation loss, by name; scalars with a gradient.

        Args:
            epoch: passes over the data so far, for warm-ups.
        """
        return {}

    def learn_alone(self, teacher: Answers, truth: Truth) -> dict[str, Tensor]:
        """One step of whatever the method can learn without a student; figures for the log, detached. Empty: nothing can."""
        return {}

    def report(self) -> dict[str, Tensor]:
        """Figures of the last ``losses`` that are no loss terms, detached; the trainer logs them and refuses NaN."""
        return {}

    def trained(self) -> list[nn.Parameter]:
        """Parameters for the main optimiser."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def own_optimisers(self) -> list[torch.optim.Optimizer]:
        """Optimisers that ``losses`` steps itself."""
        return []

    def state(self) -> dict[str, Any]:
        """Everything that changes while training, for a checkpoint."""
        return {"modules": self.state_dict(), "optimisers": [one.state_dict() for one in self.own_optimisers()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what ``state`` gave."""
        self.load_state_dict(state["modules"])
        for optimiser, values in zip(self.own_optimisers(), state["optimisers"], strict=True):
            optimiser.load_state_dict(values)

    def switches(self) -> dict[str, Any]:
        """Choices that the card records, as JSON values."""
        return {}
