"""The contract of a distillation method: the teachers' fields that it reads, the truth that it needs, its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.distill.maps import FeatureMaps

if TYPE_CHECKING:
    from kd_planner_ros.distill.teacher import Teacher
    from kd_planner_ros.networks.training import LearningTask
    from kd_planner_ros.samples.dataset import Batch
    from kd_planner_ros.samples.shards import Shard

Truth = Mapping[str, Tensor]
"""The targets of the student's task by name, and what the method's own ``truth`` adds."""
Outputs = Mapping[str, Tensor]
"""A student's outputs, its stage maps among them where the method reads features."""
Answers = Mapping[str, FeatureMaps]
"""The fields of one teacher that the method asked for, without gradient."""


@dataclass(frozen=True)
class MethodContext:
    """What a method is built for. ``student`` is the student's network config, ``options`` the method's ``Config``, ``defaults``
    what the network prefers for them, ``average`` makes gradients of parameters the mean over all processes."""

    network: str
    student: Any
    teachers: tuple[Teacher, ...]
    task: LearningTask
    options: Any
    defaults: Mapping[str, Any]
    average: Callable[[list[nn.Parameter]], None] = lambda _: None


class Distiller(nn.Module):
    """The base of every method; by itself plain training without a teacher.

    A method's own modules are trained by the trainer's main optimiser (``trained``) unless the method steps them itself inside
    ``losses``. All randomness comes from torch's global generator, which the trainer seeds for each step.
    """

    name = "imitation"
    teacher_fields: tuple[str, ...] = ()
    """Fields of every teacher that the method reads; see ``teacher.field``. ``fields_of`` may say otherwise for each."""
    replaces: tuple[str, ...] = ()
    """Parts of the task's loss that a term of this method stands for: their weight becomes 0."""
    reads_features = False
    """Whether the method needs the student's stage maps."""
    keeps_answers = True
    """Whether a teacher's answers may be kept on disk: False where they depend on more than the sample, such as a draw of the task."""

    def fields_of(self, teacher: int) -> tuple[str, ...]:
        """The fields that the method reads of teacher number ``teacher``."""
        return self.teacher_fields

    # --- before the first step ---------------------------------------------------------------------------------------

    def require(self, bags: Mapping[Shard, Path]) -> None:
        """Refuse samples that lack the method's ground truth; ``bags`` holds each shard's recording.

        Raises:
            BagError: a recording lacks it.
        """

    def attach(self, bags: Mapping[Shard, Path], progress: bool) -> None:
        """Make what the method keeps on disk for the samples of ``bags``. Each of several processes is given some of
        them first, then all, which it finds done."""

    def make_up(self, shard: Shard, random: np.random.Generator) -> None:
        """Write made-up truth of ``shard``'s samples to where ``attach`` would find it, for measurements without recordings."""

    def buffers(self) -> Mapping[str, Tensor]:
        """Buffers of the student by name that must equal a teacher's, put into it before the first step: a common vocabulary."""
        return {}

    def before_training(self, run: Any) -> bool:
        """What the method learns before the student's first step, with the facilities of ``run`` (``distill/run.py``); whether it
        came to its end."""
        return True

    # --- in each step ------------------------------------------------------------------------------------------------

    def fetch(self, places: Sequence[tuple[Shard, int]]) -> dict[str, np.ndarray]:
        """What the method keeps on disk for the samples at ``places``, [B, ...] each; called from the thread that reads."""
        return {}

    def truth(self, targets: Mapping[str, Tensor], batch: Batch, device: torch.device) -> Truth:
        """The ground truth of ``batch`` that ``losses`` compares with."""
        return targets

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """Weighted terms to add to the task's loss, by name; scalars with a gradient.

        Args:
            teachers: the answers of each teacher, in the order in which they were named.
            epoch: passes over the data so far, for warm-ups.
        """
        return {}

    def learn_alone(self, teachers: Sequence[Answers], truth: Truth) -> dict[str, Tensor]:
        """One step of training without a student; figures for the log, detached. Empty for methods that cannot."""
        return {}

    def report(self) -> dict[str, Tensor]:
        """Figures of the last ``losses`` that are no loss terms, detached; the trainer logs them and refuses NaN."""
        return {}

    # --- its state ---------------------------------------------------------------------------------------------------

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
